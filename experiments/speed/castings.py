"""The pictures that are measured on: synthetic castings, or a set of the user's own."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pandas as pd
from settings import CURVE, DATA, pick

from casting_inspect.data.manifest import find_manifest, write_manifest
from casting_inspect.data.synthetic import SyntheticConfig, ensure_castings

PHOTOGRAPHS = 3
PIXELS = pick(256, 64)
"""Side of a synthetic picture."""


def source() -> Path:
    """Return the folder of all pictures; synthetic ones are made once, in the cache."""
    if DATA:
        return Path(DATA)
    parts = -(-max(CURVE) // PHOTOGRAPHS)
    return ensure_castings(SyntheticConfig(parts=parts, photographs=PHOTOGRAPHS, size=PIXELS))


def spread(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a manifest in an order whose every beginning is a fair sample of both classes.

    By digest within a class: the same on every machine, whatever the files are called.
    """
    ordered = frame.sort_values(["sha256", "path"], ignore_index=True)
    place = ordered.groupby("label").cumcount() + 1
    size = ordered.groupby("label")["path"].transform("size")
    order = (place / size).sort_values(kind="stable").index
    return ordered.loc[order].reset_index(drop=True)


def folder_of(out: Path, rows: int, distinct: int | None = None, *, as_new: bool = False) -> Path:
    """Make a data root of ``rows`` pictures: ``normal/``, ``defective/`` and ``manifest.csv``.

    Files are linked, not copied, where the file system can.

    Args:
        out: The folder to make.
        rows: Rows of the manifest; fewer where ``distinct`` is None and there are no more pictures.
        distinct: Different pictures among them, repeated under other names; None: all.
        as_new: Repeated pictures count as pictures of their own: each row has another digest.

    Returns:
        ``out``.
    """
    root = source()
    pictures = spread(find_manifest(root)).iloc[: distinct or rows].reset_index(drop=True)
    count = rows if distinct else len(pictures)
    made = pictures.iloc[[row % len(pictures) for row in range(count)]].reset_index(drop=True)
    for label in set(made["label"]):
        (out / label).mkdir(parents=True, exist_ok=True)
    names = []
    for row, (path, label) in enumerate(zip(made["path"], made["label"], strict=True)):
        names.append(f"{label}/{row:05d}{Path(path).suffix}")
        _link(root / path, out / names[-1])
    made["path"] = names
    made["split"] = ""
    if as_new:
        made["sha256"] = [
            hashlib.sha256(f"{digest} {row}".encode()).hexdigest()
            for row, digest in enumerate(made["sha256"])
        ]
    write_manifest(made.sort_values("path"), out / "manifest.csv")
    return out


def _link(picture: Path, link: Path) -> None:
    try:
        os.link(picture.resolve(), link)
    except OSError:  # another file system
        shutil.copyfile(picture, link)


def count_of(root: Path) -> int:
    """Return the pictures of a folder that ``folder_of`` made."""
    return len(find_manifest(root))
