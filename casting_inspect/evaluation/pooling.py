"""One score a file: seeds are averaged before any rate, so that they never add to the evidence."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.special import expit

from casting_inspect.evaluation.metrics import split_metrics
from casting_inspect.evaluation.predictions import BAND, log_odds

GROUPINGS: Final = ("group", "group_wide")
"""By sure links, and by possible links too."""
_PLACE: Final = ["partition", "fold", "path"]


def averaged_over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row a partition, fold and file: the mean of its logits over seeds.

    The threshold is the mean of the seeds' thresholds as log-odds, or itself where they agree. A
    file with one seed keeps its row as it is.

    Args:
        table: Test rows of one model, complete.

    Returns:
        Rows sorted by partition, fold and path; ``seed`` is 0.
    """
    ordered = table.sort_values([*_PLACE, "seed"], kind="stable", ignore_index=True)
    ordered["margin"] = log_odds(ordered["threshold"].to_numpy(np.float64))
    grouped = ordered.groupby(_PLACE, sort=True)
    once = grouped.first().reset_index().assign(seed=0)
    several = grouped.size().to_numpy() > 1
    if several.any():
        thresholds = grouped["threshold"]
        differ = thresholds.min().to_numpy() < thresholds.max().to_numpy()
        logit = grouped["logit"].mean().to_numpy()
        margin = grouped["margin"].mean().to_numpy()
        once["logit"] = np.where(several, logit, once["logit"])
        once["p_normal"] = np.where(several, expit(logit), once["p_normal"])
        once["threshold"] = np.where(differ, expit(margin), once["threshold"])
    # a band of mean ends is no rule's: models are compared at the threshold to pass
    return once[[column for column in table.columns if column != BAND]]


def under_grouping(table: pd.DataFrame, grouping: str) -> pd.DataFrame:
    """Return the table with the column ``grouping`` as its only grouping."""
    return table.assign(group=table[grouping], group_wide=table[grouping])


def groupings_of(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the groupings that differ: ``group_wide`` only where it joins groups."""
    same = table["group"].nunique() == table["group_wide"].nunique()
    return GROUPINGS[:1] if same else GROUPINGS


def headline(table: pd.DataFrame) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the grouping with the lower balanced accuracy, its figures, and all by grouping.

    Args:
        table: Test rows of one model with one score a file, partition and fold.

    Returns:
        The grouping's name, what ``split_metrics`` gives under it, and
        ``{grouping: figures}``.
    """
    figures = {
        grouping: split_metrics(under_grouping(table, grouping)) for grouping in groupings_of(table)
    }
    chosen = min(figures, key=lambda one: _balanced(figures[one]))
    return chosen, figures[chosen], figures


def _balanced(figures: dict[str, Any]) -> float:
    value = figures["balanced_accuracy_by_group"]["value"]
    return float("inf") if value is None else float(value)
