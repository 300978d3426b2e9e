"""Whether a run that was done again gave the same: data, weights, predictions, metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from casting_inspect.data.manifest import dataset_digest, read_manifest
from casting_inspect.evaluation.predictions import FIT, read_predictions

EXACT, ROUNDING, DIFFERENT = "bit for bit", "within rounding", "not reproduced"
TOLERANCE: Final = 1e-3
"""Of a probability: other processors and libraries add up in another order."""
_ROW: Final = ["split", *FIT, "path"]
_PARTS: Final = ("path", "label", "group", "group_wide", "split", "inner", "sha256")
_NUMBERS: Final = ("p_normal", "logit", "threshold")
_RATES: Final = ("escape_rate", "overkill_rate", "balanced_accuracy")
_SHOWN: Final = 5


@dataclass(frozen=True)
class Agreement:
    """What two runs share, and what not.

    Attributes:
        result: ``bit for bit``, ``within rounding`` or ``not reproduced``.
        same_place: Whether commit, versions and hardware are the same, so that bits should be.
        surroundings: What differs around the run: commit, versions, hardware.
        inputs: What differs in data or weights.
        predictions: ``rows``, ``missing``, ``largest`` (of p_normal), ``verdicts`` that changed.
        metrics: ``figures``, ``different``, the ``first`` of these by name, ``largest`` of rates.
    """

    result: str
    same_place: bool
    surroundings: list[str]
    inputs: list[str]
    predictions: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def reproduced(self) -> bool:
        """Whether it is what may be expected: the same bits in the same place."""
        return self.result == EXACT or (self.result == ROUNDING and not self.same_place)


def agreement(
    before: Path,
    after: Path,
    records: tuple[Mapping[str, Any], Mapping[str, Any]],
    metrics: tuple[Mapping[str, Any], Mapping[str, Any]],
    tolerance: float = TOLERANCE,
) -> Agreement:
    """Return how two finished runs agree.

    Args:
        before: The first run's folder, for its manifest and predictions.
        after: The second's.
        records: Their ``run.json``.
        metrics: Their ``metrics.json``.
        tolerance: Largest difference of a probability, or of a rate, that counts as rounding.
    """
    around = list(_surroundings(*records))
    inputs = list(_inputs(before, after, *records))
    tables = tuple(read_predictions(folder / "predictions.csv") for folder in (before, after))
    scores, figures = compared_predictions(*tables), compared_metrics(*metrics)
    exact = scores["identical"] and not figures["different"]
    near = (
        not scores["missing"]
        and not scores["verdicts"]
        and scores["largest"] <= tolerance
        and figures["largest"] <= tolerance
    )
    result = DIFFERENT if inputs or not (exact or near) else EXACT if exact else ROUNDING
    return Agreement(result, not around, around, inputs, scores, figures)


def _surroundings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs around two runs."""
    commits = [record.get("commit") or {} for record in (before, after)]
    if commits[0].get("id") != commits[1].get("id"):
        named = [str(commit.get("id") or "unknown")[:12] for commit in commits]
        yield f"commit {named[0]}, now {named[1]}"
    for when, commit in zip(("then", "now"), commits, strict=True):
        if commit.get("modified"):
            yield f"{when} with changes that are in no commit"
    for key in ("versions", "hardware", "paths_taken"):
        old, new = before.get(key) or {}, after.get(key) or {}
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                yield f"{name} {old.get(name)}, now {new.get(name)}"


def _inputs(
    before: Path, after: Path, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what differs in data and weights."""
    first, second = (read_manifest(folder / "manifest.csv") for folder in (before, after))
    if dataset_digest(first) != dataset_digest(second):
        yield "the pictures or their labels"
    else:
        columns = [name for name in _PARTS if name in first and name in second]
        tables = [
            table[columns].astype(str).sort_values("path", ignore_index=True)
            for table in (first, second)
        ]
        for name in columns:
            if rows := int((tables[0][name] != tables[1][name]).sum()):
                yield f"column '{name}' of the manifest, {rows:,} rows"
    weights = [(record.get("digests") or {}).get("weights") for record in (old, new)]
    if weights[0] != weights[1]:
        yield f"weights {str(weights[0])[:12]}, now {str(weights[1])[:12]}"


def compared_predictions(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, Any]:
    """Return how two complete predictions tables agree, row by row, in any order.

    Returns:
        ``rows`` in both; ``missing`` from one of them; ``identical``, whether every row and number
        is the same; ``largest`` difference of ``p_normal``; ``verdicts`` that changed.
    """
    both = before.merge(after, on=_ROW, how="outer", suffixes=("", "_new"), indicator=True)
    shared = both[both["_merge"] == "both"]
    missing = len(both) - len(shared)
    differs = np.abs(shared["p_normal"] - shared["p_normal_new"])
    verdicts = [
        shared[f"p_normal{end}"].to_numpy() > shared[f"threshold{end}"].to_numpy()
        for end in ("", "_new")
    ]
    same = all((shared[name] == shared[f"{name}_new"]).all() for name in _NUMBERS)
    return {
        "rows": len(shared),
        "missing": missing,
        "identical": bool(same and not missing),
        "largest": float(differs.max()) if len(differs) else 0.0,
        "verdicts": int(np.count_nonzero(verdicts[0] != verdicts[1])),
    }


def compared_metrics(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return how two ``metrics.json`` agree, figure by figure.

    Returns:
        ``figures`` compared; how many are ``different``; the names of the ``first`` of these;
        ``largest`` difference of an escape rate, overkill rate or balanced accuracy.
    """
    old, new = dict(leaves(before)), dict(leaves(after))
    names = list(dict.fromkeys([*old, *new]))
    changed = [name for name in names if old.get(name) != new.get(name)]
    gaps = [
        _gap(old.get(name), new.get(name))
        for name in changed
        if name.split("/")[1:2] and _rate(name)
    ]
    return {
        "figures": len(names),
        "different": len(changed),
        "first": changed[:_SHOWN],
        "largest": max(gaps, default=0.0),
    }


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value below a nested one, with its names joined by slashes."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from leaves(below, f"{name}/{key}" if name else str(key))
    elif isinstance(value, list):
        for at, below in enumerate(value):
            yield from leaves(below, f"{name}/{at}")
    else:
        yield name, value


def _rate(name: str) -> bool:
    split, _, rest = name.partition("/")
    return split in ("train", "val", "test") and rest.startswith(_RATES)


def _gap(old: Any, new: Any) -> float:
    if isinstance(old, int | float) and isinstance(new, int | float):
        return abs(float(old) - float(new))
    return math.inf
