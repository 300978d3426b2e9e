"""Shortcut probes: what light, grey values and background alone tell of the class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.data.folds import classes_of, deal, units_of
from casting_inspect.evaluation.metrics import split_metrics
from casting_inspect.labels import CLASS_NAMES, NORMAL
from casting_inspect.models.floors import Features, out_of_fold

PROBES: Final = ("mean_grey", "histogram", "background")


def probe_figures(
    frame: pd.DataFrame,
    features: Mapping[str, Features],
    *,
    probes: Sequence[str] = PROBES,
    folds: int = 5,
    partition: int = 0,
) -> dict[str, dict[str, Any]]:
    """Return how far each probe tells the classes apart, without ever having seen the group.

    Args:
        frame: A manifest with groups (see `probe_predictions`).
        features: What is seen of each row's picture (see ``floor_features.seen_of_pictures``).
        probes: Which, of ``floors.SEEN``.
        folds: Of the cross-validation over groups.
        partition: Seed of their draw.

    Returns:
        For each probe ``auroc_by_file``, ``auroc_by_group`` {``value``, ``low``, ``high``,
        ``approximate`` where it is}, ``groups``, ``folds``, and for ``mean_grey`` ``brighter``:
        the class that is. Figures are None where a class has fewer than two groups.
    """
    found: dict[str, dict[str, Any]] = {}
    for probe in probes:
        table = probe_predictions(frame, features[probe], probe, folds=folds, partition=partition)
        if table is None:
            found[probe] = {"auroc_by_file": None, "auroc_by_group": None, "groups": 0, "folds": 0}
            continue
        figures = split_metrics(table)
        found[probe] = {
            "auroc_by_file": figures["auroc"],
            "auroc_by_group": figures["auroc_by_group"],
            "groups": figures["n_groups"],
            "folds": int(table["fold"].nunique()),
        }
        if probe == "mean_grey":
            brighter = NORMAL if table.attrs["sign"] > 0 else 1 - NORMAL
            found[probe]["brighter"] = CLASS_NAMES[brighter]
    return found


def probe_predictions(
    frame: pd.DataFrame, seen: Features, probe: str, *, folds: int = 5, partition: int = 0
) -> pd.DataFrame | None:
    """Return a probe's scores of every row as a predictions table, or None with too few groups.

    Mean grey is taken as it is, in the direction in which groups differ, so its AUROC is at least
    one half; there is nothing to fit and one fold. The others are floors, cross-validated: folds
    are drawn as those of a split by group are, over units of ``group_wide`` and ``group``.

    Args:
        frame: A manifest; a row without group is one of its own.
        seen: Of each row, (n, d).
        probe: One of ``floors.SEEN``.
        folds: Fewer are taken where a class has fewer groups.
        partition: Seed of the draw.

    Returns:
        ``path``, ``label``, ``group`` (the unit), ``fold``, ``partition``, ``model``, ``logit``
        and ``p_normal``; ``attrs["sign"]`` is 1 where larger is more normal, else -1.
    """
    fold, unit = _folds(frame, folds, partition)
    if fold is None:
        return None
    labels = (frame["label"] == CLASS_NAMES[NORMAL]).to_numpy().astype(np.int64)
    sign = 1.0
    if probe == "mean_grey":
        fold = np.zeros(len(frame), dtype=np.int64)
        sign = _direction(seen[:, 0], labels, unit)
        scores = sign * (seen[:, 0] - seen[:, 0].mean()) / max(float(seen[:, 0].std()), 1e-6)
    else:
        scores = out_of_fold(f"floor_{probe}", seen, labels, fold)
    table = pd.DataFrame(
        {
            "path": frame["path"].to_numpy(),
            "label": frame["label"].to_numpy(),
            "group": [f"unit{number}" for number in unit],
            "fold": fold,
            "partition": partition,
            "model": probe,
            "logit": np.asarray(scores, dtype=np.float64),
            "p_normal": 0.5 * (1.0 + np.tanh(0.5 * np.asarray(scores, dtype=np.float64))),
        }
    )
    table.attrs["sign"] = sign
    return table


def _folds(
    frame: pd.DataFrame, folds: int, partition: int
) -> tuple[NDArray[np.int64] | None, NDArray[np.intp]]:
    """Return the fold and the unit of each row; no fold where a class has fewer than two units."""
    empty = pd.Series("", index=frame.index, dtype=object)
    columns = ("sha256", "path", "label", "group", "group_wide")
    table = pd.DataFrame({name: frame.get(name, empty).fillna("").to_numpy() for name in columns})
    table["unit"] = units_of(table)
    classes = classes_of(table.sort_values(["sha256", "path"]))
    possible = min(folds, *(int((classes == name).sum()) for name in CLASS_NAMES))
    unit = np.asarray(table["unit"], dtype=np.intp)
    if possible < 2:
        return None, unit
    dealt, _ = deal(classes, possible, np.random.default_rng([partition]))
    return np.asarray(table["unit"].map(dealt), dtype=np.int64), unit


def _direction(
    grey: NDArray[np.float32], labels: NDArray[np.int64], unit: NDArray[np.intp]
) -> float:
    """Return 1 where normal groups are the brighter ones in the mean over groups, else -1."""
    means = pd.Series(grey).groupby([labels, unit]).mean().groupby(level=0).mean()
    return 1.0 if means.get(NORMAL, 0.0) >= means.get(1 - NORMAL, 0.0) else -1.0
