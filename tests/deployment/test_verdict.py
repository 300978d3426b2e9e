import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casting_inspect.deployment.verdict import Limits

scores = st.floats(0.0, 1.0)


@given(scores, scores, scores)
def test_a_higher_score_never_gets_a_worse_verdict(first: float, second: float, p: float) -> None:
    limits = Limits(high=max(first, second), low=min(first, second))
    order = ["defective", "review", "normal"]
    better = min(1.0, p + 0.1)
    assert order.index(limits.judge(better)) >= order.index(limits.judge(p))


def test_a_tie_is_against_the_part() -> None:
    limits = Limits(high=0.7, low=0.3)
    said = [limits.judge(p) for p in (0.3, math.nextafter(0.3, 1), 0.7, math.nextafter(0.7, 1))]
    assert said == ["defective", "review", "review", "normal"]
    assert Limits(high=0.5, low=0.5).judge(0.5) == "defective"


@pytest.mark.parametrize("p", [math.nan, -0.1, 1.1])
def test_what_is_no_probability_never_passes(p: float) -> None:
    with pytest.raises(ValueError, match="no probability"):
        Limits(high=0.5, low=0.5).judge(p)


def test_limits_are_in_order() -> None:
    with pytest.raises(ValueError, match="above the upper one"):
        Limits(high=0.2, low=0.3)
