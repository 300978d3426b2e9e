"""How high a score must be: thresholds from pairs of the set itself that cannot be the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

NULL_PAIRS: Final = 1500
"""Pairs drawn at random to see how alike different parts look."""
LOWEST, HIGHEST = 8.0, 50.0
"""Bounds of the sure threshold. Below the lowest, chance alone would link; pairs above the highest
are copies in any set seen so far."""
_BEYOND: Final = 6.0  # times the 99 % quantile of different pairs
NULL_MATTERS: Final = (LOWEST / _BEYOND, HIGHEST)
"""Scores outside these have no influence on the thresholds."""
_POSSIBLE: Final = 0.5  # of the sure threshold
_LEAST_POSSIBLE: Final = 7.0  # chance reaches that at any threshold
_WEAK: Final = 0.7  # of the sure threshold
_FEWEST: Final = 60


@dataclass(frozen=True)
class Thresholds:
    """Scores from which on two files are linked.

    Attributes:
        sure: For ``group``.
        possible: For ``group_wide``.
        weak: Two such pairs with two files of a group put a file into it for sure.
        null: 99 % quantile of the pairs that cannot be the same; NaN where too few were drawn.
        drawn: How many pairs those are.
    """

    sure: float
    possible: float
    weak: float
    null: float
    drawn: int


def distant_pairs(
    near: NDArray[np.intp], count: int, random: np.random.Generator
) -> NDArray[np.intp]:
    """Draw pairs of files that are not among each other's nearest.

    Args:
        near: (n, k) each file's nearest others.
        count: How many pairs at most.
        random: Source of the draws.

    Returns:
        (m, 2), the smaller number first, each pair once, sorted.
    """
    size = len(near)
    if size < 2:
        return np.zeros((0, 2), np.intp)
    drawn = np.sort(random.integers(size, size=(2 * count, 2)), axis=1)
    drawn = np.unique(drawn[drawn[:, 0] < drawn[:, 1]], axis=0)
    first, second = drawn[:, 0], drawn[:, 1]
    near = near[:, : size // 8]  # in a small set most files would be near
    if near.size:
        apart = ~(near[first] == second[:, None]).any(1) & ~(near[second] == first[:, None]).any(1)
        drawn = drawn[apart]
    chosen = random.permutation(len(drawn))[:count]
    return np.asarray(drawn[np.sort(chosen)], np.intp)


def thresholds(distant: Scores) -> Thresholds:
    """Set the thresholds against the scores of pairs that are almost all different.

    Files drawn at random show different parts, but for large groups. Those copies stand apart from
    the rest and are taken out first. The threshold lies well above what remains; parts that look
    alike raise it.

    Args:
        distant: Scores of ``distant_pairs``.
    """
    null = distant[distant < HIGHEST]
    null = null[null < _split(null)]
    if len(null) < _FEWEST:
        middle = float(np.sqrt(LOWEST * HIGHEST))
        return _around(middle, float("nan"), len(null))
    level = float(np.quantile(null, 0.99))
    sure = float(np.clip(_BEYOND * level, LOWEST, HIGHEST))
    return _around(sure, level, len(null))


def _around(sure: float, level: float, drawn: int) -> Thresholds:
    possible = min(sure, max(_POSSIBLE * sure, _LEAST_POSSIBLE))
    return Thresholds(sure, possible, _WEAK * sure, level, drawn)


def _split(scores: Scores) -> float:
    """Return where a clearly separate upper part of the scores begins, or infinity."""
    values = np.sort(np.log1p(scores))
    size = len(values)
    if size < _FEWEST:
        return float("inf")
    below = np.cumsum(values)[:-1]
    counts = np.arange(1, size)
    means_below, means_above = below / counts, (values.sum() - below) / (size - counts)
    between = counts * (size - counts) * (means_above - means_below) ** 2  # Otsu 1979
    cut = int(np.argmax(between)) + 1
    lower, upper = np.expm1(values[:cut]), np.expm1(values[cut:])
    apart = np.quantile(upper, 0.1) > 2.5 * max(1.0, float(np.quantile(lower, 0.99)))
    return float(upper[0]) if apart and len(upper) > 0.03 * size else float("inf")
