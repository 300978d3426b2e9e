"""The escape rule against published plans, by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from casting_inspect.evaluation.escape import castings_needed, escape_threshold, upper_limit


@pytest.mark.parametrize(("escapes", "castings"), [(0, 299), (1, 473), (2, 628), (3, 773)])
def test_castings_needed_are_those_of_the_sampling_plans(escapes: int, castings: int) -> None:
    assert castings_needed(0.01, escapes) == castings
    assert upper_limit(escapes, castings) <= 0.01 < upper_limit(escapes, castings - 1)


def test_the_limit_is_clopper_and_pearsons() -> None:
    for errors, groups in ((0, 20), (3, 40), (39, 40)):
        expected = proportion_confint(errors, groups, alpha=0.1, method="beta")[1]
        assert upper_limit(errors, groups) == pytest.approx(expected)
    assert upper_limit(12, 12) == pytest.approx(1.0)


def test_by_hand() -> None:
    # 100 groups of one file: no escape allows 2.95 %, one 4.66 %, two 6.16 %
    scores = np.arange(100) / 100
    found = escape_threshold(scores, np.arange(100), 0.05)
    assert found.supported
    assert found.threshold == 0.98  # 0.99 passes
    assert found.escape_rate == pytest.approx(0.01)
    assert found.bound == pytest.approx(0.0466, abs=1e-4)


def test_files_of_one_group_count_as_shares() -> None:
    scores = np.r_[np.zeros(99), 0.9, 0.8, 0.7, 0.6]
    groups = np.r_[np.arange(99), 99, 99, 99, 99]
    assert escape_threshold(scores, groups, 0.05).threshold == 0.0
    assert escape_threshold(scores, groups, 0.0400).threshold == 0.7  # half a casting


def test_what_cannot_be_supported_says_so() -> None:
    found = escape_threshold(np.array([0.2, 0.4, 0.1]), np.arange(3), 0.05)
    assert not found.supported
    assert found.threshold == 0.4
    assert found.escape_rate == 0.0
    assert found.needed == 59
    assert found.bound == pytest.approx(1 - 0.05 ** (1 / 3))


def test_equal_scores_pass_or_fail_together() -> None:
    found = escape_threshold(np.full(200, 0.5), np.arange(200), 0.05)
    assert found.threshold == 0.5
    assert found.escape_rate == 0.0


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 30)), min_size=1, max_size=80),
    st.floats(0.01, 0.9),
)
def test_no_smaller_threshold_would_do(rows: list[tuple[float, int]], max_escape: float) -> None:
    scores = np.array([score for score, _ in rows])
    groups = np.array([group for _, group in rows])
    found = escape_threshold(scores, groups, max_escape)

    def bound(threshold: float) -> float:
        rates = [np.mean(scores[groups == group] > threshold) for group in np.unique(groups)]
        return float(upper_limit(min(sum(rates), len(rates)), len(rates)))

    assert found.bound == pytest.approx(bound(found.threshold), abs=1e-9)
    smaller = [score for score in [0.0, *scores] if score < found.threshold]
    if found.supported:
        assert found.bound <= max_escape
        assert all(bound(score) > max_escape - 1e-9 for score in smaller)
    else:
        assert not (scores > found.threshold).any()


@pytest.mark.parametrize("within", [0.0, 0.6, 2.0])
def test_the_true_escape_rate_is_kept_in_95_of_100_sets_of_unequal_groups(within: float) -> None:
    random = np.random.default_rng(0)
    sets, castings, max_escape = 1000, 120, 0.05
    sizes = random.choice([1, 1, 2, 6, 30, 40, 41, 180], (sets, castings))
    middles = random.normal(-2.0, 1.2, (sets, castings))  # of each casting's logits
    thresholds = np.empty(sets)
    for number in range(sets):
        groups = np.repeat(np.arange(castings), sizes[number])
        logits = middles[number][groups] + random.normal(0, within, len(groups))
        thresholds[number] = escape_threshold(expit(logits), groups, max_escape).threshold
    # logits of a new casting's file: a normal distribution with both variances
    true_rates = norm.sf(logit(thresholds), -2.0, np.hypot(1.2, within))
    assert np.mean(true_rates <= max_escape) >= 0.95
