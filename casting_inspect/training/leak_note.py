"""What stands beside a run's figures: the split's leak, floors on its rows, a second look."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from casting_inspect.data.audit import polar_signature, second_look
from casting_inspect.data.audit.leak import copies_in_training
from casting_inspect.data.module import CastingDataModule
from casting_inspect.files import cache_root, replace_json
from casting_inspect.training.fitting import Rows
from casting_inspect.training.floors import floors_beside

LEAKY: Final = ("file", "vendor", "manifest")
"""Splits that do not keep a group together by their own making."""
VERSION: Final = 1  # to be raised when the second look counts otherwise
_log = logging.getLogger(__name__)


def leak_notes(data: CastingDataModule, split: str, *, tested: bool = True) -> dict[str, Any]:
    """Measure how far a run's test part leaks, and what floors get on the very same files.

    Groups are the manifest's; where a picture has none, the audit's (found once, then cached).
    Without a test part the validation part is measured.

    Args:
        data: The run's pictures, split.
        split: ``data.split``.
        tested: Whether the run has figures of its test part; else it is not looked at.

    Returns:
        ``second_look``: how many ``files`` of the ``part``, ``of`` how many, a method apart from
        the search for groups suspects of having a copy in training, and their ``share``. For a
        split of `LEAKY` also ``leak``: the same by group, and where ``groups`` are from
        (``manifest`` or ``audit``); and ``floors``: figures by file of ``floors.SHOWN``. Nothing
        where nothing is held out.
    """
    part = "test" if tested and len(data.rows("test")) else "val"
    held = data.rows(part)
    learnt = data.rows("train")
    if part == "test":
        learnt = np.union1d(learnt, data.rows("val"))
    if not len(held):
        return {}
    notes: dict[str, Any] = {"second_look": _counted(_second_look(data, learnt, held), part)}
    if split not in LEAKY:
        return notes
    frame, source = _with_known_groups(data)
    parts = np.full(len(frame), "", dtype=object)
    parts[learnt], parts[held] = "train", "test"
    copies = copies_in_training(frame.assign(split=parts))
    leak = {**_counted(copies.to_list(), part), "groups": source}
    return {"leak": leak, "floors": floors_beside(data, data.rows("train"), held), **notes}


def pooled_notes(folders: Iterable[Path]) -> dict[str, Any]:
    """Return what the second looks of several test parts counted together.

    Args:
        folders: Run folders with ``metrics.json``.
    """
    found = [json.loads((each / "metrics.json").read_text("utf-8")) for each in folders]
    looks = [metrics["second_look"] for metrics in found if "second_look" in metrics]
    files, of = (sum(int(look[key]) for look in looks) for key in ("files", "of"))
    if not of:
        return {}
    look = {"part": "test", "share": files / of, "files": files, "of": of}
    return {"second_look": look}


def _counted(found: list[bool], part: str) -> dict[str, Any]:
    files = int(np.count_nonzero(found))
    return {"part": part, "share": files / len(found), "files": files, "of": len(found)}


def _second_look(data: CastingDataModule, learnt: Rows, held: Rows) -> list[bool]:
    """Return of which held-out files a copy is suspected; kept for other models' runs."""
    paths = [data.root / path for path in data.frame["path"]]
    digests = data.frame["sha256"].to_list()
    sides = [[digests[row] for row in rows] for rows in (learnt, held)]
    what = json.dumps([VERSION, polar_signature.VERSION, second_look.LEAST_SCORE, *sides])
    name = hashlib.sha256(what.encode()).hexdigest()[:32]
    kept = cache_root() / "second_look" / "answers" / f"{name}.json"
    try:
        answer = json.loads(kept.read_text(encoding="utf-8"))
        if len(answer) == len(held):
            return [bool(each) for each in answer]
    except (OSError, ValueError, TypeError):
        pass
    look = second_look.suspected_copies(
        *([paths[row] for row in rows] for rows in (learnt, held)),
        train_digests=sides[0],
        test_digests=sides[1],
    )
    replace_json(kept, look.suspected.astype(int).tolist())
    return [bool(each) for each in look.suspected]


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
