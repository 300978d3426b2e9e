"""Tests of the difference between two models on the same files: groups count, copies do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from casting_inspect.labels import CLASS_NAMES, DEFECTIVE, NORMAL

Floats = NDArray[np.float64]

EXACT_UP_TO: Final = 20
"""So many differences that are not zero are enumerated, 2**20 sign patterns; more are drawn."""
DRAWS: Final = 20_000
ENOUGH_DIFFERING: Final = 6
"""With fewer groups that differ no pattern of signs reaches p = 0.05 two-sided."""
_TIE: Final = 1e-9
"""Sums closer than this share of the whole are equal: rates are fractions, not whole numbers."""


class SignFlip(NamedTuple):
    """A sign-flip permutation test over groups.

    Attributes:
        difference: Mean difference over groups.
        p: Two-sided; 1 where no group differs.
        groups: Number of groups.
        differing: Number of groups whose difference is not zero.
        exact: All sign patterns were enumerated.
    """

    difference: float
    p: float
    groups: int
    differing: int
    exact: bool

    @property
    def few(self) -> bool:
        """Whether too few groups differ for any result to reach p = 0.05."""
        return self.differing < ENOUGH_DIFFERING


class CorrectedT(NamedTuple):
    """Nadeau and Bengio's t test; ``p`` is NaN where the differences do not vary.

    Attributes:
        difference: Mean difference over folds.
        statistic: Student's t, NaN where undefined.
        p: Two-sided.
        folds: Number of differences.
    """

    difference: float
    statistic: float
    p: float
    folds: int


class McNemar(NamedTuple):
    """The exact McNemar test.

    Attributes:
        p: Two-sided; 1 where both are wrong on the same files.
        only_first: Files on which only the first model is wrong.
        only_second: Files on which only the second model is wrong.
    """

    p: float
    only_first: int
    only_second: int


def sign_flip(differences: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> SignFlip:
    """Test that differences of groups are symmetric about zero by flipping their signs.

    The statistic is the absolute sum. Up to ``EXACT_UP_TO`` differences that are not zero all
    sign patterns are enumerated; beyond that ``draws`` patterns are drawn and p is
    (1 + patterns at least as far) / (1 + draws), never 0.

    Args:
        differences: One difference a group, (groups,); at least one.
        draws: Number of random patterns where there are too many to enumerate.
        seed: Seed of the random patterns; differences are sorted first, so that their order
            changes nothing.

    Raises:
        ValueError: If there is no difference or one is not finite.

    Source: Fisher 1935; Phipson and Smyth 2010 for the added one.
    """
    values = np.asarray(differences, dtype=np.float64).ravel()
    if not len(values) or not np.all(np.isfinite(values)):
        raise ValueError("finite differences of at least one group are needed")
    known = np.sort(values[np.abs(values) > _TIE])
    mean, exact = float(np.mean(np.sort(values))), len(known) <= EXACT_UP_TO
    if not len(known):
        return SignFlip(mean, 1.0, len(values), 0, True)
    reached = abs(float(known.sum())) - _TIE * float(np.abs(known).sum())
    if exact:
        p = float(np.mean(np.abs(_all_signed_sums(known)) >= reached))
    else:
        signs = np.random.default_rng(seed).integers(0, 2, (draws, len(known)), dtype=np.int8)
        sums = 2.0 * (signs.astype(np.float64) @ known) - known.sum()
        p = (1.0 + np.count_nonzero(np.abs(sums) >= reached)) / (1.0 + draws)
    return SignFlip(mean, p, len(values), len(known), exact)


def _all_signed_sums(values: Floats) -> Floats:
    """Return the sums of all sign patterns with the first value positive: the rest mirror them."""
    sums = values[:1].copy()
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def corrected_t(differences: ArrayLike, test_to_train: float) -> CorrectedT:
    """Test the mean of differences over folds of repeated partitions of the same data.

    Training parts overlap, so differences are correlated; their mean's variance is taken as
    (1 / J + test / train) s**2, with J - 1 degrees of freedom.

    Args:
        differences: One difference a fold and partition, (J,), seeds averaged before. Each must
            come from a test part that is disjoint from its own training part; means over all
            folds of a partition will not do, since every group is in each of them.
        test_to_train: Size of a test part over that of its training part: 1 / (k - 1) for k folds.

    Raises:
        ValueError: If there are fewer than two differences or the ratio is not above 0.

    Source: Nadeau and Bengio 2003, Machine Learning 52, eq. 9; Bouckaert and Frank 2004 for
    repeated cross-validation.
    """
    values = np.asarray(differences, dtype=np.float64).ravel()
    if len(values) < 2 or not np.all(np.isfinite(values)) or not test_to_train > 0:
        raise ValueError("two finite differences and a ratio above 0 are needed")
    mean, count = float(np.mean(values)), len(values)
    variance = (1.0 / count + test_to_train) * float(np.var(values, ddof=1))
    if variance <= (_TIE * max(1.0, abs(mean))) ** 2:
        return CorrectedT(mean, float("nan"), float("nan"), count)
    statistic = mean / variance**0.5
    return CorrectedT(mean, statistic, float(2.0 * stats.t.sf(abs(statistic), count - 1)), count)


def mcnemar_exact(first_wrong: ArrayLike, second_wrong: ArrayLike) -> McNemar:
    """Test that two models are wrong equally often, on files that are all independent.

    Over copies of the same photographs it rejects a true null most of the time: use
    ``sign_flip`` over groups there.

    Args:
        first_wrong: Whether the first model is wrong on each file, (n,).
        second_wrong: The same of the second model, (n,).

    Source: McNemar 1947, with the binomial distribution of the files on which they differ.
    """
    first, second = np.asarray(first_wrong, dtype=bool), np.asarray(second_wrong, dtype=bool)
    only_first = int(np.count_nonzero(first & ~second))
    only_second = int(np.count_nonzero(second & ~first))
    fewer, both = min(only_first, only_second), only_first + only_second
    p = min(1.0, 2.0 * float(stats.binom.cdf(fewer, both, 0.5))) if both else 1.0
    return McNemar(p, only_first, only_second)


def holm(p_values: Sequence[float]) -> Floats:
    """Return p-values adjusted for having looked at all of them, in their order.

    Args:
        p_values: From 0 to 1; NaN stays NaN and does not count.

    Source: Holm 1979, Scandinavian Journal of Statistics 6.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = np.arange(len(order), 0, -1) * p[order]
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted


