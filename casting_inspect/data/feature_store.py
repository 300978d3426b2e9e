"""A bounded store of float16 feature rows on disk, shared by all runs and safe to kill."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from casting_inspect.errors import UserError
from casting_inspect.files import replace_json, replacing

GIGABYTE = 10**9


class FeatureStore:
    """Rows of one shape, addressed by key, kept in memory-mapped shards.

    A shard is ``<id>.npy`` (float16, rows first) and ``<id>.json`` (its keys and checksum), each
    renamed into place when complete, the list of keys last: a shard counts when both are there and
    agree. Everything else, what a killed run left or a disk damaged, is passed over, removed by the
    next one that holds the lock, and computed again.

    Args:
        folder: The store's own folder; one folder holds one kind of row.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards: dict[str, np.ndarray] = {}
        self._places: dict[str, tuple[str, int]] = {}

    @contextlib.contextmanager
    def locked(self, on_wait: str = "") -> Iterator[None]:
        """Hold the store for writing; a second run waits here and then finds the rows.

        Args:
            on_wait: A line to print when another run holds the store.
        """
        lock = self._lock()
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if on_wait:
                print(on_wait, flush=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _lock(self) -> FileLock:
        # beside the folder, not in it: eviction removes the folder while the lock is held
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder.with_name(self.folder.name + ".lock"))

    def load(self, *, mend: bool = False) -> None:
        """Read which rows are there.

        Args:
            mend: Remove what belongs to no whole shard; only while the lock is held, for another
                run may be in the middle of writing.
        """
        if not self.folder.exists():
            return
        for index in sorted(self.folder.glob("[!.]*.json")):
            if index.stem in self._shards:
                continue
            rows = _read_shard(index)
            if rows is None:
                continue
            keys, mapped = rows
            self._shards[index.stem] = mapped
            self._places.update((key, (index.stem, row)) for row, key in enumerate(keys))
        (self.folder / "last_used").touch()
        if mend:
            self._remove_remains()

    def _remove_remains(self) -> None:
        for path in self.folder.iterdir():
            if path.name != "last_used" and path.stem not in self._shards:
                with contextlib.suppress(OSError):
                    path.unlink()

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Return the keys that have no row yet, each once, in their order."""
        return [key for key in dict.fromkeys(keys) if key not in self._places]

    def add(self, keys: Sequence[str], rows: np.ndarray) -> None:
        """Write one shard.

        Args:
            keys: One a row.
            rows: Values (n, ...); stored as float16, so finite and below 65,504 in magnitude.

        Raises:
            UserError: If a value does not fit into float16 or the disk is full.
        """
        with np.errstate(over="ignore"):  # an overflow is infinite, and said below
            stored = np.ascontiguousarray(rows, dtype=np.float16)
        if not np.isfinite(stored).all():
            raise UserError(
                "a feature is not finite or too large for float16: the backbone's weights do not "
                "suit the pictures; use finetune.cached=false or other weights"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex
        try:
            with replacing(self.folder / f"{name}.npy") as temporary, temporary.open("wb") as out:
                np.save(out, stored)
            checksum = zlib.crc32(stored.data)
            replace_json(
                self.folder / f"{name}.json",
                {"keys": list(keys), "shape": list(stored.shape), "crc32": checksum},
            )
        except OSError as error:
            raise UserError(
                f"the feature cache in {self.folder} cannot be written ({error.strerror}): free "
                "disk space, or name another place with cache.dir=DIR"
            ) from error
        self.load()

    def take(self, keys: Sequence[str]) -> np.ndarray:
        """Copy the rows of ``keys`` into one float16 array (n, ...).

        Raises:
            KeyError: If a key has no row.
        """
        places = [self._places[key] for key in keys]
        first = self._shards[places[0][0]]
        out = np.empty((len(places), *first.shape[1:]), dtype=np.float16)
        by_shard: dict[str, list[tuple[int, int]]] = {}
        for position, (shard, row) in enumerate(places):
            by_shard.setdefault(shard, []).append((position, row))
        for shard, pairs in by_shard.items():
            positions, rows = zip(*pairs, strict=True)
            out[list(positions)] = self._shards[shard][list(rows)]
        return out

    def row_shape(self) -> tuple[int, ...]:
        """Return the shape of one row; the store must hold one."""
        return next(iter(self._shards.values())).shape[1:]


def _read_shard(index: Path) -> tuple[list[str], np.ndarray] | None:
    """Return keys and mapped rows of a shard, or None when it is not whole."""
    try:
        entry = json.loads(index.read_text(encoding="utf-8"))
        mapped = np.load(index.with_suffix(".npy"), mmap_mode="r")
        whole = (
            list(mapped.shape) == entry["shape"]
            and len(entry["keys"]) == len(mapped)
            and zlib.crc32(mapped.data) == entry["crc32"]
        )
    except (OSError, ValueError, KeyError):
        return None
    return (entry["keys"], mapped) if whole else None


def folder_size(folder: Path) -> int:
    """Return the bytes that the files below a folder take."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # renamed by another run meanwhile
            total += path.stat().st_size if path.is_file() else 0
    return total


def make_room(root: Path, keep: Path, needed: int, max_gb: float) -> list[Path]:
    """Remove the stores used longest ago until ``needed`` more bytes fit below ``max_gb``.

    Stores that another run is writing to are left alone.

    Args:
        root: The folder whose direct subfolders are stores.
        keep: The store about to grow, never removed.
        needed: Bytes that it will grow by.
        max_gb: The bound on all stores together, in units of 10^9 bytes.

    Returns:
        The stores removed.

    Raises:
        UserError: If it does not fit even alone.
    """
    limit = max_gb * GIGABYTE
    stores = [path for path in root.iterdir() if path.is_dir()] if root.exists() else []
    sizes = {path: folder_size(path) for path in stores}
    own = sizes.pop(keep, 0)
    if own + needed > limit:
        raise UserError(
            f"the features of this set take {(own + needed) / GIGABYTE:.2f} GB, more than "
            f"cache.max_gb={max_gb:g}: raise it, or use finetune.cached=false"
        )
    removed = []
    for store in sorted(sizes, key=_last_used):
        if own + needed + sum(sizes.values()) <= limit:
            break
        lock = FileLock(store.with_name(store.name + ".lock"))
        with contextlib.suppress(Timeout, OSError), lock.acquire(timeout=0):
            # renamed first: where a run still maps it (Windows), that fails and nothing is lost
            shutil.rmtree(store.rename(store.with_name(f".{store.name}.removed")))
            del sizes[store]
            removed.append(store)
    return removed


def _last_used(store: Path) -> float:
    stamp = store / "last_used"
    return stamp.stat().st_mtime if stamp.exists() else time.time()
