"""Finding of the second method: copies that it suspects after splitting, and on a random split."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.auditing.answers import kept_json
from casting_inspect.auditing.findings import NOTE, WARNING, Finding, share_words
from casting_inspect.data.audit import second_look
from casting_inspect.data.audit.polar_signature import VERSION
from casting_inspect.data.folds import classes_of, deal, units_of
from casting_inspect.evaluation.claims import TOLERATED
from casting_inspect.labels import CLASS_NAMES

FOLDS: Final = 5
_PAIRS_KEPT: Final = 12


def second_opinion(frame: pd.DataFrame, root: Path, cache: Path | None, progress: bool) -> Finding:
    """Return how many test files the second method suspects of having a copy in training.

    Three splits are measured: by group in five folds, which should leave none; at random by file
    in five folds, which says what the method can see; and the delivered one, if there is one.

    Args:
        frame: A manifest with groups; every file decodes.
        root: What its paths are relative to.
        cache: Folder of the caches; None for the user's.
        progress: Whether a bar is shown.
    """
    columns = ["path", "label", "split", "sha256", "group", "group_wide"]
    rows = sorted(map(tuple, frame[columns].to_numpy().tolist()))
    question = ["second opinion", 1, VERSION, rows]
    ordered = frame.sort_values(["sha256", "path"], kind="stable", ignore_index=True)
    found = kept_json(question, lambda: _measured(ordered, root, cache, progress), cache)
    by_group, by_file = found["group"], found["file"]
    if by_group is None:
        return Finding(
            key="second_opinion",
            severity=NOTE,
            title="A second opinion",
            count=0,
            unit="test files",
            sentence="Not measured: a split by group needs two groups of each class.",
            details=found,
        )
    share = by_group["share"]
    sentence = (
        f"After a split by these groups ({by_group['folds']} folds) a method that shares nothing "
        f"with the search for groups suspects a copy in training for {by_group['files']:,} of "
        f"{by_group['of']:,} test files ({share_words(share)}). On a random split it suspects "
        f"{share_words(by_file['share'])} where {share_words(by_file['known'])} have one: so much "
        "it can see."
    )
    if found["delivered"] is not None:
        sentence += f" On the delivered split: {share_words(found['delivered']['share'])}."
    return Finding(
        key="second_opinion",
        severity=WARNING if share > TOLERATED else NOTE,
        title="A second opinion",
        count=by_group["files"],
        unit="test files",
        share=share,
        sentence=sentence,
        advice=(
            "Look at the pairs below: where they show one photograph, give both files the same "
            "name in the column group and audit again."
            if share > TOLERATED
            else ""
        ),
        files=by_group["paths"],
        sets=by_group["pairs"],
        details=found,
    )


def _measured(frame: pd.DataFrame, root: Path, cache: Path | None, progress: bool) -> Any:
    """Return the shares of the three splits, each None where it cannot be made."""
    folder = None if cache is None else cache / "second_look"
    paths, digests = [root / path for path in frame["path"]], frame["sha256"].to_list()
    signatures = second_look.signatures(paths, digests, folder, progress)
    units = units_of(frame)
    fold = _folds_by_group(frame.assign(unit=units))
    delivered = None
    if (frame["split"] == "test").any() and frame["split"].isin(["train", "val"]).any():
        words = frame["split"].to_numpy()
        learnt = np.flatnonzero(np.isin(words, ["train", "val"]))
        delivered = _share(frame, signatures, units, [(learnt, np.flatnonzero(words == "test"))])
    at_random = np.random.default_rng(0).permutation(len(frame)) % FOLDS
    by_group = None
    if fold is not None:
        by_group = _share(frame, signatures, units, _parts(fold), with_files=True)
    return {
        "group": by_group,
        "file": _share(frame, signatures, units, _parts(at_random)),
        "delivered": delivered,
    }


def _folds_by_group(table: pd.DataFrame) -> NDArray[np.intp] | None:
    """Return the fold of each row, drawn over units, or None with too few of them."""
    classes = classes_of(table)
    possible = min(FOLDS, *(int((classes == name).sum()) for name in CLASS_NAMES))
    if possible < 2:
        return None
    dealt, _ = deal(classes, possible, np.random.default_rng([0]))
    return np.asarray(table["unit"].map(dealt), dtype=np.intp)


def _parts(fold: NDArray[Any]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    folds = np.unique(fold)
    return [(np.flatnonzero(fold != each), np.flatnonzero(fold == each)) for each in folds]


def _share(
    frame: pd.DataFrame,
    signatures: NDArray[np.complex64],
    units: NDArray[np.intp],
    parts: list[tuple[NDArray[np.intp], NDArray[np.intp]]],
    with_files: bool = False,
) -> dict[str, Any]:
    """Return how many test files are suspected over some (train, test) parts, perhaps which."""
    found: list[tuple[float, int, int]] = []
    known, of, thresholds = 0, 0, []
    for train, test in parts:
        look = second_look.compared(signatures[train], signatures[test])
        at = np.flatnonzero(look.suspected)
        alike = train[look.best[at]]
        found += zip(look.score[at].tolist(), test[at].tolist(), alike.tolist(), strict=True)
        known += int(np.isin(units[test], units[train]).sum())
        of += len(test)
        thresholds.append(look.threshold)
    path = frame["path"].to_numpy()
    surest = sorted(found, key=lambda each: (-each[0], each[1]))[:_PAIRS_KEPT]
    files = {
        "paths": sorted(path[test] for _, test, _ in found),
        "pairs": [[path[test], path[train]] for _, test, train in surest],
    }
    return {
        "files": len(found),
        "of": of,
        "share": len(found) / of,
        "known": known / of,
        "folds": len(parts),
        "thresholds": [round(each, 4) for each in thresholds],
        **(files if with_files else {}),
    }
