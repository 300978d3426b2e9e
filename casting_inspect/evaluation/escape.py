"""The escape rule: the smallest threshold at which escapes are bounded, or what it would take."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from casting_inspect.evaluation.intervals import clopper_pearson

Floats = NDArray[np.float64]

CONFIDENCE: Final = 0.95
"""Of the one-sided bound."""


@dataclass(frozen=True)
class EscapeThreshold:
    """A threshold with what is known of the escapes at it.

    Attributes:
        threshold: A part passes when ``p_normal`` is above it.
        escape_rate: Mean over defective groups of each group's share of files that pass, 0 to 1.
        bound: Upper limit of the true escape rate, one-sided, 0 to 1.
        groups: Defective groups, the evidence.
        supported: Whether ``bound`` is at most what was asked for.
        needed: Defective castings that would do without an escape.
    """

    threshold: float
    escape_rate: float
    bound: float
    groups: int
    supported: bool
    needed: int


def upper_limit(errors: float, groups: int, confidence: float = CONFIDENCE) -> float:
    """Return Clopper and Pearson's one-sided upper limit of a rate; fractional counts are allowed.

    Args:
        errors: Sum of the groups' own rates, 0 to ``groups``.
        groups: How many there are, at least 1.
        confidence: Of the limit, above 0.5 and below 1.
    """
    return clopper_pearson(errors, groups, 2.0 * confidence - 1.0)[1]


def castings_needed(max_escape: float, escapes: int = 0, confidence: float = CONFIDENCE) -> int:
    """Return how many defective castings bound the escape rate, if so many of them escape.

    Args:
        max_escape: The largest escape rate, above 0 and below 1.
        escapes: Of these castings that pass.
        confidence: Of the bound.

    Returns:
        The smallest n whose upper limit is at most ``max_escape``: 299 for 0.01 and no escape, 473
        for one, 628 for two, 773 for three.
    """

    def will_do(castings: int) -> bool:
        return upper_limit(escapes, castings, confidence) <= max_escape

    enough = escapes + 1
    while not will_do(enough):
        enough *= 2
    return bisect.bisect_left(range(enough), True, lo=escapes + 1, key=will_do)


def escape_threshold(
    scores: Floats,
    groups: NDArray[np.generic],
    max_escape: float,
    confidence: float = CONFIDENCE,
    *,
    worst: float = 0.0,
) -> EscapeThreshold:
    """Return the smallest threshold from which on the bound on escapes holds at every stricter one.

    U(t) = Beta^-1(confidence; S + 1, G - S), S the sum over the G groups of the share of a group's
    files that pass at t. S never falls as t does: the scan from the strict end ends where U first
    exceeds ``max_escape`` (Bates et al. 2021). Where even S = 0 exceeds it, the threshold is the
    smallest at which none of these files passes, and ``supported`` is False.

    Args:
        scores: ``p_normal`` of defective files that the model has not learnt, (n,), n at least 1.
        groups: The group of each file, (n,).
        max_escape: The largest escape rate, above 0 and below 1.
        confidence: Of the bound.
        worst: The lowest possible score.
    """
    _, number = np.unique(groups, return_inverse=True)
    sizes = np.bincount(number)
    count = len(sizes)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    passing = np.cumsum(1.0 / sizes[number[order]])
    # at a threshold equal to a score that file and its equals are rejected, all above pass
    first = np.flatnonzero(np.r_[True, ranked[1:] < ranked[:-1]])
    sums = np.r_[0.0, passing][first]
    candidates = np.r_[ranked[first], worst]
    sums = np.minimum(np.r_[sums, passing[-1]], count)
    if candidates[-2] <= worst:  # the worst score is rejected at a threshold equal to it
        candidates, sums = candidates[:-1], sums[:-1]
    # the sums rise, and the limit with them
    held = bisect.bisect_right(
        sums, max_escape, key=lambda escapes: upper_limit(escapes, count, confidence)
    )
    place = max(0, held - 1)
    return EscapeThreshold(
        threshold=float(candidates[place]),
        escape_rate=float(sums[place] / count),
        bound=upper_limit(sums[place], count, confidence),
        groups=count,
        supported=held > 0,
        needed=castings_needed(max_escape, confidence=confidence),
    )
