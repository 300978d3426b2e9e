"""Parts by file, copies of one photograph included: at random as in the paper, or as delivered."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.data.folds import classes_of
from casting_inspect.data.split_rule import SplitRule, held_out
from casting_inspect.data.thinning import held_back
from casting_inspect.errors import UserError
from casting_inspect.labels import CLASS_NAMES


def split_at_random(table: pd.DataFrame, rule: SplitRule) -> NDArray[np.object_]:
    """Return the part of each row of a canonical table, ``test_fraction`` of each class tested.

    Raises:
        UserError: If a class has fewer than two pictures.
    """
    parts = np.full(len(table), "train", dtype=object)
    generator = np.random.default_rng([rule.partition])
    for name in CLASS_NAMES:
        rows = np.flatnonzero(table["label"] == name)
        if len(rows) < 2:
            raise UserError(
                f"data.split=file needs at least 2 pictures of each class: {len(rows)} {name}"
            )
        parts[generator.permutation(rows)[: held_out(len(rows), rule.test_fraction)]] = "test"
    return _carve_validation(table, _thinned(table, parts, rule), rule)


def split_as_delivered(table: pd.DataFrame, rule: SplitRule) -> NDArray[np.object_]:
    """Return the column ``split``, for ``vendor`` with validation carved out where it has none.

    Raises:
        UserError: If the column does not name the parts that are needed.
    """
    parts: NDArray[np.object_] = table["split"].to_numpy(dtype=object, copy=True)
    present = set(parts)
    if rule.split == "vendor":
        if not {"train", "test"} <= present:
            raise UserError(
                "data.split=vendor needs rows marked train and test in the manifest's column"
                " 'split'; take data.split=group or data.split=file"
            )
        if "val" not in present:
            parts = _carve_validation(table, parts, rule)
    elif "train" not in present or not present & {"val", "test"}:
        raise UserError(
            "data.split=manifest needs rows marked train, and test or val, in the manifest's column"
            " 'split'; take data.split=group or data.split=file"
        )
    return parts


def _thinned(
    table: pd.DataFrame, parts: NDArray[np.object_], rule: SplitRule
) -> NDArray[np.object_]:
    """Return the parts without the training files that ``train_size`` holds back."""
    if not rule.thins:
        return parts
    # each file counts by itself, whatever it shows
    alone = table.assign(unit=np.arange(len(table)))
    out = held_back(alone, parts, classes_of(alone[parts == "train"]), rule)
    return np.where(out, "", parts)


def _carve_validation(
    table: pd.DataFrame, parts: NDArray[np.object_], rule: SplitRule
) -> NDArray[np.object_]:
    """Return the parts with a share of each class's training files turned into validation."""
    carved = parts.copy()
    generator = np.random.default_rng([rule.partition, 1])
    for name in CLASS_NAMES:
        rows = np.flatnonzero((table["label"] == name).to_numpy() & (parts == "train"))
        carved[generator.permutation(rows)[: held_out(len(rows), rule.val_fraction)]] = "val"
    return carved
