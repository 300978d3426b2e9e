"""How often do the 95 % intervals of a rate and of balanced accuracy hold the truth?"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import designs
import numpy as np
import pandas as pd
from designs import Floats, Integers

from casting_inspect.evaluation import intervals
from casting_inspect.files import replace_csv

PAIRS = ((15, 15), (28, 28), (28, 143), (60, 143), (143, 143))
"""Groups of normal and of defective castings for balanced accuracy."""
RATE_PAIRS = ((0.01, 0.01), (0.05, 0.05), (0.15, 0.15), (0.10, 0.02), (0.01, 0.15))
DRAWS = 1_000


def limits_of(shares: Floats, sizes: Integers) -> Floats:
    """Return the limits that reports print, (runs, 2), by the package's own function."""
    return np.array([intervals.rate_limits(row, sizes) for row in shares])


def bootstrap_limits(rng: np.random.Generator, shares: Floats) -> Floats:
    """Return percentile bootstrap limits, (runs, 2); all runs share the draws of groups."""
    groups = shares.shape[1]
    weights = rng.multinomial(groups, np.full(groups, 1.0 / groups), DRAWS) / groups
    return np.quantile(weights @ shares.T, [0.025, 0.975], axis=0).T


def covered(limits: Floats, truth: float) -> Floats:
    return (limits[:, 0] <= truth) & (truth <= limits[:, 1])


def rate_rows(runs: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield a row a cell: coverage of ``rate_limits`` and of the percentile bootstrap."""
    cells = itertools.product(
        ("normal", "defective"), designs.GROUPS, designs.CORRELATIONS, designs.RATES
    )
    for number, (label, groups, correlation, rate) in enumerate(cells):
        rng = np.random.default_rng([seed, number])
        sizes = designs.sizes_like(label, groups)
        shares = designs.error_shares(rng, sizes, rate, correlation, runs)
        exact = limits_of(shares, sizes)
        percentile = bootstrap_limits(rng, shares)
        yield {
            "sizes_of": label,
            "groups": groups,
            "correlation": correlation,
            "rate": rate,
            "runs": runs,
            "coverage": covered(exact, rate).mean(),
            "truth_above": (exact[:, 1] < rate).mean(),
            "truth_below": (exact[:, 0] > rate).mean(),
            "mean_width": np.diff(exact).mean(),
            "bootstrap_coverage": covered(percentile, rate).mean(),
            "bootstrap_width": np.diff(percentile).mean(),
        }


def balanced_rows(runs: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield a row a cell: coverage of balanced accuracy's limits by MOVER."""
    cells = itertools.product(PAIRS, designs.CORRELATIONS, RATE_PAIRS)
    for number, ((normals, defectives), correlation, (overkill, escape)) in enumerate(cells):
        rng = np.random.default_rng([seed, 1, number])
        means, limits = [], []
        for label, groups, rate in (
            ("normal", normals, overkill),
            ("defective", defectives, escape),
        ):
            sizes = designs.sizes_like(label, groups)
            shares = designs.error_shares(rng, sizes, rate, correlation, runs)
            means.append(shares.mean(axis=1))
            limits.append(limits_of(shares, sizes))
        both = zip(means[0], limits[0], means[1], limits[1], strict=True)
        mover = np.array([intervals.mover_mean(a, tuple(b), c, tuple(d)) for a, b, c, d in both])
        truth = (overkill + escape) / 2.0
        yield {
            "groups_normal": normals,
            "groups_defective": defectives,
            "correlation": correlation,
            "overkill_rate": overkill,
            "escape_rate": escape,
            "runs": runs,
            "coverage": covered(mover, truth).mean(),
            "mean_width": np.diff(mover).mean(),
        }


def write(rows: Iterator[dict[str, object]], path: Path) -> pd.DataFrame:
    table = pd.DataFrame(rows).round(4)
    replace_csv(path, table)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=designs.HERE / "results")
    parser.add_argument("--runs", type=int, default=4_000, help="simulated data sets a cell")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rates = write(rate_rows(given.runs, given.seed), given.out / "rates.csv")
    print(rates.groupby(["groups", "correlation"])[["coverage", "bootstrap_coverage"]].min())
    balanced = write(balanced_rows(given.runs, given.seed), given.out / "balanced_accuracy.csv")
    print(balanced.groupby(["groups_normal", "correlation"])["coverage"].min())


if __name__ == "__main__":
    main()
