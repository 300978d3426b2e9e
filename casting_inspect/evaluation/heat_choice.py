"""Which pictures of a predictions table a map is drawn of: errors, doubtful ones, a sample."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.evaluation.metrics import truths
from casting_inspect.labels import CLASS_NAMES, DEFECTIVE, NORMAL

DOUBT: Final = float(np.log(3))
"""Without a band for persons, doubtful is what lies within this of the threshold in log-odds: at
a threshold of 0.5, from 0.25 to 0.75."""
RIGHT: Final = 0.25
"""Share of the pictures of ``errors`` that are right and sure, to compare with."""
DOUBTFUL: Final = 0.25
"""Share of the pictures of ``errors`` that are doubtful and right, as far as there are."""

REVIEW: Final = "review"
"""The verdict between two thresholds: a person looks."""


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """Return verdict, whether it is wrong, and whether it is doubtful, of each row.

    Args:
        table: Rows of a complete predictions table; with a column ``threshold_low`` the rows
            between both thresholds are a person's, ``review``, and not wrong.

    Returns:
        Columns ``verdict`` (``normal``, ``defective`` or ``review``), ``wrong``, ``doubtful`` and
        ``distance`` (log-odds above the threshold), with the index of ``table``.
    """
    from casting_inspect.evaluation.predictions import log_odds

    score = table["p_normal"].to_numpy(np.float64)
    threshold = table["threshold"].to_numpy(np.float64)
    passes = score > threshold
    distance = table["logit"].to_numpy(np.float64) - log_odds(threshold)
    verdict = np.where(passes, CLASS_NAMES[NORMAL], CLASS_NAMES[DEFECTIVE]).astype(object)
    doubtful = np.abs(distance) < DOUBT
    if "threshold_low" in table:
        doubtful = ~passes & (score > table["threshold_low"].to_numpy(np.float64))
        verdict[doubtful] = REVIEW
    wrong = (passes != truths(table)) & (verdict != REVIEW)
    return pd.DataFrame(
        {"verdict": verdict, "wrong": wrong, "doubtful": doubtful, "distance": distance},
        index=table.index,
    )


def chosen(table: pd.DataFrame, which: str, most: int, seed: int) -> NDArray[np.intp]:
    """Return the positions of the rows that get a map, ascending.

    - ``all``: every row, whatever ``most`` says.
    - ``sample``: rows at random, as many of each class as far as there are.
    - ``errors``: half of ``most`` for the wrong ones, those farthest on the wrong side first, and
      a quarter for the doubtful ones, those closest to the threshold first; what one kind leaves
      the other may take. The last quarter, and what they leave, is a random sample of the right
      ones, as many of each class as far as there are. Of copies of one casting the first comes
      first; the second only after the first of every other.

    Args:
        table: Rows of a complete predictions table.
        which: ``all``, ``sample`` or ``errors``.
        most: Rows at most.
        seed: Of the sample.

    Raises:
        ValueError: If ``which`` is none of the three.
    """
    everything = np.arange(len(table))
    if which == "all":
        return everything
    generator = np.random.default_rng(seed)
    if which == "sample":
        return np.sort(_of_both_classes(table, everything, most, generator))
    if which != "errors":
        raise ValueError(f"which={which}: must be all, sample or errors")
    seen = judged(table)
    far = seen["distance"].abs().to_numpy()
    wrong = np.flatnonzero(seen["wrong"])
    doubtful = np.flatnonzero(seen["doubtful"] & ~seen["wrong"])
    wrong = _one_of_each_first(wrong[np.argsort(-far[wrong], kind="stable")], table)
    doubtful = _one_of_each_first(doubtful[np.argsort(far[doubtful], kind="stable")], table)
    right = np.flatnonzero(~seen["wrong"] & ~seen["doubtful"])
    places = most - min(len(right), round(RIGHT * most))
    unsure = min(len(doubtful), max(round(DOUBTFUL * most), places - len(wrong)))
    first = np.concatenate([wrong[: places - unsure], doubtful[:unsure]])
    rest = _of_both_classes(table, right, most - len(first), generator)
    return np.sort(np.concatenate([first, rest]))


def _one_of_each_first(rows: NDArray[np.intp], table: pd.DataFrame) -> NDArray[np.intp]:
    """Return rows with the first of each group before any second one, else in their order."""
    groups = table["group"].iloc[rows]
    nth = groups.groupby(groups.to_numpy()).cumcount().to_numpy()
    return rows[np.argsort(nth, kind="stable")]


def _of_both_classes(
    table: pd.DataFrame, rows: NDArray[np.intp], most: int, generator: np.random.Generator
) -> NDArray[np.intp]:
    """Return at most so many of some rows at random, as many of each class as far as possible."""
    normal = truths(table)[rows]
    shuffled = [generator.permutation(rows[normal == each]) for each in (True, False)]
    fewer = min(len(each) for each in shuffled)
    each = [max(most // 2, most - fewer), max(most - most // 2, most - fewer)]
    parts = [some[:count] for some, count in zip(shuffled, each, strict=True)]
    return np.concatenate(parts)
