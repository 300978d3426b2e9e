"""Confidence intervals that count groups, not copies: 95 % and two-sided unless said otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Limits = tuple[float, float]
"""Lower and upper limit."""
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps how often each group was drawn (draws, groups) to values (draws,), NaN: undefined."""

DRAWS: Final = 2_000
ENOUGH_GROUPS: Final = 10
"""Fewer groups with an error, or without one, say too little about the spread over groups."""
ENOUGH_EFFECTIVE: Final = 30
"""Below this effective number of groups a bootstrap interval is too narrow."""
_NO_COUNT: Final = 1e-6
_CELLS_AT_ONCE: Final = 1_000_000


def clopper_pearson(k: float, n: float, level: float = 0.95) -> Limits:
    """Return the exact binomial limits of k errors among n; k and n may be fractional.

    With k = 0 the upper limit is 1 - (alpha / 2) ** (1 / n).

    Args:
        k: Errors, from 0 to n.
        n: Trials, above 0.
        level: Two-sided confidence.

    Raises:
        ValueError: If k or n is out of range.

    Source: Clopper and Pearson 1934; fractional counts as in Korn and Graubard 1998.
    """
    if not (n > 0 and 0 <= k <= n):
        raise ValueError(f"{k} errors among {n}: 0 <= k <= n and n > 0 are needed")
    tail = (1.0 - level) / 2.0
    # quantiles of a beta with a vanishing parameter fail numerically; 0 and 1 are on the safe side
    low = 0.0 if k < _NO_COUNT else float(stats.beta.ppf(tail, k, n - k + 1))
    high = 1.0 if n - k < _NO_COUNT else float(stats.beta.ppf(1.0 - tail, k + 1, n - k))
    return low, high


def korn_graubard(rates_by_group: ArrayLike, level: float = 0.95) -> Limits:
    """Return limits of the mean of the groups' own rates, each group weighing the same.

    Clopper-Pearson with the count m n* among n*, m the mean rate of G groups. n* = G when fewer
    than 10 groups have an error or fewer than 10 have none, else the larger of G and
    m (1 - m) / (s**2 / G) * (z / t)**2, z and t the quantiles of the normal distribution and of
    Student's with G - 1 degrees of freedom, s**2 the variance of the rates.

    Args:
        rates_by_group: Each group's share of errors, (G,), from 0 to 1, G at least 1.
        level: Two-sided confidence.

    Raises:
        ValueError: If there is no group or a rate is out of range.

    Source: Korn and Graubard 1998, Survey Methodology 24; n* never below G is ours.
    """
    rates = np.sort(np.asarray(rates_by_group, dtype=np.float64).ravel())
    if not len(rates) or not np.all((rates >= 0.0) & (rates <= 1.0)):
        raise ValueError("rates from 0 to 1 of at least one group are needed")
    groups = len(rates)
    mean = float(np.mean(rates))
    effective = float(groups)
    if min(np.count_nonzero(rates > 0.0), np.count_nonzero(rates == 0.0)) >= ENOUGH_GROUPS:
        tail = 1.0 - (1.0 - level) / 2.0
        shrink = float(stats.norm.ppf(tail) / stats.t.ppf(tail, groups - 1)) ** 2
        variance_of_mean = float(np.var(rates, ddof=1)) / groups
        effective = max(effective, mean * (1.0 - mean) / variance_of_mean * shrink)
    return clopper_pearson(min(mean * effective, effective), effective, level)


def rate_limits(rates_by_group: ArrayLike, sizes: ArrayLike, level: float = 0.95) -> Limits:
    """Return limits of a rate by group: exact where every group is one file.

    Args:
        rates_by_group: Each group's share of errors, (G,).
        sizes: Each group's number of files, (G,).
        level: Two-sided confidence.
    """
    rates = np.asarray(rates_by_group, dtype=np.float64)
    if np.all(np.asarray(sizes) == 1):
        return clopper_pearson(float(np.sum(rates)), len(rates), level)
    return korn_graubard(rates, level)


