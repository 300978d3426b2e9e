"""Answers that took long, kept in files by the digest of their question."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from casting_inspect.files import replacing

KEPT: Final = 24
"""Answers a folder holds; beyond that those used longest ago are removed."""


def read_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return what `write_arrays` wrote, or None where there is nothing or it is damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        path.touch()
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return arrays


def write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write named arrays in one step, and make room beside them."""
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
    by_age = sorted(path.parent.glob("[!.]*.npz"), key=lambda each: each.stat().st_mtime)
    for old in by_age[:-KEPT]:
        old.unlink(missing_ok=True)
