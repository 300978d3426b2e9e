"""Which pictures train, which validate and which test, independent of the order of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from casting_inspect.data.folds import conflicts_of, inner_folds_of, units_of
from casting_inspect.data.split_by_file import split_as_delivered, split_at_random
from casting_inspect.data.split_by_group import split_by_group
from casting_inspect.data.split_rule import BY_GROUP, ON_CONFLICT, SPLITS, SplitRule
from casting_inspect.data.thinning import HELD_BACK
from casting_inspect.errors import UserError
from casting_inspect.labels import CLASS_NAMES

__all__ = [
    "BY_GROUP",
    "ON_CONFLICT",
    "SPLITS",
    "Assignment",
    "SplitRule",
    "assign",
    "assign_inner",
    "assign_splits",
]


@dataclass(frozen=True)
class Assignment:
    """Where every row of a table goes.

    Attributes:
        part: ``train``, ``val``, ``test`` or empty, with the index of the table.
        left_out: Why a row is in no part: ``both labels``, ``in training and test``, ``no lot``,
            ``no date``, ``held back ...``; empty for other rows.
        conflicts: Groups with both labels, ``name``, ``normal``, ``defective`` files, the largest
            first; none where groups are not known.
        folds: How many test parts the rule has.
        test_name: What the test part is called: the lot, or nothing.
    """

    part: pd.Series[str]
    left_out: pd.Series[str]
    conflicts: pd.DataFrame
    folds: int = 1
    test_name: str = ""


def assign_splits(frame: pd.DataFrame, **options: Any) -> pd.Series[str]:
    """Return each row's part: ``train``, ``val``, ``test``, or empty for a row that stays out.

    Args:
        frame: A manifest, as for `assign`.
        options: Attributes of `SplitRule`.

    Raises:
        UserError: As `SplitRule` and `assign` do.
    """
    return assign(frame, SplitRule(**options)).part


def assign(frame: pd.DataFrame, rule: SplitRule) -> Assignment:
    """Split a table.

    Rows are taken in the order of their file digest, then path, so their order in the table plays
    no part.

    Args:
        frame: A manifest: ``path``, ``label``, and, as the rule needs them, ``sha256``, ``group``,
            ``group_wide``, ``split``, the columns of lot and time.
        rule: How.

    Returns:
        The part of every row, ``train`` also for those that inner folds hold out in turn.

    Raises:
        UserError: If the table cannot be split so.
    """
    table = _canonical(frame, rule)
    folds, test_name = 1, ""
    why = np.full(len(table), "", dtype=object)
    if rule.split in BY_GROUP:
        made = split_by_group(table, rule, [str(name) for name in frame.columns])
        parts, why, folds, test_name = made.part, made.why, made.folds, made.test_name
    elif rule.split == "file":
        parts = split_at_random(table, rule)
        why[parts == ""] = HELD_BACK
    else:
        parts = split_as_delivered(table, rule)
    _check_training(table, parts, rule.split)
    conflicts = conflicts_of(table).drop(columns="unit")
    part, left_out = (_in_place(values, table, frame) for values in (parts, why))
    return Assignment(part, left_out, conflicts, folds, test_name)


def assign_inner(
    frame: pd.DataFrame, part: pd.Series[str], rule: SplitRule
) -> tuple[pd.Series[str], int]:
    """Return the inner fold that holds each training row out, as text, and how many there are.

    Args:
        frame: A manifest.
        part: The part of each row (see `assign`); those that are ``train`` are dealt.
        rule: How; nothing is dealt unless it is nested, and there are 0 folds.

    Raises:
        UserError: If a class has one group alone in the training part.
    """
    table = _canonical(frame, rule)
    words = np.full(len(table), "", dtype=object)
    if not rule.nested:
        return _in_place(words, table, frame), 0
    assert rule.fold is not None
    training = (part.to_numpy()[table["row"]] == "train").astype(bool)
    inner, folds = inner_folds_of(table[training], rule.inner_folds, rule.partition, rule.fold)
    words[training] = inner.astype(str)
    return _in_place(words, table, frame), folds


def _in_place(values: np.ndarray, table: pd.DataFrame, frame: pd.DataFrame) -> pd.Series[str]:
    """Return values of a canonical table's rows in the order and with the index of the frame."""
    in_place = np.empty(len(table), dtype=object)
    in_place[table["row"].to_numpy()] = values
    return pd.Series(in_place, index=frame.index, dtype="str")


def _canonical(frame: pd.DataFrame, rule: SplitRule) -> pd.DataFrame:
    """Return what splits use, sorted by digest and path.

    ``row`` is the row's place in the frame, ``unit`` the number of its unit (see `units_of`).
    """
    names = {name: name for name in ("sha256", "path", "label", "group", "group_wide", "split")}
    names |= {"lot": rule.lot_column, "time": rule.time_column}
    columns = {
        name: frame[source].astype(object).fillna("").astype(str).to_numpy()
        if source in frame.columns
        else np.full(len(frame), "", dtype=object)
        for name, source in names.items()
    }
    table = pd.DataFrame({**columns, "row": np.arange(len(frame))})
    table = table.sort_values(["sha256", "path"], kind="stable", ignore_index=True)
    return table.assign(unit=units_of(table))


def _check_training(table: pd.DataFrame, parts: np.ndarray, split: str) -> None:
    """Raise UserError unless both classes are there to be learnt."""
    labels = table["label"].to_numpy()[parts == "train"]
    for name in CLASS_NAMES:
        if name not in labels:
            raise UserError(
                f"data.split={split} leaves no {name} picture to train on; both classes are needed"
            )
