from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from casting_inspect.deployment.decided import decided_by
from casting_inspect.errors import UserError

WHERE = Path("run")


def record(**changes: object) -> dict[str, object]:
    decision = {"rule": "youden", "threshold": 0.6, "threshold_low": None}
    return {"status": "finished", "threshold": 0.6, "decision": decision, **changes}


@given(
    st.floats(0.01, 0.99),
    st.floats(0.05, 20.0),
    st.floats(-3.0, 3.0),
    st.floats(-8.0, 8.0),
    st.floats(-25.0, 25.0),
)
def test_a_score_passes_after_calibration_if_it_passed_before(
    threshold: float, slope: float, intercept: float, shift: float, score: float
) -> None:
    frozen = {"slope": slope, "intercept": intercept, "prior_shift": shift}
    decision = {"threshold": threshold, "threshold_low": None}
    found = decided_by(record(decision=decision, calibration=frozen), WHERE)
    shipped = slope * score + intercept + shift
    apart = slope * (score - logit(threshold))
    if abs(apart) > 1e-9:  # closer than that the rounding decides
        verdict = found.limits_log_odds.divide(shipped)
        assert verdict == ("normal" if expit(score) > threshold else "defective")
    np.testing.assert_allclose(
        found.limits.high, expit(slope * logit(threshold) + intercept + shift)
    )


def test_without_calibration_nothing_is_shifted() -> None:
    found = decided_by(record(calibration=None), WHERE)
    assert found.limits.high == pytest.approx(0.6)
    assert found.shift == 0.0


def test_two_limits_stay_two() -> None:
    decision = {"threshold": 0.8, "threshold_low": 0.2}
    found = decided_by(record(decision=decision, calibration=None), WHERE)
    assert (found.raw.low, found.raw.high) == (0.2, 0.8)
    assert found.limits.judge(0.5) == "review"


@pytest.mark.parametrize(
    ("high", "low", "verdicts"),
    [
        (1.0, 1.0, ["defective", "defective"]),  # nothing passes
        (1.0, -1.0, ["review", "review"]),  # nobody trusts it
        (0.0, 0.0, ["normal", "normal"]),
    ],
)
def test_limits_that_no_score_reaches_stay_out_of_reach(
    high: float, low: float, verdicts: list[str]
) -> None:
    frozen = {"slope": 0.1, "intercept": 0.0, "prior_shift": 6.9}
    decision = {"threshold": high, "threshold_low": low}
    found = decided_by(record(decision=decision, calibration=frozen), WHERE)
    assert [found.limits_log_odds.divide(score) for score in (-700.0, 700.0)] == verdicts


@pytest.mark.parametrize(
    "changes", [{"status": "failed"}, {"decision": None, "threshold": None}, {"status": None}]
)
def test_a_run_without_decision_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UserError, match="has no threshold"):
        decided_by(record(**changes), WHERE)
