"""Pictures decoded and resized once, kept on disk, mapped by all workers and runs alike."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import PIL

from casting_inspect.data.crew import Crew
from casting_inspect.data.decode import Window
from casting_inspect.data.row_store import GIGABYTE, RowStore, make_room
from casting_inspect.errors import UserError, first_line

# what one row means; raised when decoding or resizing change pixels
FORMAT: Final = 1
SHARD_BYTES: Final = 2**26
SHARD_ROWS: Final = 512


@dataclass(frozen=True)
class Kept:
    """What came of keeping pictures.

    Attributes:
        rows: Different pictures asked for.
        decoded: Pictures decoded for it, the others were there.
        seconds: Wall time.
        folder: Where they are.
        problem: Why those that were not there are decoded anew each time; empty when all are kept.
    """

    rows: int
    decoded: int
    seconds: float
    folder: Path
    problem: str = ""


def cache_name(image_size: int, fit: str, window: Window | None) -> str:
    """Return the folder name of the pictures of one size, made in one way by these libraries."""
    what = {
        "format": FORMAT,
        "image_size": image_size,
        "fit": fit,
        "window": window,
        "opencv": cv2.getBuildInformation(),  # with the versions of the decoders in it
        "pillow": PIL.__version__,
    }
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    return f"{image_size}-{fit}-{digest}"


class PixelCache(RowStore):
    """Square uint8 pictures by the digest of their file, grey ones in one channel.

    A process that maps them needs no memory of its own for them, and a worker that is started
    maps what its parent does.

    Args:
        root: The folder of all pixel caches.
        image_size: Pixels a side, S.
        fit: How pictures are made square.
        window: The grey window, or None.
    """

    def __init__(self, root: Path, image_size: int, fit: str, window: Window | None) -> None:
        super().__init__(root / cache_name(image_size, fit, window))
        self.image_size = image_size

    def get(self, key: str) -> np.ndarray | None:
        """Return the picture, uint8 (S, S, channels), read-only, or None."""
        place = self._places.get(key)
        if place is None:
            return None
        picture: np.ndarray = self._shards[place[0]][place[1]]
        return picture

    def fill(
        self,
        pictures: Mapping[str, int],
        read: Callable[[int], np.ndarray],
        *,
        max_gb: float,
        crew: Crew,
    ) -> Kept:
        """Keep pictures, as far as they are not kept yet.

        One run at a time decodes; another waits and then finds them. Where they cannot be kept,
        nothing fails.

        Args:
            pictures: What `read` takes for each key.
            read: From that to uint8 (S, S, channels); threads call it.
            max_gb: Bound on all stores of the cache together, in units of 10^9 bytes.
            crew: The threads that decode.

        Raises:
            UserError: If a picture cannot be read.
        """
        started = time.perf_counter()
        kept, problem = 0, ""
        try:
            self.load()
            if self.missing(list(pictures)):
                with self.locked("another run is decoding these pictures; waiting for it"):
                    self.load(mend=True)
                    missing = {key: pictures[key] for key in self.missing(list(pictures))}
                    kept, problem = self._keep(missing, read, max_gb, crew)
        except (OSError, NotImplementedError) as error:  # some file systems have no locks
            problem = _reason(error)
        seconds = time.perf_counter() - started
        return Kept(len(pictures), kept, seconds, self.folder, problem)

    def _keep(
        self,
        missing: Mapping[str, int],
        read: Callable[[int], np.ndarray],
        max_gb: float,
        crew: Crew,
    ) -> tuple[int, str]:
        """Decode and write pictures; return how many, and why they could not be kept."""
        keys, written = list(missing), list[str]()
        step = min(SHARD_ROWS, max(1, SHARD_BYTES // (3 * self.image_size**2)))
        decoded = crew.batches(read, list(missing.values()), step, "decoding")
        with contextlib.closing(decoded):
            for start, rows in decoded:
                if start == 0:
                    needed = sum(row.nbytes for row in rows) * len(keys) // len(rows)
                    problem = self._too_little_room(needed, max_gb)
                    if problem:
                        return 0, problem
                try:
                    self._write(keys[start : start + len(rows)], rows, written)
                except OSError as error:
                    self.remove_shards(written)  # a full disk fails others too
                    return 0, _reason(error)
        return len(keys), ""

    def _too_little_room(self, needed: int, max_gb: float) -> str:
        """Make room for that many bytes, or return why there is none."""
        size = f"they take {needed / GIGABYTE:.2f} GB"
        self.folder.mkdir(parents=True, exist_ok=True)
        if needed > shutil.disk_usage(self.folder).free:
            return f"{size}, more than is free on the disk"
        try:
            make_room(self.folder, needed, max_gb)
        except UserError:
            return f"{size}, too much for cache.max_gb={max_gb:g}"
        return ""

    def _write(self, keys: Sequence[str], rows: Sequence[np.ndarray], written: list[str]) -> None:
        """Write a shard of the grey pictures and one of the others, and note their names."""
        for channels in (1, 3):
            chosen = [place for place, row in enumerate(rows) if row.shape[2] == channels]
            if chosen:
                stacked = np.stack([rows[place] for place in chosen])
                written.append(self.write_shard([keys[place] for place in chosen], stacked))


def _reason(error: Exception) -> str:
    """Return why a folder cannot be written, in a few words."""
    return (getattr(error, "strerror", None) or first_line(error)).lower()
