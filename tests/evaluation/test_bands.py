"""Two thresholds: by hand, against brute force, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casting_inspect.evaluation.bands import (
    NEVER,
    Band,
    by_bounds,
    by_conformal,
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
    band, escapes, overkills = by_bounds(scores, normal, np.arange(600), 0.05, 0.05)
    assert escapes.supported
    assert overkills.supported
    verdicts = band.verdicts(scores)
    assert 0 < (verdicts[~normal] == 1).mean() < 0.05
    assert 0 < (verdicts[normal] == 0).mean() < 0.05
    assert (verdicts == -1).any()


def test_where_one_threshold_keeps_both_bounds_nobody_looks() -> None:
    scores = np.r_[np.linspace(0.0, 0.1, 100), np.linspace(0.9, 1.0, 100)]
    normal = np.repeat([False, True], 100)
    band, escapes, overkills = by_bounds(scores, normal, np.arange(200), 0.05, 0.05)
    assert escapes.supported
    assert overkills.supported
    assert band.low == band.high
    _, *few = by_bounds(scores, normal, np.repeat(np.arange(20), 10), 0.05, 0.05)
    assert not any(found.supported for found in few)


def test_a_good_part_with_a_score_of_0_is_not_rejected_where_none_may_be() -> None:
    scores, normal = np.array([0.0, 0.4, 0.0, 0.9]), np.array([False, False, True, True])
    band, *_ = by_bounds(scores, normal, np.arange(4), 0.05, 0.05)
    assert band.low == NEVER
    assert band.verdicts(scores).tolist() == [-1, -1, -1, 1]


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


def test_a_conformal_band_keeps_both_levels_for_new_castings() -> None:
    random = np.random.default_rng(3)
    wrong = []
    for number in range(1000):
        normal = np.repeat([False, True], [40, 30])
        scores = np.r_[random.beta(2, 4, 40), random.beta(4, 2, 30)]
        band = by_conformal(scores, normal, np.arange(70), 0.1, 0.2, seed=number)
        new = band.verdicts(np.array([random.beta(2, 4), random.beta(4, 2)]))
        wrong.append([new[0] == 1, new[1] == 0])
    escape, overkill = np.mean(wrong, axis=0)
    assert escape == pytest.approx(4 / 41, abs=0.03)  # the level that 40 castings can keep
    assert overkill == pytest.approx(6 / 31, abs=0.04)


def test_below_the_smallest_level_a_conformal_band_decides_nothing() -> None:
    scores, normal = np.array([0.0, 0.1, 0.9, 1.0]), np.array([False, False, True, True])
    band = by_conformal(scores, normal, np.arange(4), 0.3, 0.3)
    assert (band.verdicts(scores) == -1).all()
    assert (by_conformal(scores, normal, np.arange(4), 1 / 3, 1 / 3).verdicts(scores) != -1).all()
