"""What a search minimises: a figure of predictions outside the test part, and of no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pandas as pd

from casting_inspect.errors import UserError
from casting_inspect.labels import CLASS_NAMES

OUTER: Final = ["model", "partition", "seed", "fold"]
"""Columns that together name a training part; its inner folds are pooled."""


def group_log_loss(predictions: pd.DataFrame) -> float:
    """Return the log loss of validation or inner out-of-fold predictions, by group and class.

    Each row costs -log of the probability that its own class was given, from ``logit`` (so that a
    probability that has saturated at 0 or 1 still has its price). Rows are averaged within their
    group, groups within their class, then the two classes: every photograph or casting weighs the
    same, however many copies it has, and so does either class. Several training parts are averaged.
    Rows of the test part are not looked at.

    Args:
        predictions: A table as `read_predictions` gives it. Groups are those of ``group_wide``
            where it is filled, else of ``group``.

    Returns:
        At least 0; ln 2 = 0.693 for a coin.

    Raises:
        UserError: If there is no validation row, or none of one class.
    """
    rows = predictions[predictions["split"] == "val"]
    if rows.empty:
        raise UserError(
            "predictions: no row has split 'val', so a search has nothing to go by: "
            "set data.val_fraction above 0, or data.inner_folds"
        )
    sign = np.where(rows["label"] == "normal", 1.0, -1.0)
    loss = np.logaddexp(0.0, -sign * rows["logit"].to_numpy(dtype=np.float64))
    table = rows[[*OUTER, "label"]].assign(group=groups_of(rows), loss=loss)
    by_group = table.groupby([*OUTER, "label", "group"], sort=True)["loss"].mean()
    by_class = by_group.groupby(level=[*OUTER, "label"]).mean().unstack("label")
    for name in CLASS_NAMES:
        if name not in by_class or by_class[name].isna().any():
            raise UserError(
                f"predictions: no {name} row has split 'val' in some fold, so a search has nothing "
                "to go by: take fewer folds, or a larger data.val_fraction"
            )
    return float(by_class.mean(axis=1).mean())


def groups_of(rows: pd.DataFrame) -> pd.Series:
    """Return each row's group, the wide one where it is known."""
    if "group_wide" not in rows:
        return rows["group"]
    wide = rows["group_wide"].fillna("").astype(str)
    return wide.where(wide != "", rows["group"])


OBJECTIVES: Final[Mapping[str, Callable[[pd.DataFrame], float]]] = {
    "group_log_loss": group_log_loss,
}
