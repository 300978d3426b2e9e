"""Intervals against statsmodels, scipy, closed forms and the laws they must obey."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from casting_inspect.evaluation import intervals

SHARES = st.floats(0.0, 1.0)
RATES = st.lists(st.one_of(st.just(0.0), st.just(1.0), SHARES), min_size=1, max_size=40)


@pytest.mark.parametrize(("k", "n"), [(0, 5), (5, 5), (1, 5), (14, 1845), (2.4, 28.0), (0.3, 1.0)])
def test_clopper_pearson_agrees_with_statsmodels(k: float, n: float) -> None:
    low, high = proportion_confint(k, n, alpha=0.05, method="beta")
    assert intervals.clopper_pearson(k, n) == pytest.approx((low, high), abs=1e-12)


def test_clopper_pearson_gives_the_printed_limits_of_the_paper() -> None:
    escape = intervals.clopper_pearson(14, 1845)
    overkill = intervals.clopper_pearson(10, 1360)
    assert [f"{100 * limit:.3f}" for limit in escape] == ["0.415", "1.270"]
    assert [f"{100 * limit:.3f}" for limit in overkill] == ["0.353", "1.348"]


@pytest.mark.parametrize("n", [1, 2, 28, 299])
def test_clopper_pearson_without_errors_has_the_closed_form(n: int) -> None:
    low, high = intervals.clopper_pearson(0, n)
    assert low == 0.0
    assert high == pytest.approx(1.0 - 0.025 ** (1.0 / n), rel=1e-12)


def test_zero_overkill_on_28_castings_leaves_12_percent() -> None:
    assert intervals.korn_graubard([0.0] * 28)[1] == pytest.approx(0.123, abs=5e-4)


@given(st.floats(0.01, 500.0), SHARES, st.sampled_from([0.8, 0.95, 0.99]))
def test_clopper_pearson_contains_the_share(n: float, share: float, level: float) -> None:
    k = min(n * share, n)
    low, high = intervals.clopper_pearson(k, n, level)
    assert 0.0 <= low <= k / n + 1e-12
    assert k / n - 1e-12 <= high <= 1.0


@pytest.mark.parametrize(("k", "n"), [(1, 0), (-1, 5), (6, 5), (float("nan"), 5)])
def test_clopper_pearson_refuses_impossible_counts(k: float, n: float) -> None:
    with pytest.raises(ValueError, match="errors among"):
        intervals.clopper_pearson(k, n)


def test_korn_graubard_counts_groups_where_few_have_an_error() -> None:
    rates = [0.5, 0.25, 0.1] + [0.0] * 40
    expected = proportion_confint(0.85, 43, method="beta")
    assert intervals.korn_graubard(rates) == pytest.approx(expected, abs=1e-12)


def test_korn_graubard_counts_groups_where_few_have_none() -> None:
    rates = [0.5, 0.25] * 20 + [0.0] * 9
    expected = proportion_confint(15.0, 49, method="beta")
    assert intervals.korn_graubard(rates) == pytest.approx(expected, abs=1e-12)


def test_korn_graubard_takes_the_effective_number_where_it_is_larger() -> None:
    rates = [0.1] * 20 + [0.0] * 20
    mean, variance = statistics.mean(rates), statistics.variance(rates)
    quantiles = stats.norm.ppf(0.975) / stats.t.ppf(0.975, 39)
    effective = mean * (1 - mean) / (variance / 40) * quantiles**2
    assert effective > 40
    expected = proportion_confint(mean * effective, effective, method="beta")
    assert intervals.korn_graubard(rates) == pytest.approx(expected, abs=1e-12)


def test_korn_graubard_never_counts_less_than_the_groups() -> None:
    rates = [1.0] * 10 + [0.0] * 30  # all or nothing: each group is one trial
    expected = proportion_confint(10, 40, method="beta")
    assert intervals.korn_graubard(rates) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rates", [[0.0], [1.0], [0.4], [0.0, 1.0], [0.2, 0.2], [0.0, 0.0]])
def test_korn_graubard_with_one_or_two_groups_is_wide_and_finite(rates: list[float]) -> None:
    low, high = intervals.korn_graubard(rates)
    assert 0.0 <= low <= statistics.mean(rates) <= high <= 1.0
    assert high - low > 0.8


@given(RATES, st.randoms())
def test_korn_graubard_contains_the_rate_and_knows_no_order(
    rates: list[float], random: object
) -> None:
    low, high = intervals.korn_graubard(rates)
    mean = statistics.fmean(rates)
    assert 0.0 <= low <= mean + 1e-12
    assert mean - 1e-12 <= high <= 1.0
    assert high > low
    random.shuffle(rates)  # type: ignore[attr-defined]
    assert intervals.korn_graubard(rates) == (low, high)


@given(st.lists(st.integers(0, 16).map(lambda part: part / 16), min_size=1, max_size=40))
def test_korn_graubard_mirrors(rates: list[float]) -> None:
    low, high = intervals.korn_graubard(rates)
    mirrored = intervals.korn_graubard([1.0 - rate for rate in rates])
    assert mirrored == pytest.approx((1.0 - high, 1.0 - low), abs=1e-9)


def test_korn_graubard_covers_with_28_unequal_groups() -> None:
    generator = np.random.default_rng(1)
    draws = generator.beta(0.35, 3.15, (600, 28))
    draws[generator.random(draws.shape) < 0.3] = 0.0
    truth = 0.7 * 0.35 / 3.5
    limits = [intervals.korn_graubard(rates) for rates in draws]
    assert np.mean([low <= truth <= high for low, high in limits]) >= 0.93


@pytest.mark.parametrize("rates", [[], [-0.1], [1.1], [float("nan")]])
def test_korn_graubard_refuses_what_is_no_rate(rates: list[float]) -> None:
    with pytest.raises(ValueError, match="rates from 0 to 1"):
        intervals.korn_graubard(rates)


def test_rate_limits_are_exact_for_single_files_only() -> None:
    rates = [1.0] * 3 + [0.0] * 7
    exact = proportion_confint(3, 10, method="beta")
    assert intervals.rate_limits(rates, [1] * 10) == pytest.approx(exact, abs=1e-12)
    many = [0.1] * 20 + [0.0] * 20
    assert intervals.rate_limits(many, [10] * 40) == intervals.korn_graubard(many)


def test_mover_of_equal_symmetric_intervals_shrinks_by_the_root_of_two() -> None:
    low, high = intervals.mover_mean(0.3, (0.2, 0.4), 0.5, (0.4, 0.6))
    assert (low, high) == pytest.approx((0.4 - 0.1 / 2**0.5, 0.4 + 0.1 / 2**0.5))


def test_mover_keeps_skewed_limits_skewed() -> None:
    # zero of 28 and zero of 100: only the upper distances count
    first, second = (0.0, 1 - 0.025 ** (1 / 28)), (0.0, 1 - 0.025 ** (1 / 100))
    low, high = intervals.mover_mean(0.0, first, 0.0, second)
    assert low == 0.0
    assert high == pytest.approx((first[1] ** 2 + second[1] ** 2) ** 0.5 / 2)


@given(st.tuples(SHARES, SHARES, SHARES), st.tuples(SHARES, SHARES, SHARES))
def test_mover_contains_the_mean_and_stays_within_the_means_of_the_limits(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> None:
    (a, b, c), (d, e, f) = sorted(first), sorted(second)
    low, high = intervals.mover_mean(b, (a, c), e, (d, f))
    assert (a + d) / 2 - 1e-12 <= low <= (b + e) / 2 <= high <= (c + f) / 2 + 1e-12


def _weighted_mean(values: np.ndarray) -> intervals.Statistic:
    return lambda weights: weights @ values / weights.sum(axis=1)


def test_bootstrap_agrees_with_scipy_on_a_mean() -> None:
    values = np.random.default_rng(3).gamma(1.0, size=80)
    ours = intervals.bootstrap_over_groups(_weighted_mean(values), np.zeros(80), draws=9_000)
    theirs = stats.bootstrap(
        *((values,), np.mean), n_resamples=9_000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_bootstrap_keeps_the_number_of_groups_of_each_class() -> None:
    classes = np.array([0, 1, 1, 0, 1])
    seen: list[np.ndarray] = []

    def watch(weights: np.ndarray) -> np.ndarray:
        seen.append(weights)
        return np.zeros(len(weights))

    assert intervals.bootstrap_over_groups(watch, classes, draws=50) == (0.0, 0.0)
    drawn = np.concatenate(seen)[1:]
    assert drawn.shape == (50, 5)
    assert np.all(drawn[:, classes == 0].sum(axis=1) == 2)
    assert np.all(drawn[:, classes == 1].sum(axis=1) == 3)
    assert np.any(drawn > 1)


def test_bootstrap_is_the_same_for_the_same_seed_and_whatever_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.linspace(0, 1, 30)
    same = [intervals.bootstrap_over_groups(_weighted_mean(values), values > 0.4) for _ in range(2)]
    assert same[0] == same[1]
    monkeypatch.setattr(intervals, "_CELLS_AT_ONCE", 100)
    assert intervals.bootstrap_over_groups(_weighted_mean(values), values > 0.4) == same[0]


def test_bootstrap_leaves_undefined_draws_out() -> None:
    def sometimes(weights: np.ndarray) -> np.ndarray:
        return np.where(weights[:, 0] > 0, weights[:, 0], np.nan)

    low, high = intervals.bootstrap_over_groups(sometimes, np.zeros(6))
    assert low == 1.0
    assert high >= 3.0


def test_bootstrap_refuses_an_undefined_statistic() -> None:
    with pytest.raises(ValueError, match="undefined"):
        intervals.bootstrap_over_groups(lambda w: np.full(len(w), np.nan), [0, 1])


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=12),
    st.integers(0, 3),
)
def test_limits_of_a_ratio_contain_it(counts: list[tuple[int, int]], seed: int) -> None:
    parts = np.array([min(part, whole) for part, whole in counts])
    wholes = np.array([whole for _, whole in counts])
    classes = np.random.default_rng(seed).integers(0, 2, len(counts))
    low, high = intervals.ratio_limits(parts, wholes, classes)
    assert 0.0 <= low <= parts.sum() / wholes.sum() <= high <= 1.0


def test_limits_of_a_rate_by_file_without_errors_count_groups_not_files() -> None:
    low, high = intervals.ratio_limits([0] * 28, [100] * 28, [1] * 28)
    assert (low, high) == pytest.approx((0.0, 1 - 0.025 ** (1 / 28)))


def test_limits_of_f1_are_those_of_a_bootstrap_by_hand() -> None:
    generator = np.random.default_rng(5)
    classes = np.repeat([1, 0], 40)
    right = generator.binomial(10, 0.9, 80)
    twice_tp, wrong = np.where(classes == 1, 2 * right, 0), 10 - right
    ours = intervals.ratio_limits(twice_tp, twice_tp + wrong, classes)
    by_hand = []
    for _ in range(2_000):
        picks = np.r_[generator.integers(0, 40, 40), generator.integers(40, 80, 40)]
        by_hand.append(twice_tp[picks].sum() / (twice_tp + wrong)[picks].sum())
    assert ours == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])), abs=0.006)


def test_perfect_separation_is_improbable_below_its_limit() -> None:
    # 5 normal scores from N(d, 1) above 5 defective from N(0, 1), at the AUROC of the limit
    limit = intervals.clopper_pearson(5, 5)[0]
    distance = stats.norm.ppf(limit) * 2**0.5
    scores = np.random.default_rng(6).normal(size=(20_000, 10))
    perfect = (scores[:, :5].min(axis=1) + distance) > scores[:, 5:].max(axis=1)
    assert limit == pytest.approx(0.025**0.2)
    assert perfect.mean() <= 0.025


def test_effective_groups_is_kish() -> None:
    assert intervals.effective_groups([10] * 7) == pytest.approx(7.0)
    assert intervals.effective_groups([81, 1, 1, 1]) == pytest.approx(84**2 / (81**2 + 3))
    assert intervals.effective_groups([]) == 0.0
