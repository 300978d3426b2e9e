"""Parts that share no group: test parts by fold, lot or date, conflicts out, validation drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.data.folds import class_counts, classes_of, conflicts_of, counted, deal
from casting_inspect.data.split_rule import SplitRule, held_out
from casting_inspect.data.thinning import HELD_BACK, held_back
from casting_inspect.errors import UserError, suggestion
from casting_inspect.labels import CLASS_NAMES


@dataclass
class Parts:
    """The parts of a canonical table's rows while they are being made.

    Attributes:
        table: ``path``, ``label``, ``unit``, ``lot`` and ``time``, in canonical order.
        columns: The names of all columns of the user's table.
        part: The part of each row.
        why: Why a row is in no part.
        folds: How many test parts there are.
        test_name: What the test part is called: the lot, or nothing.
    """

    table: pd.DataFrame
    columns: Sequence[str]
    part: NDArray[np.object_] = field(init=False)
    why: NDArray[np.object_] = field(init=False)
    folds: int = 1
    test_name: str = ""

    def __post_init__(self) -> None:
        self.part = np.full(len(self.table), "train", dtype=object)
        self.why = np.full(len(self.table), "", dtype=object)

    def leave_out(self, rows: NDArray[np.bool_], why: str) -> None:
        """Take rows out of all parts, unless they are already."""
        rows = rows & (self.part != "")
        self.part[rows] = ""
        self.why[rows] = why

    def test(self, rows: NDArray[np.bool_]) -> None:
        """Make rows the test part, and leave the rest of their units out of training."""
        self.part[rows & (self.part != "")] = "test"
        tested = self.table["unit"][self.part == "test"]
        here = self.table["unit"].isin(tested).to_numpy() & (self.part == "train")
        self.leave_out(here, "in training and test")

    def used(self) -> pd.DataFrame:
        """Return the rows that are in a part."""
        rows: pd.DataFrame = self.table[self.part != ""]
        return rows


def split_by_group(table: pd.DataFrame, rule: SplitRule, columns: Sequence[str]) -> Parts:
    """Split a canonical table so that no unit is in two parts.

    Args:
        table: ``path``, ``label``, ``group``, ``group_wide``, ``unit``, ``lot`` and ``time``.
        rule: Its ``split`` is group, lot or time.
        columns: The names of all columns of the user's table.

    Raises:
        UserError: If there are no groups, too few, or the column does not say what is asked.
    """
    if not ((table["group"] != "") | (table["group_wide"] != "")).any():
        raise UserError(
            f"data.split={rule.split} needs groups: none of {len(table)} pictures has one (first: "
            f"{table['path'].iloc[0]}); fill the manifest's column 'group', or take"
            " data.split=file (copies of one photograph may then train and test)"
        )
    parts = Parts(table, columns)
    _handle_conflicts(parts, rule)
    _TEST_PARTS[rule.split](parts, rule)
    if rule.thins:
        classes = classes_of(table[parts.part == "train"])
        parts.leave_out(held_back(table, parts.part, classes, rule), HELD_BACK)
    if not rule.nested and rule.fold is not None:
        _draw_validation(parts, rule)
    return parts


def _handle_conflicts(parts: Parts, rule: SplitRule) -> None:
    found = conflicts_of(parts.table)
    if not len(found) or rule.on_conflict == "keep":
        return
    if rule.on_conflict == "error":
        first = found.iloc[0]
        hold = "group holds" if len(found) == 1 else "groups hold"
        raise UserError(
            f"{len(found)} {hold} files of both labels (first: {first['name']}, "
            f"{first['normal']} normal and {first['defective']} defective): mend the labels, or "
            "take data.on_conflict=drop to leave them out, keep to count each by its majority"
        )
    parts.leave_out(parts.table["unit"].isin(found["unit"]).to_numpy(), "both labels")


def _test_fold(parts: Parts, rule: SplitRule) -> None:
    """Make fold ``fold`` of the groups the test part."""
    classes = classes_of(parts.used())
    _check_groups(classes, rule.folds)
    parts.folds = rule.folds
    if rule.fold is None:
        return
    dealt, _ = deal(classes, rule.folds, np.random.default_rng([rule.partition]))
    tested = dealt.index[dealt == rule.fold]
    parts.test(parts.table["unit"].isin(tested).to_numpy())


def _check_groups(classes: pd.Series[str], folds: int) -> None:
    """Raise UserError unless every fold can have a group of each class."""
    counts = class_counts(classes)
    fewest = min(counts.values())
    if fewest >= folds:
        return
    if fewest >= 2:
        possible = f"data.folds={fewest} is possible"
    elif fewest == 1:
        possible = "data.split=file is possible"
    else:
        possible = "groups of both classes are needed"
    raise UserError(
        f"data.folds={folds} needs at least {folds} groups of each class: there are "
        f"{counted(counts)}; {possible}"
    )


def _test_lot(parts: Parts, rule: SplitRule) -> None:
    """Make the ``fold``-th lot the test part."""
    _require_column(parts.columns, rule.lot_column, "lot")
    parts.leave_out((parts.table["lot"] == "").to_numpy(), "no lot")
    lots = sorted(set(parts.used()["lot"]))
    parts.folds = len(lots)
    if len(lots) < 2:
        found = f"one value ('{lots[0]}')" if lots else "nothing"
        raise UserError(
            f"data.split=lot leaves one lot out, and column '{rule.lot_column}' holds {found}: two "
            "or more are needed; data.lot_column names another column"
        )
    if rule.fold is None:
        return
    if rule.fold >= len(lots):
        shown = ", ".join(lots if len(lots) <= 6 else [*lots[:5], "..."])
        raise UserError(
            f"data.fold={rule.fold}: must be from 0 to {len(lots) - 1}, since column "
            f"'{rule.lot_column}' holds {len(lots)} lots ({shown})"
        )
    parts.test_name = lots[rule.fold]
    parts.test((parts.table["lot"] == parts.test_name).to_numpy())


def _test_time(parts: Parts, rule: SplitRule) -> None:
    """Make what was taken from ``test_from`` on the test part."""
    _require_column(parts.columns, rule.time_column, "time")
    if rule.test_from is None:
        raise UserError(
            "data.split=time needs the first date of the test part: add data.test_from=2026-01-31"
        )
    first = pd.to_datetime(rule.test_from, errors="coerce", format="ISO8601", utc=True)
    if pd.isna(first):
        raise UserError(f"data.test_from={rule.test_from}: must be a date, such as 2026-01-31")
    words = parts.table["time"]
    parts.leave_out((words == "").to_numpy(), "no date")
    times = pd.to_datetime(words.where(words != ""), errors="coerce", format="ISO8601", utc=True)
    wrong = np.flatnonzero((times.isna() & (words != "")).to_numpy())
    if len(wrong):
        raise UserError(
            f"{parts.table['path'].iloc[wrong[0]]}: {rule.time_column} '{words.iloc[wrong[0]]}' is "
            f"not a date such as 2026-01-31 or 2026-01-31T14:05 ({len(wrong)} of {len(words)} rows)"
        )
    parts.test((times >= first).to_numpy(dtype=bool))
    for part, where in (("train", "before"), ("test", "from")):
        if not (parts.part == part).any():
            raise UserError(
                f"data.test_from={rule.test_from}: nothing to {part} with; no picture of a group "
                f"that can {part} has a '{rule.time_column}' {where} that date ({times.min()} to "
                f"{times.max()})"
            )


_TEST_PARTS: Final[dict[str, Callable[[Parts, SplitRule], None]]] = {
    "group": _test_fold,
    "lot": _test_lot,
    "time": _test_time,
}


def _require_column(columns: Sequence[str], column: str, split: str) -> None:
    if column not in columns:
        raise UserError(
            f"data.split={split} needs the manifest's column '{column}', and there is none: add "
            f"it, or name another with data.{split}_column.{suggestion(column, list(columns))}"
        )


def _draw_validation(parts: Parts, rule: SplitRule) -> None:
    """Turn a share of each class's training units into the validation part."""
    assert rule.fold is not None
    classes = classes_of(parts.table[parts.part == "train"])
    if rule.split == "group":
        # as the folds were dealt
        _, dealt = deal(
            classes_of(parts.used()), rule.folds, np.random.default_rng([rule.partition])
        )
        classes = dealt[dealt.index.isin(classes.index)]
    # numpy takes [p] and [p, 0] for the same seed, hence the 1
    generator = np.random.default_rng([rule.partition, rule.fold + 1])
    validate: list[int] = []
    for name in CLASS_NAMES:
        mine = classes[classes == name]
        drawn = generator.permutation(len(mine)) < held_out(len(mine), rule.val_fraction)
        validate += list(mine.index[drawn])
    chosen = parts.table["unit"].isin(validate).to_numpy() & (parts.part == "train")
    parts.part[chosen] = "val"
