"""Tests of a difference against statsmodels, scipy, hand-worked cases and what null data demand."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from casting_inspect.evaluation import differences
from casting_inspect.labels import DEFECTIVE, NORMAL

SIXTEENTHS = st.integers(-16, 16).map(lambda part: part / 16)


def by_hand(values: list[float]) -> float:
    """Return p by spelling out every pattern of signs."""
    known = [value for value in values if value]
    patterns = list(itertools.product((-1, 1), repeat=len(known)))
    sums = [abs(sum(s * v for s, v in zip(signs, known, strict=True))) for signs in patterns]
    return sum(one >= abs(sum(known)) - 1e-9 for one in sums) / len(patterns)


@given(st.lists(SIXTEENTHS, min_size=1, max_size=9))
def test_sign_flip_is_the_enumeration(values: list[float]) -> None:
    result = differences.sign_flip(values)
    assert result.p == pytest.approx(by_hand(values), abs=1e-12)
    assert result.exact
    assert (result.groups, result.differing) == (len(values), sum(map(bool, values)))
    assert result.difference == pytest.approx(np.mean(values))


def test_sign_flip_by_hand() -> None:
    # 0.5 + 0.25 + 0.25 = 1: only this pattern and its mirror reach 1, of 8
    assert differences.sign_flip([0.5, 0.25, 0.0, 0.25]).p == pytest.approx(2 / 8)
    assert differences.sign_flip([0.0, 0.0]).p == 1.0


def test_sign_flip_agrees_with_scipys_permutation_test() -> None:
    values = np.random.default_rng(3).normal(0.2, 0.5, 12)
    expected = stats.permutation_test(
        (values, np.zeros(12)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    ).pvalue
    assert differences.sign_flip(values).p == pytest.approx(expected, abs=1e-12)


def test_sign_flip_beyond_20_groups_draws_and_is_never_zero() -> None:
    assert differences.sign_flip([0.1] * 20).exact
    assert differences.sign_flip([0.1] * 20).p == pytest.approx(2.0**-19)
    drawn = differences.sign_flip([0.1] * 60)
    assert not drawn.exact
    assert drawn.p == 1 / 20_001
    values = np.random.default_rng(0).normal(0.1, 0.4, 40)
    assert differences.sign_flip(values).p == pytest.approx(
        differences.sign_flip(values, seed=9, draws=100_000).p, abs=0.01
    )


@pytest.mark.parametrize("count", [8, 30])
def test_sign_flip_knows_neither_order_nor_who_is_first(count: int) -> None:
    values = np.random.default_rng(count).normal(0.1, 0.4, count)
    p = differences.sign_flip(values).p
    assert differences.sign_flip(values[::-1]).p == p
    assert differences.sign_flip(-values).p == pytest.approx(p, abs=0.01 if count > 20 else 1e-12)


def test_sign_flip_is_exact_with_sums_that_rounding_tears_apart() -> None:
    # 0.1 + 0.2 - 0.3 is not 0 in binary: the patterns +-(0.1, 0.2, -0.3) and its like are ties
    assert differences.sign_flip([0.1, 0.2, -0.3]).p == 1.0


@pytest.mark.parametrize(("differing", "few"), [(5, True), (6, False)])
def test_fewer_than_six_that_differ_cannot_reach_5_percent(differing: int, few: bool) -> None:
    result = differences.sign_flip([0.5] * differing + [0.0] * 30)
    assert result.few is few
    assert (result.p > 0.05) is few


@pytest.mark.parametrize("values", [[], [float("nan")], [0.1, float("inf")]])
def test_sign_flip_refuses_what_is_no_difference(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite differences"):
        differences.sign_flip(values)


def test_corrected_t_by_hand() -> None:
    # mean 0.02, s**2 = 0.0002 / 3, J = 4, k = 5: variance (1/4 + 1/4) s**2
    values = [0.01, 0.02, 0.02, 0.03]
    t = 0.02 / (0.5 * 0.0002 / 3) ** 0.5
    result = differences.corrected_t(values, 0.25)
    assert result.statistic == pytest.approx(t)
    assert result.p == pytest.approx(2 * stats.t.sf(t, 3))
    assert (result.difference, result.folds) == (pytest.approx(0.02), 4)


def test_corrected_t_without_overlap_is_students() -> None:
    values = np.random.default_rng(1).normal(0.3, 1.0, 20)
    expected = stats.ttest_1samp(values, 0.0)
    result = differences.corrected_t(values, 1e-12)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-6)
    assert result.p == pytest.approx(expected.pvalue, rel=1e-6)


def test_corrected_t_is_more_careful_than_students() -> None:
    values = np.random.default_rng(1).normal(0.3, 1.0, 50)
    assert differences.corrected_t(values, 0.25).p > stats.ttest_1samp(values, 0.0).pvalue


def test_corrected_t_without_spread_is_no_test() -> None:
    assert np.isnan(differences.corrected_t([0.1, 0.1, 0.1], 0.25).p)


@pytest.mark.parametrize(
    ("values", "ratio"), [([0.1], 0.25), ([0.1, 0.2], 0.0), ([0.1, np.nan], 1)]
)
def test_corrected_t_refuses_too_little(values: list[float], ratio: float) -> None:
    with pytest.raises(ValueError, match="two finite differences"):
        differences.corrected_t(values, ratio)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_agrees_with_statsmodels_and_with_sign_flip(pairs: list[tuple[bool, bool]]) -> None:
    first, second = np.array(pairs).T
    table = [
        [int((first & second).sum()), int((first & ~second).sum())],
        [int((~first & second).sum()), int((~first & ~second).sum())],
    ]
    result = differences.mcnemar_exact(first, second)
    assert result.p == pytest.approx(min(1.0, mcnemar(table, exact=True).pvalue), abs=1e-12)
    assert (result.only_first, result.only_second) == (table[0][1], table[1][0])
    flip = differences.sign_flip(first.astype(float) - second)
    if flip.exact:  # one file a group: the two tests are the same
        assert result.p == pytest.approx(flip.p, abs=1e-12)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_holm_agrees_with_statsmodels(p: list[float]) -> None:
    expected = multipletests(p, method="holm")[1]
    assert differences.holm(p) == pytest.approx(expected, abs=1e-12)


def test_holm_leaves_out_what_was_not_tested() -> None:
    nan = float("nan")
    adjusted = differences.holm([0.01, nan, 0.04, 0.03])
    assert adjusted[[0, 2, 3]] == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(adjusted[1])


def predictions() -> pd.DataFrame:
    """Return two partitions: group a has 4 files, b one, c both labels."""
    rows = [
        *((0, 0, "a", "defective", p) for p in (0.9, 0.1, 0.1, 0.1)),
        *((0, 1, "b", "defective", p) for p in (0.5,)),  # a tie is rejected
        *((0, 1, "c", "defective", p) for p in (0.9,)),
        *((0, 0, "c", "normal", p) for p in (0.9, 0.4)),
        *((0, 0, "d", "normal", p) for p in (0.9,)),
        *((1, 0, "a", "defective", p) for p in (0.9, 0.9, 0.9, 0.1)),
        *((1, 0, "d", "normal", p) for p in (0.2,)),
    ]
    table = pd.DataFrame(rows, columns=["partition", "fold", "group", "label", "p_normal"])
    return table.assign(threshold=0.5)


def test_error_rates_are_means_over_partitions_of_each_groups_own() -> None:
    assert differences.error_rates(predictions(), DEFECTIVE).to_dict() == {
        "a": (0.25 + 0.75) / 2,
        "b": 0.0,
        "c": 1.0,
    }
    assert differences.error_rates(predictions(), NORMAL).to_dict() == {"c": 0.5, "d": 0.5}


def test_balanced_accuracy_of_each_fold() -> None:
    found = differences.fold_balanced_accuracy(predictions())
    assert found[(0, 0)] == pytest.approx(1 - (0.25 + 0.25) / 2)
    assert np.isnan(found[(0, 1)])  # no normal casting there
    assert found[(1, 0)] == pytest.approx(1 - (0.75 + 1.0) / 2)
