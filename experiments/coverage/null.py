"""How often do the tests call two equally good models different?"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import designs
import numpy as np
from coverage import write
from designs import Floats, Integers
from numpy.typing import NDArray

from casting_inspect.evaluation import differences

LEVEL = 0.05
SHARED = 0.5
"""Share of groups that are equally hard for both models; the rest are drawn anew for each."""
DRAWS = 2_000
"""Sign patterns where there are too many to enumerate; the package draws 20,000."""
RATES = (0.01, 0.05, 0.15)
PARTITIONS, FOLDS = 10, 5
FEATURES = 6
"""Features that each of the two models sees; neither sees the other's."""


def trained_model_rows(runs: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield a row a cell: two trained models whose groups' error rates are exchangeable.

    McNemar's test is given the same files as if they were independent.
    """
    cells = itertools.product(designs.GROUPS, designs.CORRELATIONS, RATES)
    for number, (groups, correlation, rate) in enumerate(cells):
        rng = np.random.default_rng([seed, number])
        sizes = designs.sizes_like("normal" if groups <= 28 else "defective", groups)
        own = [designs.difficulties(rng, groups, rate, correlation, runs) for _ in range(3)]
        same = rng.random((runs, groups)) < SHARED
        wrong = [rng.binomial(sizes, np.where(same, own[2], own[model])) for model in (0, 1)]
        flips = [differences.sign_flip(row, draws=DRAWS) for row in (wrong[0] - wrong[1]) / sizes]
        yield {
            "groups": groups,
            "correlation": correlation,
            "rate": rate,
            "runs": runs,
            "sign_flip": np.mean([one.p <= LEVEL for one in flips]),
            "fewer_than_6_differ": np.mean([one.few for one in flips]),
            "mcnemar_by_file": np.mean(
                [
                    differences.mcnemar_exact(*files_wrong(rng, a, b, sizes)).p <= LEVEL
                    for a, b in zip(*wrong, strict=True)
                ]
            ),
        }


def files_wrong(
    rng: np.random.Generator, first: Integers, second: Integers, sizes: Integers
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which files each model gets wrong, given how many in each group."""
    place = np.concatenate([np.arange(size) for size in sizes])
    shuffled = np.concatenate([rng.permutation(size) for size in sizes])
    return place < np.repeat(first, sizes), shuffled < np.repeat(second, sizes)


def trained_anew_rows(runs: int, seed: int) -> Iterator[dict[str, object]]:
    """Yield a row a cell: two learners that are equally good, trained on every fold.

    Each data set has groups with six features for each learner, drawn alike; a learner puts each
    file nearer one class's mean of its own features (the means of groups, then of a class). Which
    of the two does better on a data set is luck, of the test groups and of the training groups.
    """
    for number, (normals, defectives, correlation, distance) in enumerate(
        itertools.product((15, 28), (60, 143), (0.3, 0.6, 0.9), (2.5, 4.0))
    ):
        rng = np.random.default_rng([seed, 2, number])
        p: dict[str, list[float]] = {}
        errors = []
        for _ in range(runs):
            found, error = one_data_set(rng, normals, defectives, correlation, distance)
            errors.append(error)
            for name, value in found.items():
                p.setdefault(name, []).append(value)
        yield {
            "groups_normal": normals,
            "groups_defective": defectives,
            "correlation": correlation,
            "mean_error_rate": np.mean(errors),
            "runs": runs,
            **{name: np.mean(np.array(values) <= LEVEL) for name, values in p.items()},
        }


def one_data_set(
    rng: np.random.Generator, normals: int, defectives: int, correlation: float, distance: float
) -> tuple[dict[str, float], float]:
    """Return each test's p-value on one data set, and the mean error rate of the two learners."""
    normal = np.arange(normals + defectives) < normals
    groups, copies = len(normal), 8
    shape = (2, groups, copies, FEATURES)
    shared = rng.standard_normal((2, groups, 1, FEATURES)) * correlation**0.5
    files = shared + rng.standard_normal(shape) * (1.0 - correlation) ** 0.5
    files += np.where(normal, 0.5, -0.5)[:, None, None] * distance / FEATURES**0.5
    rates = np.empty((PARTITIONS, 2, groups))
    fold_of = np.empty((PARTITIONS, groups), dtype=np.int64)
    for partition in range(PARTITIONS):
        fold_of[partition] = stratified_folds(rng, normal)
        for fold in range(FOLDS):
            test = fold_of[partition] == fold
            rates[partition][:, test] = error_rates(files, normal, test)
    gap = rates[:, 0] - rates[:, 1]
    by_fold = np.array(
        [
            [
                balanced(
                    gap[partition][fold_of[partition] == fold], normal[fold_of[partition] == fold]
                )
                for fold in range(FOLDS)
            ]
            for partition in range(PARTITIONS)
        ]
    )
    ratio = 1.0 / (FOLDS - 1)
    mean_gap = gap.mean(axis=0)
    found = {
        "corrected_t_folds": differences.corrected_t(by_fold.ravel(), ratio).p,
        "corrected_t_partition_means": differences.corrected_t(
            [balanced(row, normal) for row in gap], ratio
        ).p,
        "plain_t_folds": plain_t(by_fold.ravel()),
        "sign_flip_overkills": differences.sign_flip(mean_gap[normal], draws=DRAWS).p,
        "sign_flip_escapes": differences.sign_flip(mean_gap[~normal], draws=DRAWS).p,
    }
    return found, float(rates.mean())


def stratified_folds(rng: np.random.Generator, normal: NDArray[np.bool_]) -> NDArray[np.int64]:
    folds = np.empty(len(normal), dtype=np.int64)
    for here in (np.flatnonzero(normal), np.flatnonzero(~normal)):
        folds[rng.permutation(here)] = np.arange(len(here)) % FOLDS
    return folds


def error_rates(files: Floats, normal: NDArray[np.bool_], test: NDArray[np.bool_]) -> Floats:
    """Return both learners' error rates on each test group, (2, groups in test)."""
    by_group = files[:, ~test].mean(axis=2)
    good = by_group[:, normal[~test]].mean(axis=1)
    bad = by_group[:, ~normal[~test]].mean(axis=1)
    middle, axis = (good + bad) / 2.0, good - bad
    seen = files[:, test] - middle[:, None, None, :]
    score = np.einsum("lgcf,lf->lgc", seen, axis)
    return ((score > 0) != normal[test][None, :, None]).mean(axis=2)


def balanced(gap: Floats, normal: NDArray[np.bool_]) -> float:
    return float(gap[normal].mean() + gap[~normal].mean()) / 2.0


def plain_t(values: Floats) -> float:
    from scipy import stats

    return float(stats.ttest_1samp(values, 0.0).pvalue)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=designs.HERE / "results")
    parser.add_argument("--model-runs", type=int, default=2_000, help="data sets a cell; 0: none")
    parser.add_argument("--learner-runs", type=int, default=1_000, help="data sets a cell; 0: none")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.model_runs:
        rows = trained_model_rows(given.model_runs, given.seed)
        print(write(rows, given.out / "null_models.csv").to_string(index=False))
    if given.learner_runs:
        rows = trained_anew_rows(given.learner_runs, given.seed)
        print(write(rows, given.out / "null_learners.csv").to_string(index=False))


if __name__ == "__main__":
    main()
