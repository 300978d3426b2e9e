"""What floors see of the pictures of a data set: read once, kept by content."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.data.crew import Crew
from casting_inspect.data.decode import Window, read_rgb
from casting_inspect.files import cache_root, replacing
from casting_inspect.models.floors import SEEN, Features, picture_features

VERSION: Final = 1  # to be raised when picture_features changes
KEPT: Final = 16
"""Tables in the cache: 13 MB each for 8,648 pictures; the oldest beyond that are removed."""


def seen_of_pictures(
    frame: pd.DataFrame,
    root: Path,
    *,
    window: Window | None = None,
    cache: Path | None = None,
    progress: bool = False,
) -> dict[str, Features]:
    """Return what is seen of each row's picture: a table (n, d) for each of ``floors.SEEN``.

    Args:
        frame: A manifest with ``path`` and ``sha256``, every digest filled in.
        root: What its paths are relative to.
        window: For pictures of more than 8 bits: see ``decode.apply_window``.
        cache: Folder of the tables; by default ``floors`` in the user's caches.
        progress: Whether a bar is shown while pictures are read.

    Raises:
        UserError: If a picture cannot be read.
    """
    first = frame.drop_duplicates("sha256").sort_values("sha256", kind="stable")
    digests = first["sha256"].to_list()
    folder = cache_root() / "floors" if cache is None else cache
    kept = folder / f"{_name(digests, window)}.npz"
    tables = _read(kept, len(digests))
    if tables is None:
        tables = _seen([root / path for path in first["path"]], window, progress)
        _write(tables, kept)
    at = pd.Index(digests).get_indexer(frame["sha256"].to_numpy())
    return {what: table[at] for what, table in tables.items()}


def _name(digests: Sequence[str], window: Window | None) -> str:
    what = json.dumps([VERSION, window, digests])
    return hashlib.sha256(what.encode()).hexdigest()[:32]


def _seen(paths: Sequence[Path], window: Window | None, progress: bool) -> dict[str, Features]:
    def look(path: Path) -> list[Features]:
        picture = read_rgb(path, window)
        return [picture_features(what, picture) for what in SEEN]

    rows = Crew(progress=progress).each(look, paths, "what floors see")
    return {what: np.stack([row[at] for row in rows]) for at, what in enumerate(SEEN)}


def _read(path: Path, rows: int) -> dict[str, Features] | None:
    """Return the tables of a file, or None where there is none or it is damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            tables = {what: stored[what].astype(np.float32) for what in SEEN}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return tables if all(len(table) == rows for table in tables.values()) else None


def _write(tables: Mapping[str, Features], path: Path) -> None:
    stored: dict[str, NDArray[np.float32] | NDArray[np.uint8]] = dict(tables)
    stored["pixels"] = tables["pixels"].astype(np.uint8)  # whole numbers, and most of the bytes
    with replacing(path) as temporary:
        np.savez(temporary, **stored)  # type: ignore[arg-type]
    by_age = sorted(path.parent.glob("*.npz"), key=lambda each: each.stat().st_mtime)
    for old in by_age[:-KEPT]:
        old.unlink(missing_ok=True)
