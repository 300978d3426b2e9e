"""Calibration against statsmodels, and what prior and weights mean."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit

from casting_inspect.evaluation.calibration import (
    Calibration,
    fit_platt,
    fit_temperature,
    prior_shift,
)


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    true = random.normal(0.3, 2.0, 20000)
    normal = random.random(20000) < expit(true)
    return 3.0 * true - 1.5, normal  # too sure of itself, and too strict


def test_platts_line_is_that_of_a_logistic_regression(scores) -> None:
    logits, normal = scores
    found = fit_platt(logits, normal, np.full(len(normal), 1 / len(normal)))
    expected = sm.Logit(normal, sm.add_constant(logits)).fit(disp=0).params
    assert found.intercept == pytest.approx(expected[0], abs=0.02)
    assert found.slope == pytest.approx(expected[1], rel=0.01)
    assert found.slope == pytest.approx(1 / 3, rel=0.05)


def test_a_temperature_has_no_intercept(scores) -> None:
    logits, normal = scores
    found = fit_temperature(logits + 1.5, normal, np.ones(len(normal)))
    assert found.intercept == 0.0
    assert found.slope == pytest.approx(1 / 3, rel=0.05)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_the_scores_unit_does_not_matter(scores, unit: float) -> None:
    logits, normal = scores
    plain = fit_platt(logits, normal, np.ones(len(normal)))
    found = fit_platt(unit * logits, normal, np.ones(len(normal)))
    assert found.slope * unit == pytest.approx(plain.slope, rel=1e-3)
    assert found.intercept == pytest.approx(plain.intercept, abs=1e-3)


def test_scores_without_overlap_have_a_finite_slope() -> None:
    logits, normal = np.r_[-4.0, -3.0, 3.0, 4.0], np.array([False, False, True, True])
    found = fit_platt(logits, normal, np.full(4, 0.25))
    assert 0 < found.slope < 2
    assert found.probabilities(np.array([4.0]))[0] < 0.9  # two castings prove no more


def test_copies_of_a_file_make_nothing_surer() -> None:
    logits, normal = np.r_[-4.0, -3.0, 3.0, 4.0], np.array([False, False, True, True])
    copies = fit_platt(np.repeat(logits, 50), np.repeat(normal, 50), np.full(200, 0.005))
    few = fit_platt(logits, normal, np.full(4, 0.25))
    assert copies.slope > few.slope  # as files of their own they would count
    shares = np.repeat([0.5 / 50, 0, 0.5 / 50, 0], 50)
    shares[::50] = [0.5, 0, 0.5, 0]
    shares[[i for i in range(200) if i % 50]] = 0
    one = fit_platt(np.repeat(logits, 50), np.repeat(normal, 50), shares)
    alone = fit_platt(logits[[0, 2]], normal[[0, 2]], np.full(2, 0.5))
    assert one.slope == pytest.approx(alone.slope, rel=1e-3)


def test_the_prior_moves_log_odds_by_the_lines_odds() -> None:
    assert prior_shift(0.5) == 0.0
    assert prior_shift(0.001) == pytest.approx(np.log(999))
    plain = Calibration()
    assert plain.probabilities(np.zeros(1), 0.001)[0] == pytest.approx(0.999)
    line = Calibration(0.5, 0.2)
    for prevalence in (0.5, 0.01):
        at = line.logit_of(0.9, prevalence)
        assert line.probabilities(np.array([at]), prevalence)[0] == pytest.approx(0.9)