def error_rates(table: pd.DataFrame, label: int, grouping: str = "group") -> pd.Series:
    """Return each group's error rate in one class: within a partition first, then their mean.

    Args:
        table: A complete predictions table of one model with one score a file and partition.
        label: ``DEFECTIVE`` for escapes, ``NORMAL`` for overkills.
        grouping: The column that names groups.

    Returns:
        Rates from 0 to 1, indexed by group, sorted by name.
    """
    rows = table[table["label"] == CLASS_NAMES[label]]
    passes = rows["p_normal"].to_numpy(np.float64) > rows["threshold"].to_numpy(np.float64)
    wrong = pd.Series(passes != (label == NORMAL), index=rows.index, dtype=np.float64)
    inside = wrong.groupby([rows[grouping], rows["partition"]], sort=True).mean()
    return inside.groupby(level=0, sort=True).mean()


def fold_balanced_accuracy(table: pd.DataFrame, grouping: str = "group") -> pd.Series:
    """Return each fold's balanced accuracy by group, indexed by partition and fold.

    NaN where a fold lacks a class.

    Args:
        table: A complete predictions table of one model with one score a file and partition.
        grouping: The column that names groups.
    """
    passes = table["p_normal"].to_numpy(np.float64) > table["threshold"].to_numpy(np.float64)
    normal = (table["label"] == CLASS_NAMES[NORMAL]).to_numpy()
    wrong = pd.Series((passes != normal).astype(np.float64), index=table.index)
    keys = [table["partition"], table["fold"], table["label"]]
    by_group = wrong.groupby([*keys, table[grouping]], sort=True).mean()
    by_class = by_group.groupby(level=[0, 1, 2], sort=True).mean().unstack(2)
    by_class = by_class.reindex(columns=[CLASS_NAMES[DEFECTIVE], CLASS_NAMES[NORMAL]])
    return 1.0 - by_class.sum(axis=1, skipna=False) / 2.0
