"""What a person gets to see, and what is judged wrongly without one, at two thresholds."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.evaluation.metrics import UNDEFINED, Figure, class_rate, truths
from casting_inspect.evaluation.predictions import BAND

Bools = NDArray[np.bool_]
OUTCOMES: Final = {1: "passed", 0: "rejected", -1: "person"}
"""A verdict's number, as `three_verdicts` gives it, and its name."""


def three_verdicts(table: pd.DataFrame) -> NDArray[np.int8]:
    """Return 1 for pass, 0 for reject, -1 for a person, by each row's own thresholds, (n,).

    Args:
        table: A complete predictions table; without ``threshold_low`` nobody looks.
    """
    scores = table["p_normal"].to_numpy(np.float64)
    found = np.where(scores > table["threshold"].to_numpy(np.float64), 1, -1).astype(np.int8)
    lower = table[BAND if BAND in table else "threshold"].to_numpy(np.float64)
    found[scores <= lower] = 0
    return found


def verdict_counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return how many rows of each class have each verdict.

    Args:
        table: Rows of a complete predictions table.

    Returns:
        {passed, rejected, person: {normal, defective}}.
    """
    normal, verdict = truths(table), three_verdicts(table)
    return {
        name: {
            "normal": int(np.count_nonzero(normal & (verdict == number))),
            "defective": int(np.count_nonzero(~normal & (verdict == number))),
        }
        for number, name in OUTCOMES.items()
    }


def review_figures(table: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of two thresholds as plain data, ready for JSON.

    Args:
        table: Rows of a complete predictions table with one split and one grouping in ``group``.

    Returns:
        ``threshold_low`` (None where rows differ); ``counts`` (`verdict_counts`); ``review_rate``
        by file and ``review_rate_by_group``, also of a class alone (``..._normal``,
        ``..._defective``); ``escape_rate`` and ``overkill_rate``, with ``..._by_group``: wrong
        verdicts without a person, among all parts of the class;
        ``reject_rate_defective_by_group``; and ``automatic``: the same two among those parts of
        the class that nobody looks at, with ``n`` and ``n_groups``. Figures by group are
        {``value``, ``low``, ``high``}, 95 %; all are None where undefined.
    """
    normal, verdict = truths(table), three_verdicts(table)
    groups = pd.factorize(table["group"])[0]
    everything = np.ones(len(table), dtype=np.bool_)
    seen, alone = verdict == -1, verdict != -1
    lower = table[BAND if BAND in table else "threshold"].unique()

    def by_group(event: Bools, among: Bools) -> Figure:
        return class_rate(event[among], groups[among]) if among.any() else dict(UNDEFINED)

    return {
        "threshold_low": float(lower[0]) if len(lower) == 1 else None,
        "counts": verdict_counts(table),
        "review_rate": _share(seen, everything),
        "review_rate_normal": _share(seen, normal),
        "review_rate_defective": _share(seen, ~normal),
        "escape_rate": _share(verdict == 1, ~normal),
        "overkill_rate": _share(verdict == 0, normal),
        "review_rate_by_group": by_group(seen, everything),
        "review_rate_normal_by_group": by_group(seen, normal),
        "review_rate_defective_by_group": by_group(seen, ~normal),
        "escape_rate_by_group": by_group(verdict == 1, ~normal),
        "overkill_rate_by_group": by_group(verdict == 0, normal),
        "reject_rate_defective_by_group": by_group(verdict == 0, ~normal),
        "automatic": {
            "n": int(np.count_nonzero(alone)),
            "n_groups": len(np.unique(groups[alone])),
            "escape_rate": _share(verdict == 1, alone & ~normal),
            "overkill_rate": _share(verdict == 0, alone & normal),
            "escape_rate_by_group": by_group(verdict == 1, alone & ~normal),
            "overkill_rate_by_group": by_group(verdict == 0, alone & normal),
        },
    }


def _share(event: Bools, among: Bools) -> float | None:
    return float(np.mean(event[among])) if among.any() else None
