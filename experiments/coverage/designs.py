"""Groups of the real set's sizes and correlated errors inside them: what is drawn, and how."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

HERE: Final = Path(__file__).parent
RATES: Final = (0.01, 0.02, 0.05, 0.10, 0.15)
CORRELATIONS: Final = (0.05, 0.3, 0.6, 0.9)
GROUPS: Final = (15, 28, 60, 143)


def real_sizes(label: str) -> Integers:
    """Return how many files each photograph of a class has in the real set, in ascending order."""
    with (HERE / "group_sizes.csv").open(encoding="utf-8", newline="") as stream:
        sizes = [int(row["files"]) for row in csv.DictReader(stream) if row["label"] == label]
    return np.sort(np.array(sizes, dtype=np.int64))


def sizes_like(label: str, groups: int) -> Integers:
    """Return the sizes of so many groups, spread over the real ones' distribution evenly."""
    real = real_sizes(label)
    at = (np.arange(groups) + 0.5) / groups
    return real[np.minimum((at * len(real)).astype(np.int64), len(real) - 1)]


def error_shares(
    rng: np.random.Generator, sizes: Integers, rate: float, correlation: float, runs: int
) -> Floats:
    """Return each group's share of errors, (runs, groups), by a beta-binomial distribution.

    Any two files of a group are wrong together with the given correlation; each group's expected
    share is ``rate``, whatever its size.
    """
    return rng.binomial(sizes, difficulties(rng, len(sizes), rate, correlation, runs)) / sizes


def difficulties(
    rng: np.random.Generator, groups: int, rate: float, correlation: float, runs: int
) -> Floats:
    """Return each group's own probability of an error, (runs, groups), by a beta distribution."""
    weight = (1.0 - correlation) / correlation
    return rng.beta(rate * weight, (1.0 - rate) * weight, (runs, groups))
