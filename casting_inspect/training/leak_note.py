"""What stands beside a figure of a split that can leak: the leak, and floors on the same rows."""

from __future__ import annotations

import logging
from typing import Any, Final

import numpy as np
import pandas as pd

from casting_inspect.data.audit.leak import copies_in_training
from casting_inspect.data.module import CastingDataModule
from casting_inspect.training.floors import floors_beside

LEAKY: Final = ("file", "vendor", "manifest")
"""Splits that do not keep a group together by their own making."""
_log = logging.getLogger(__name__)


def leak_and_floors(data: CastingDataModule, split: str) -> dict[str, Any]:
    """Measure how far a run's test part leaks, and what floors get on the very same files.

    Groups are the manifest's; where a picture has none, the audit's (found once, then cached).
    Without a test part the validation part is measured.

    Args:
        data: The run's pictures, split.
        split: ``data.split``.

    Returns:
        Nothing for a split by group. Else ``leak``: ``part``, ``share``, ``files`` that have a
        copy in training, ``of`` how many, ``groups`` (``manifest`` or ``audit``); and ``floors``:
        figures by file of each of ``floors.SHOWN``.
    """
    if split not in LEAKY:
        return {}
    part = "test" if len(data.rows("test")) else "val"
    if not len(data.rows(part)):
        return {}
    frame, source = _with_known_groups(data)
    if part == "val":  # nothing else is held out
        words = frame["split"].to_numpy()
        frame = frame.assign(split=np.where(words == "val", "test", words))
    copies = copies_in_training(frame)
    leak = {
        "part": part,
        "share": float(copies.mean()),
        "files": int(copies.sum()),
        "of": len(copies),
        "groups": source,
    }
    return {"leak": leak, "floors": floors_beside(data, data.rows("train"), data.rows(part))}


def _with_known_groups(data: CastingDataModule) -> tuple[pd.DataFrame, str]:
    """Return the table with a group for every row, and where groups are from."""
    frame = data.frame
    if ((frame["group"] != "") | (frame.get("group_wide", "") != "")).all():
        return frame, "manifest"
    from casting_inspect.data.audit.groups import with_groups

    _log.info(
        "%s: looking for copies of one photograph, to say how far data.split leaks (kept for the "
        "next time)",
        data.root,
    )
    return with_groups(frame, data.root)[0], "audit"
