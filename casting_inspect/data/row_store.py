"""Rows of numbers on disk by key, in mapped shards: bounded, shared by all runs, safe to kill."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from filelock import FileLock, Timeout

from casting_inspect.errors import UserError
from casting_inspect.files import replace_json, replacing

GIGABYTE: Final = 10**9
KINDS: Final = ("features", "pixels")
"""The folders of a cache whose subfolders are stores and share one bound."""


class RowStore:
    """Rows addressed by key, kept in memory-mapped shards.

    A shard is ``<id>.npy`` (rows first, all of one shape) and ``<id>.json`` (its keys and
    checksum), each renamed into place when complete, the list of keys last: a shard counts when
    both are there and agree. Everything else, what a killed run left or a disk damaged, is passed
    over, removed by the next one that holds the lock, and computed again.

    Args:
        folder: The store's own folder; one folder holds one kind of row.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards: dict[str, np.ndarray] = {}
        self._places: dict[str, tuple[str, int]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return which shards are open; another process maps the same ones."""
        return {**self.__dict__, "_shards": list(self._shards), "_places": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map the shards again; they were checked where they come from."""
        self.__dict__.update(state)
        self._shards = {}
        for name in state["_shards"]:
            self._open(name, check=False)

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
            if index.stem not in self._shards:
                self._open(index.stem)
        with contextlib.suppress(OSError):  # a folder that can only be read will do
            (self.folder / "last_used").touch()
        if mend:
            self._remove_remains()

    def _open(self, name: str, *, check: bool = True) -> None:
        """Map a shard if it is whole."""
        rows = _read_shard(self.folder / f"{name}.json", check=check)
        if rows is not None:
            keys, self._shards[name] = rows
            self._places.update((key, (name, row)) for row, key in enumerate(keys))

    def _remove_remains(self) -> None:
        for path in self.folder.iterdir():
            if path.name != "last_used" and path.stem not in self._shards:
                with contextlib.suppress(OSError):
                    path.unlink()

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Return the keys that have no row yet, each once, in their order."""
        return [key for key in dict.fromkeys(keys) if key not in self._places]

    def write_shard(self, keys: Sequence[str], rows: np.ndarray) -> str:
        """Write one shard and map it.

        Args:
            keys: One a row.
            rows: Values (n, ...), contiguous.

        Returns:
            The shard's name.

        Raises:
            OSError: If the disk is full or the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex
        with replacing(self.folder / f"{name}.npy") as temporary, temporary.open("wb") as out:
            np.save(out, rows)
        about = {"keys": list(keys), "shape": list(rows.shape), "crc32": zlib.crc32(rows.data)}
        replace_json(self.folder / f"{name}.json", about)
        self._open(name, check=False)
        return name

    def remove_shards(self, names: Sequence[str]) -> None:
        """Remove shards that were written; only while the lock is held."""
        for name in names:
            self._shards.pop(name, None)
            for suffix in (".json", ".npy"):
                with contextlib.suppress(OSError):
                    (self.folder / f"{name}{suffix}").unlink()
        self._places = {k: place for k, place in self._places.items() if place[0] in self._shards}


def _read_shard(index: Path, *, check: bool) -> tuple[list[str], np.ndarray] | None:
    """Return keys and mapped rows of a shard, or None when it is not whole.

    Args:
        index: Its list of keys.
        check: Whether the rows are read once and compared with their checksum.
    """
    try:
        entry = json.loads(index.read_text(encoding="utf-8"))
        mapped = np.load(index.with_suffix(".npy"), mmap_mode="r")
        whole = (
            list(mapped.shape) == entry["shape"]
            and len(entry["keys"]) == len(mapped)
            and (not check or zlib.crc32(mapped.data) == entry["crc32"])
        )
    except (OSError, ValueError, KeyError):
        return None
    # as a plain array: a memmap makes an object of its own of every row that is taken
    return (entry["keys"], mapped.view(np.ndarray)) if whole else None


def folder_size(folder: Path) -> int:
    """Return the bytes that the files below a folder take."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # renamed by another run meanwhile
            total += path.stat().st_size if path.is_file() else 0
    return total


def make_room(keep: Path, needed: int, max_gb: float) -> list[Path]:
    """Remove the stores used longest ago until ``needed`` more bytes fit below ``max_gb``.

    Stores that another run is writing to are left alone.

    Args:
        keep: The store about to grow, never removed; those beside it and of the other `KINDS`
            share the bound.
        needed: Bytes that it will grow by.
        max_gb: The bound on all stores together, in units of 10^9 bytes.

    Returns:
        The stores removed.

    Raises:
        UserError: If it does not fit even alone.
    """
    limit = max_gb * GIGABYTE
    roots = {keep.parent, *(keep.parent.with_name(kind) for kind in KINDS)}
    stores = [path for root in roots if root.exists() for path in root.iterdir() if path.is_dir()]
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
