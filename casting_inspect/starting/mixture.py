"""Signs that pictures of several parts, cameras or lots lie in one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

import pandas as pd

from casting_inspect.data import folders

_SHARE: Final = 0.1
"""Of the pictures that must have a size for it to be a family of its own."""


def mixed_folders(paths: Sequence[str], labels: Sequence[str]) -> str | None:
    """Return a warning where folders above the classes may be different parts, else None.

    Args:
        paths: Of the pictures.
        labels: Of each.
    """
    for level in (0, 1):
        classes: dict[str, set[str]] = {}
        for path, label in zip(paths, labels, strict=True):
            parts = PurePosixPath(path).parts[:-1]
            if len(parts) <= level:
                break
            classes.setdefault(parts[level], set()).add(label)
        else:
            names = [name for name in classes if name.lower() not in folders.SPLITS]
            if len(names) > 1 and all(len(classes[name]) > 1 for name in names):
                shown = ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "")
                return (
                    f"{len(names)} folders ({shown}) hold good and defective castings each. If "
                    "they are different parts, stop and start each folder by itself: one inspector "
                    "for several parts is worse for each. If they are lots, days or cameras: "
                    f"data.lot_from=folder:{level + 1}"
                )
    return None


def mixed_sizes(frame: pd.DataFrame) -> str | None:
    """Return a warning where pictures come in several sizes, else None.

    Args:
        frame: A manifest with ``width``, ``height`` and ``label``.
    """
    size = frame["width"].astype(str) + " x " + frame["height"].astype(str)
    counts = size.value_counts()
    families = counts[counts >= _SHARE * len(frame)]
    if len(families) < 2:
        return None
    shown = ", ".join(f"{name} ({number:,})" for name, number in families.items())
    one_class = [
        str(name) for name in families.index if frame.loc[size == name, "label"].nunique() == 1
    ]
    told = (
        f" All pictures of {one_class[0]} are of one class: the size alone gives it away, and what "
        "is measured below is worth nothing for castings photographed alike."
        if one_class
        else ""
    )
    return (
        f"pictures of {len(families)} sizes: {shown}. If they show different parts, or come from "
        f"different cameras, make one inspector for each.{told}"
    )