def mover_mean(first: float, first_limits: Limits, second: float, second_limits: Limits) -> Limits:
    """Return limits of the mean of two independent estimates from the limits of each.

    With estimates a, b and limits (l, u): mean -+ sqrt((a - l_a)**2 + (b - l_b)**2) / 2, the
    upper one with (u_a - a) and (u_b - b). It keeps skewed limits skewed.

    Source: Zou and Donner 2008, Statistics in Medicine 27, for the sum; halved.
    """
    mean = (first + second) / 2.0
    down = float(np.hypot(first - first_limits[0], second - second_limits[0])) / 2.0
    up = float(np.hypot(first_limits[1] - first, second_limits[1] - second)) / 2.0
    return mean - down, mean + up


def bootstrap_over_groups(
    statistic: Statistic,
    classes: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = 0.95,
) -> Limits:
    """Return percentile limits of a statistic when groups are drawn anew within their class.

    Draws in which the statistic is undefined (NaN) are left out. The limits always contain the
    statistic of the groups as they are.

    Args:
        statistic: Maps multiplicities (draws, groups) to values (draws,).
        classes: The class of each group, (groups,). The result depends on the order of groups
            through the random numbers only; sort them by content to be free of their names.
        draws: Number of bootstrap samples.
        seed: Seed of the random numbers.
        level: Two-sided confidence.

    Raises:
        ValueError: If the statistic is undefined for the groups as they are.
    """
    kinds = np.asarray(classes)
    estimate = float(statistic(np.ones((1, len(kinds))))[0])
    if np.isnan(estimate):
        raise ValueError("the statistic is undefined for the groups as they are")
    members = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
    # a stream of its own for each class: the draws do not depend on how many are held at once
    streams = [np.random.default_rng([seed, at]) for at in range(len(members))]
    chunk = max(1, min(draws, _CELLS_AT_ONCE // len(kinds)))
    values = [
        statistic(_multiplicities(members, streams, min(chunk, draws - start), len(kinds)))
        for start in range(0, draws, chunk)
    ]
    pooled = np.concatenate([*values, [estimate]])
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(pooled[~np.isnan(pooled)], [tail, 1.0 - tail])
    return min(float(low), estimate), max(float(high), estimate)


def ratio_limits(parts: ArrayLike, wholes: ArrayLike, classes: ArrayLike) -> Limits:
    """Return limits of sum(parts) / sum(wholes) over groups, by ``bootstrap_over_groups``.

    A rate by file has each group's errors over its files; F1 has 2 TP over 2 TP + FP + FN.
    Where every group is the same, 0 or 1 throughout, a bootstrap would give [0, 0] or [1, 1];
    the limits are then those of one trial a group.

    Args:
        parts: (groups,), at least 0.
        wholes: (groups,), not all 0.
        classes: The class of each group, (groups,).
    """
    upper, lower = np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)
    value = float(upper.sum() / lower.sum())
    if value in (0.0, 1.0):
        trials = int(np.count_nonzero(lower))
        return clopper_pearson(value * trials, trials)

    def ratio(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        below = weights @ lower
        result = np.full(len(weights), np.nan)
        np.divide(weights @ upper, below, out=result, where=below > 0)
        return result

    return bootstrap_over_groups(ratio, classes)


def _multiplicities(
    members: list[NDArray[np.intp]], streams: list[np.random.Generator], draws: int, groups: int
) -> NDArray[np.float64]:
    """Return how often each group is drawn, (draws, groups): each class keeps its number."""
    counts = np.zeros((draws, groups))
    for inside, stream in zip(members, streams, strict=True):
        size = len(inside)
        picks = stream.integers(0, size, (draws, size)) + size * np.arange(draws)[:, None]
        counts[:, inside] = np.bincount(picks.ravel(), minlength=draws * size).reshape(draws, size)
    return counts


def effective_groups(sizes: ArrayLike) -> float:
    """Return Kish's effective number of groups, n**2 / sum of n_g**2 (0 without groups)."""
    counts = np.asarray(sizes, dtype=np.float64)
    return float(counts.sum() ** 2 / np.square(counts).sum()) if len(counts) else 0.0
