"""A smaller training part: fewer groups, or fewer copies of each, for learning curves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.errors import UserError
from casting_inspect.labels import CLASS_NAMES, NORMAL

if TYPE_CHECKING:
    from casting_inspect.data.split_rule import SplitRule

HELD_BACK = "held back (data.train_size, data.copies)"


def held_back(
    table: pd.DataFrame, part: NDArray[np.object_], classes: pd.Series[str], rule: SplitRule
) -> NDArray[np.bool_]:
    """Return which training rows are left out by ``train_size`` and ``copies``.

    What a smaller size keeps, a larger one keeps too, so that a learning curve grows along one
    order; ``partition`` and ``fold`` draw it.

    Args:
        table: Columns ``unit`` and ``label``, in canonical order.
        part: The part of each row, (n,).
        classes: The class of each training unit, in canonical order.
        rule: ``train_size``: a share of each class's units, or a number of normal ones and as many
            defective ones as keep the proportion. ``copies``: rows of a unit at most, of each
            class.

    Returns:
        (n,), False outside the training part.

    Raises:
        UserError: If more normal units are asked for than there are.
    """
    training = part == "train"
    assert rule.fold is not None
    fold = rule.fold + 1
    kept = _kept_units(classes, rule, np.random.default_rng([rule.partition, fold, 2]))
    out = training & ~table["unit"].isin(kept).to_numpy()
    if rule.copies is not None:
        generator = np.random.default_rng([rule.partition, fold, 3])
        order = np.empty(len(table), dtype=np.intp)
        order[generator.permutation(len(table))] = np.arange(len(table))
        rows = table.loc[training, ["unit", "label"]].assign(order=order[training])
        place = rows.groupby(["unit", "label"])["order"].rank(method="first")
        out[rows.index[place > rule.copies]] = True
    return np.asarray(out, dtype=np.bool_)


def _kept_units(
    classes: pd.Series[str], rule: SplitRule, generator: np.random.Generator
) -> list[int]:
    shuffled = classes.iloc[generator.permutation(len(classes))]
    by_class = {name: shuffled.index[shuffled == name] for name in CLASS_NAMES}
    share = rule.train_size
    if isinstance(share, int):
        normal = len(by_class[CLASS_NAMES[NORMAL]])
        if share > normal:
            raise UserError(
                f"data.train_size={share}: the training part has {normal} normal groups; 1.0 takes "
                "all"
            )
        share = share / normal
    return [
        int(unit)
        for units in by_class.values()
        for unit in units[: max(1, math.floor(share * len(units) + 0.5))]
    ]
