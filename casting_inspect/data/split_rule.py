"""How a table is split: every choice there is, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from casting_inspect.errors import UserError, suggestion

SPLITS: Final = ("file", "vendor", "group", "lot", "time", "manifest")
BY_GROUP: Final = ("group", "lot", "time")
"""Splits whose parts share no group."""
ON_CONFLICT: Final = ("drop", "keep", "error")


@dataclass(frozen=True)
class SplitRule:
    """How a table is split.

    Attributes:
        split: One of `SPLITS`:

            - ``group``: fold ``fold`` of ``folds`` is the test part; folds are drawn over groups,
              stratified by class. Of a table with ``group_wide`` it is those that stay whole.
            - ``lot``: the ``fold``-th lot, day, camera or capture of ``lot_column`` in sorted
              order is the test part. A group with files in others too trains with none of them.
            - ``time``: what was taken from the date ``test_from`` on is the test part. A group
              with files on both sides trains with none of them.
            - ``file``: the paper's: ``test_fraction`` of each class's files at random, whatever
              they show; validation is carved out of the rest in the same way, copies included.
            - ``vendor``: the column ``split`` as delivered. Validation is carved out of its
              training files, unless it names validation files itself. Other rows stay out.
            - ``manifest``: the column ``split`` as it is.
        folds: Number of folds, at least 2 (``group``).
        fold: The test part, from 0; None: no test part, every group trains (``group``).
        partition: Seed of every draw, at least 0; apart from the seed of weights and order.
        val_fraction: Share of the training part that validates, 0 to below 1. Of groups it is
            that share of each class's, at least one where two or more are left.
        test_fraction: Share of the files that tests, above 0 and below 1 (``file``).
        inner_folds: Where parts share no group: folds of the training part, each in turn held
            out of it; 1: a single validation part instead.
        on_conflict: What becomes of a group with both labels where parts share no group:
            ``drop`` (in no part), ``keep`` (its class is that of most of its files, ``defective``
            at a tie) or ``error``.
        lot_column: Column of the lot, day, camera or capture.
        time_column: Column of the date.
        test_from: The first date of the test part.
        train_size: How much of the training part is trained on, for learning curves: a share above
            0 of its groups (``file``: of its files), 1.0 for all, or a whole number of normal
            groups, defective ones in proportion. Not for ``vendor`` and ``manifest``.
        copies: Files of a group and class that train at most; None: all. Where parts share no
            group.
    """

    split: str = "group"
    folds: int = 5
    fold: int | None = 0
    partition: int = 0
    val_fraction: float = 0.2
    test_fraction: float = 0.4
    inner_folds: int = 1
    on_conflict: str = "drop"
    lot_column: str = "lot"
    time_column: str = "time"
    test_from: str | None = None
    train_size: float | int = 1.0
    copies: int | None = None

    def __post_init__(self) -> None:
        """Raise UserError for a value out of range."""
        _one_of("data.split", self.split, SPLITS)
        _one_of("data.on_conflict", self.on_conflict, ON_CONFLICT)
        self._require("folds", self.folds >= 2, "at least 2")
        self._require("partition", self.partition >= 0, "0 or more")
        self._require("inner_folds", self.inner_folds >= 1, "1 or more")
        self._require("val_fraction", 0 <= self.val_fraction < 1, "at least 0 and below 1")
        self._require("test_fraction", 0 < self.test_fraction < 1, "above 0 and below 1")
        whole = isinstance(self.train_size, int)
        fits = self.train_size >= 1 if whole else 0 < self.train_size <= 1
        self._require("train_size", fits, "a share above 0 up to 1.0, or a whole number of groups")
        self._require("copies", self.copies is None or self.copies >= 1, "1 or more")
        if self.split in ("vendor", "manifest") and self.thins:
            raise UserError(
                f"data.split={self.split} is as delivered: data.train_size=1.0 and data.copies=null"
            )
        if self.split == "file" and (whole or self.copies is not None):
            raise UserError(
                "data.split=file knows no groups: data.train_size is a share there, such as 0.6, "
                "and data.copies=null"
            )
        last = self.folds - 1
        # how many lots there are is known from the table alone
        if self.fold is not None and (
            self.fold < 0 or (self.fold > last and self.split not in ("lot", "time"))
        ):
            raise UserError(
                f"data.fold={self.fold}: must be from 0 to {last}, since data.folds={self.folds}"
            )

    def _require(self, key: str, holds: bool, words: str) -> None:
        if not holds:
            raise UserError(f"data.{key}={getattr(self, key)}: must be {words}")

    @property
    def thins(self) -> bool:
        """Whether a part of what could train is held back; what ships learns from everything."""
        if self.fold is None:
            return False
        return isinstance(self.train_size, int) or self.train_size < 1 or self.copies is not None

    @property
    def nested(self) -> bool:
        """Whether the training part is held out fold by fold, and not a single part of it."""
        return self.split in BY_GROUP and self.inner_folds > 1 and self.fold is not None


def _one_of(key: str, value: str, options: tuple[str, ...]) -> None:
    if value not in options:
        listed = ", ".join(options)
        raise UserError(f"{key}={value}: must be one of {listed}.{suggestion(value, options)}")


def held_out(count: int, fraction: float) -> int:
    """Return how many of ``count`` are held out: rounded, one at least, and one is left over."""
    if fraction == 0 or count < 2:
        return 0
    return min(max(math.floor(fraction * count + 0.5), 1), count - 1)
