"""What every threshold would do: the data behind the slider of a report."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from casting_inspect.evaluation.metrics import truths
from casting_inspect.evaluation.thresholds import shares_by_group

Floats = NDArray[np.float64]

POINTS: Final = 241
_WIDEST: Final = 12.0
"""Log-odds; a threshold nearer to 0 or 1 is of no use on a slider, unless it is the run's own."""
_TICKS: Final = (1e-4, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)


def explorer_values(tested: pd.DataFrame, chosen_on: pd.DataFrame, grouping: str) -> dict[str, Any]:
    """Return escape and overkill by group at thresholds from nearly 0 to nearly 1.

    One threshold for all folds: where each fold has its own, what stands at the slider's first
    place is near the run's figures and not the same.

    Args:
        tested: Test rows of a complete predictions table, with both classes.
        chosen_on: Validation or out-of-fold rows, those that thresholds may be chosen on; may be
            empty or hold one class, and is then left out.
        grouping: ``group`` or ``group_wide``: what the report's headline is under.

    Returns:
        ``thresholds`` (POINTS values, rising), ``start`` (the index next to the run's own
        threshold, the mean one of several), ``curves``: ``name``, ``escape`` and ``overkill`` of
        each set of rows, and ``ticks``: (place from 0 to 1, words).
    """
    scores = tested["p_normal"].to_numpy(np.float64)
    own = float(tested["threshold"].mean())
    with np.errstate(divide="ignore"):
        inside = np.clip(logit(scores), -_WIDEST, _WIDEST)
        place = float(logit(own)) if 0.0 < own < 1.0 else float(np.copysign(_WIDEST, own - 0.5))
    low, high = min(place, float(inside.min())) - 0.5, max(place, float(inside.max())) + 0.5
    grid = np.linspace(low, high, POINTS)
    at = int(np.argmin(np.abs(grid - place)))
    thresholds = expit(grid)
    thresholds[at] = own if 0.0 < own < 1.0 else thresholds[at]
    curves = []
    for name, rows in (("test", tested), ("chosen on", chosen_on)):
        if rows["label"].nunique() == 2:
            escape, overkill = rates_at(thresholds, rows, grouping)
            curves.append({"name": name, "escape": _short(escape), "overkill": _short(overkill)})
    ticks = [
        ((float(logit(value)) - low) / (high - low), f"{value:g}")
        for value in _TICKS
        if low <= float(logit(value)) <= high
    ]
    return {
        "thresholds": [float(f"{value:.9g}") for value in thresholds],
        "start": at,
        "curves": curves,
        "ticks": ticks,
    }


def rates_at(thresholds: Floats, rows: pd.DataFrame, grouping: str) -> tuple[Floats, Floats]:
    """Return escape and overkill rates by group at each threshold, (n,) each.

    Args:
        thresholds: On p_normal, (n,).
        rows: A complete predictions table of one split, with both classes.
        grouping: The column whose groups weigh the same.
    """
    normal = truths(rows)
    shares = shares_by_group(rows.assign(group_wide=rows[grouping]), normal)
    scores = rows["p_normal"].to_numpy(np.float64)
    found = []
    for kind in (~normal, normal):
        order = np.argsort(scores[kind], kind="stable")
        summed = np.concatenate([[0.0], np.cumsum(shares[kind][order])])
        # rejected: all with a score up to and with the threshold
        rejected = summed[np.searchsorted(scores[kind][order], thresholds, side="right")]
        found.append(np.clip(rejected, 0.0, 1.0))
    return 1.0 - found[0], found[1]


def _short(rates: Floats) -> list[float]:
    return [float(f"{rate:.5f}") for rate in rates]
