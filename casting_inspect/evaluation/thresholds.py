"""Thresholds on p_normal, chosen from predictions of files that no model of theirs has learnt."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.evaluation.metrics import truths

Floats = NDArray[np.float64]

_SAME: Final = 1e-12
"""Balanced accuracies closer than this are equal: sums of the same shares in another order."""


def youden(table: pd.DataFrame) -> float:
    """Return the threshold of the highest balanced accuracy by group (Youden 1950: J + 1, halved).

    Every group weighs the same within its class; groups are ``group_wide``, those that splits keep
    whole. Of several best intervals between scores the widest is taken, and its middle.

    Args:
        table: A complete predictions table with both classes.
    """
    normal = truths(table)
    scores = table["p_normal"].to_numpy(np.float64)
    edges, balanced = balanced_accuracies(scores, normal, shares_by_group(table, normal))
    if balanced.max() < 0.5 - _SAME:  # all worse than chance: rejecting every part is not
        return 1.0
    best = balanced >= balanced.max() - _SAME
    # neighbours that are equally good are one interval
    starts = np.flatnonzero(best & ~np.concatenate([[False], best[:-1]]))
    ends = np.flatnonzero(best & ~np.concatenate([best[1:], [False]]))
    widths = edges[ends + 1] - edges[starts]
    widest = int(np.argmax(widths))
    low, high = edges[starts[widest]], edges[ends[widest] + 1]
    middle = (low + high) / 2.0
    # of two neighbouring floats the mean can be the upper one, which is no longer inside
    return float(middle if middle < high else low)


def one_score(table: pd.DataFrame) -> float | None:
    """Return the score that all of several rows have, None where they differ."""
    scores = table["p_normal"].to_numpy(np.float64)
    return float(scores[0]) if len(scores) > 1 and bool((scores == scores[0]).all()) else None


def shares_by_group(table: pd.DataFrame, normal: NDArray[np.bool_]) -> Floats:
    """Return what each file adds to its class's rate by group, (n,); they sum to 1 in a class."""
    groups = pd.factorize(table["group_wide"])[0]
    _, number, sizes = np.unique(groups * 2 + normal, return_inverse=True, return_counts=True)
    shares: Floats = 1.0 / sizes[number]
    for kind in (False, True):
        shares[normal == kind] /= shares[normal == kind].sum()
    return shares


def balanced_accuracies(
    scores: Floats, normal: NDArray[np.bool_], shares: Floats
) -> tuple[Floats, Floats]:
    """Return the balanced accuracy of every threshold between two neighbouring scores.

    Args:
        scores: ``p_normal``, (n,).
        normal: The truth, (n,).
        shares: What each file adds to its class's rate, (n,).

    Returns:
        Edges (m + 1,), from 0 over the m - 1 distinct scores below 1 (and above 0) to 1, and the
        balanced accuracy of a threshold at or above an edge and below the next, (m,).
    """
    inside = np.unique(scores[(scores > 0.0) & (scores < 1.0)])
    edges = np.concatenate([[0.0], inside, [1.0]])
    # a file is rejected at an edge that is its score or more
    at = np.searchsorted(edges, scores, side="left")
    rejected = [
        np.cumsum(np.bincount(at[chosen], shares[chosen], len(edges)))[:-1]
        for chosen in (~normal, normal)
    ]
    balanced = (rejected[0] + 1.0 - rejected[1]) / 2.0
    return edges, np.asarray(balanced, dtype=np.float64)
