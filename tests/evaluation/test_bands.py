"""Two thresholds: by hand, against brute force, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casting_inspect.evaluation.bands import (
    Band,
    by_bounds,
    by_cost,
    conformal,
    conformal_levels,
    on_scores,
)
from casting_inspect.evaluation.calibration import Calibration


def test_verdicts_at_the_ends() -> None:
    band = Band(0.2, 0.8)
    assert band.verdicts(np.array([0.1, 0.2, 0.21, 0.8, 0.81])).tolist() == [0, 0, -1, -1, 1]


@given(st.floats(0.1, 1000), st.floats(0.1, 1000), st.floats(0, 100) | st.none(), st.floats(0, 1))
def test_no_verdict_would_cost_less(
    escape: float, overkill: float, review: float | None, p: float
) -> None:
    costs = {1: (1 - p) * escape, 0: p * overkill}
    if review is not None:
        costs[-1] = review
    verdict = int(by_cost(escape, overkill, review).verdicts(np.array([p]))[0])
    assert costs[verdict] <= min(costs.values()) + 1e-9 * (escape + overkill)


def test_costs_by_hand() -> None:
    assert by_cost(99.0, 1.0) == Band(0.99, 0.99)
    assert by_cost(100.0, 10.0, 1.0) == Band(0.1, 0.99)
    assert by_cost(1.0, 1.0, 0.6) == Band(0.5, 0.5)


def test_a_band_on_scores_stands_for_the_same_probabilities() -> None:
    calibration = Calibration(0.5, 0.3)
    band = on_scores(Band(0.2, 0.99), calibration, 0.01)
    logits = np.log([band.low / (1 - band.low), band.high / (1 - band.high)])
    assert calibration.probabilities(logits, 0.01) == pytest.approx([0.2, 0.99])
    assert on_scores(Band(0.0, 1.0), calibration, 0.01) == Band(0.0, 1.0)


def test_bounds_hold_on_both_sides() -> None:
    random = np.random.default_rng(1)
    scores = np.r_[random.beta(2, 5, 300), random.beta(5, 2, 300)]
    normal = np.repeat([False, True], 300)
    band, supported = by_bounds(scores, normal, np.arange(600), 0.05, 0.05)
    assert supported
    verdicts = band.verdicts(scores)
    assert 0 < (verdicts[~normal] == 1).mean() < 0.05
    assert 0 < (verdicts[normal] == 0).mean() < 0.05
    assert (verdicts == -1).any()


def test_where_one_threshold_keeps_both_bounds_nobody_looks() -> None:
    scores = np.r_[np.linspace(0.0, 0.1, 100), np.linspace(0.9, 1.0, 100)]
    normal = np.repeat([False, True], 100)
    band, supported = by_bounds(scores, normal, np.arange(200), 0.05, 0.05)
    assert supported
    assert band.low == band.high
    assert not by_bounds(scores, normal, np.repeat(np.arange(20), 10), 0.05, 0.05)[1]


def test_the_smallest_conformal_level() -> None:
    assert conformal_levels(28) == pytest.approx(1 / 29)
    scores = np.arange(1, 29) / 28
    assert conformal(scores, np.arange(28), 1 / 29) == scores[0]
    assert conformal(scores, np.arange(28), 0.034) == -np.inf


def test_a_conformal_level_is_kept_for_new_castings() -> None:
    random = np.random.default_rng(2)
    lost = []
    for number in range(2000):
        groups = np.repeat(np.arange(30), random.integers(1, 40, 30))
        middles = random.normal(size=31)
        scores = middles[groups] + 0.3 * random.normal(size=len(groups))
        new = middles[30] + 0.3 * random.normal()
        lost.append(new <= conformal(scores, groups, 0.1, seed=number))
    assert np.mean(lost) == pytest.approx(3 / 31, abs=0.02)
