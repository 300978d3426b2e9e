"""Fingerprints on disk by content, shared by all audits and safe to kill."""

from __future__ import annotations

import contextlib
import json
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from casting_inspect.data.grouping.fingerprint import POINTS, SIDE, VERSION, Fingerprint
from casting_inspect.errors import UserError
from casting_inspect.files import replace_json, replacing

_POINT_SCALE: Final = 128.0  # points are kept as whole 128ths of a pixel and of a degree
_PARTS: Final = ("descriptors", "points", "pictures")


@dataclass(frozen=True)
class _Place:
    shard: str
    rows: slice
    picture: slice


class FingerprintStore:
    """Fingerprints addressed by the SHA-256 of their file, in memory-mapped shards.

    A shard is ``<id>.descriptors.npy``, ``<id>.points.npy``, ``<id>.pictures.npy`` (pictures as
    JPEG of quality 95) and ``<id>.json`` with keys, sizes and checksums, written last: a shard
    counts when all are there and agree. What a killed audit left is passed over and made again.

    Args:
        folder: Where all versions lie; each has a folder of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / f"sift-{SIDE}-{POINTS}-v{VERSION}"
        self._shards: dict[str, dict[str, NDArray[Any]]] = {}
        self._places: dict[str, _Place] = {}

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store for writing; a second audit waits here and then finds the rows."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            yield

    def load(self) -> None:
        """Read which fingerprints are there."""
        if not self.folder.exists():
            return
        for index in sorted(self.folder.glob("[!.]*.json")):
            if index.stem not in self._shards:
                self._open(index)

    def _open(self, index: Path) -> None:
        try:
            entry = json.loads(index.read_text(encoding="utf-8"))
            parts = {name: np.load(_part(index, name), mmap_mode="r") for name in _PARTS}
            whole = all(zlib.crc32(parts[name].data) == entry["crc32"][name] for name in _PARTS)
            counts, sizes = entry["points"], entry["picture_bytes"]
            whole = whole and len(entry["keys"]) == len(counts) == len(sizes)
        except (OSError, ValueError, KeyError, TypeError):
            return
        if not whole:
            return
        self._shards[index.stem] = parts
        rows, bytes_ = np.r_[0, np.cumsum(counts)], np.r_[0, np.cumsum(sizes)]
        for number, key in enumerate(entry["keys"]):
            self._places[key] = _Place(
                index.stem,
                slice(int(rows[number]), int(rows[number + 1])),
                slice(int(bytes_[number]), int(bytes_[number + 1])),
            )

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Return the keys that have no fingerprint yet, each once, in their order."""
        return [key for key in dict.fromkeys(keys) if key not in self._places]

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def descriptors(self, key: str) -> NDArray[np.uint8]:
        """Return the descriptors alone, uint8 (k, 128)."""
        place = self._places[key]
        return np.asarray(self._shards[place.shard]["descriptors"][place.rows])

    def take(self, key: str) -> Fingerprint:
        """Return one fingerprint.

        Raises:
            KeyError: If there is none for ``key``.
        """
        place = self._places[key]
        shard = self._shards[place.shard]
        points = shard["points"][place.rows].astype(np.float32) / np.float32(_POINT_SCALE)
        return Fingerprint(
            self.descriptors(key), points, np.asarray(shard["pictures"][place.picture])
        )

    def add(self, keys: Sequence[str], fingerprints: Sequence[Fingerprint]) -> None:
        """Write one shard; hold the lock.

        Raises:
            UserError: If the disk is full or the folder cannot be written.
        """
        if not keys:
            return
        parts = {
            "descriptors": np.concatenate([one.descriptors for one in fingerprints]),
            "points": np.concatenate([_whole(one) for one in fingerprints]),
            "pictures": np.concatenate([one.encoded for one in fingerprints]),
        }
        index = self.folder / f"{uuid.uuid4().hex}.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, part in parts.items():
                with replacing(_part(index, name)) as temporary, temporary.open("wb") as out:
                    np.save(out, part)
            replace_json(
                index,
                {
                    "keys": list(keys),
                    "points": [len(one.points) for one in fingerprints],
                    "picture_bytes": [len(one.encoded) for one in fingerprints],
                    "crc32": {name: zlib.crc32(part.data) for name, part in parts.items()},
                },
            )
        except OSError as error:
            raise UserError(
                f"the fingerprints in {self.folder} cannot be written ({error.strerror}): free "
                "disk space, or set CASTING_INSPECT_CACHE to another folder"
            ) from error
        self._open(index)


def _part(index: Path, name: str) -> Path:
    return index.with_name(f"{index.stem}.{name}.npy")


def _whole(one: Fingerprint) -> NDArray[np.uint16]:
    whole: NDArray[np.uint16]
    whole = np.rint(one.points * _POINT_SCALE).clip(0, 65535).astype(np.uint16)
    return whole
