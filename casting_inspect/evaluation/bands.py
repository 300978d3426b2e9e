"""Two thresholds: pass above, reject at or below, a person looks at what lies between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from casting_inspect.evaluation.calibration import Calibration
from casting_inspect.evaluation.escape import CONFIDENCE, EscapeThreshold, escape_threshold

Floats = NDArray[np.float64]

NEVER: Final = -1.0
"""The lower end of a band that rejects nothing: even a score of 0 is above it."""


@dataclass(frozen=True)
class Band:
    """A part passes when its score is above ``high``, and is rejected at or below ``low``.

    Attributes:
        low: At most ``high``; equal to it when nobody looks.
        high: The upper end.
    """

    low: float
    high: float

    def verdicts(self, scores: Floats) -> NDArray[np.int8]:
        """Return 1 for pass, 0 for reject and -1 for a person, (n,)."""
        found = np.full(len(scores), -1, np.int8)
        found[scores <= self.low] = 0
        found[scores > self.high] = 1
        return found


def by_cost(escape: float, overkill: float, review: float | None = None) -> Band:
    """Return the band of least expected cost on probabilities of normal (Chow 1970).

    Passing a part of probability p costs (1 - p) ``escape``, rejecting it p ``overkill``, a look at
    it ``review``; the person is right.

    Args:
        escape: Cost of a defective part that passes, above 0.
        overkill: Cost of a good part that is rejected, above 0.
        review: Cost of a look, at least 0; None: nobody looks.
    """
    single = escape / (escape + overkill)
    if review is None:
        return Band(single, single)
    low, high = review / overkill, 1.0 - review / escape
    return Band(low, high) if low < high else Band(single, single)  # a look never pays


def on_scores(band: Band, calibration: Calibration, prevalence: float) -> Band:
    """Return the band on ``p_normal`` of one on calibrated probabilities at the line's rate."""

    def score(probability: float) -> float:
        if probability <= 0.0 or probability >= 1.0:
            return float(probability)
        return float(expit(calibration.logit_of(probability, prevalence)))

    return Band(score(band.low), score(band.high))


def by_bounds(
    scores: Floats,
    normal: NDArray[np.bool_],
    groups: NDArray[np.generic],
    max_escape: float,
    max_overkill: float,
    confidence: float = CONFIDENCE,
) -> tuple[Band, EscapeThreshold, EscapeThreshold]:
    """Return the narrowest band that bounds what is passed and rejected wrongly without a person.

    Both ends are found as ``escape_threshold`` finds one. Where the ends cross, one threshold keeps
    both bounds and nobody looks.

    Args:
        scores: ``p_normal`` of files that the model has not learnt, (n,), of both classes.
        normal: The truth, (n,).
        groups: The group of each file, (n,).
        max_escape: Largest share of defective parts that pass, above 0 and below 1.
        max_overkill: Largest share of good parts that are rejected, above 0 and below 1.
        confidence: Of each bound.

    Returns:
        The band, what is known of the escapes at it, and the same of good parts rejected: their
        thresholds are on ``-p_normal``.
    """
    escapes = escape_threshold(scores[~normal], groups[~normal], max_escape, confidence)
    overkills = escape_threshold(
        -scores[normal], groups[normal], max_overkill, confidence, worst=-1.0
    )
    low = below(-overkills.threshold)  # a score equal to it is not rejected
    return Band(min(low, escapes.threshold), escapes.threshold), escapes, overkills


def below(score: float) -> float:
    """Return the end of a band that a score is just above; ``NEVER`` below a score of 0."""
    return float(np.nextafter(score, -np.inf)) if score > 0.0 else NEVER


def conformal_levels(groups: int) -> float:
    """Return the smallest level that class-conditional conformal prediction can keep.

    With one score a group, G of them: 1 / (G + 1) (Vovk 2012).
    """
    return 1.0 / (groups + 1)


def conformal(scores: Floats, groups: NDArray[np.generic], level: float, seed: int = 0) -> float:
    """Return the score at or below which a class's label is ruled out at a level.

    One file of each group is drawn, for copies are not exchangeable with new parts. A label is kept
    for a new part whose score is above the k-th smallest, k = floor(level (G + 1)).

    Args:
        scores: How well each file of the class fits it, (n,): ``p_normal`` for normal,
            ``1 - p_normal`` for defective.
        groups: The group of each file, (n,).
        level: Largest share of the class's parts that lose their own label.
        seed: Of the draw.

    Returns:
        The score; minus infinity where the level is below 1 / (G + 1): nothing is ruled out.
    """
    order = np.random.default_rng(seed).permutation(len(scores))
    _, first = np.unique(groups[order], return_index=True)
    drawn = np.sort(scores[order][first])
    place = int(np.floor(level * (len(drawn) + 1) + 1e-9))
    return float(drawn[place - 1]) if place else float("-inf")


def by_conformal(
    scores: Floats,
    normal: NDArray[np.bool_],
    groups: NDArray[np.generic],
    max_escape: float,
    max_overkill: float,
    seed: int = 0,
) -> Band:
    """Return the band in which neither label is ruled out, or both: see ``conformal``.

    Of new defective parts at most ``max_escape`` pass, of new good ones at most ``max_overkill``
    are rejected, on average over such sets of castings. Where the ends cross, nobody looks.

    Args:
        scores: ``p_normal`` of files that the model has not learnt, (n,), of both classes.
        normal: The truth, (n,).
        groups: The group of each file, (n,).
        max_escape: Level of the defective class; below ``conformal_levels`` nothing is passed.
        max_overkill: Level of the normal class; below ``conformal_levels`` nothing is rejected.
        seed: Of the draw of one file a group.
    """
    rejected = conformal(scores[normal], groups[normal], max_overkill, seed)
    passed = -conformal(-scores[~normal], groups[~normal], max_escape, seed)
    high = 1.0 if np.isinf(passed) else max(0.0, below(passed))
    low = NEVER if np.isinf(rejected) else rejected
    return Band(min(low, high), high)
