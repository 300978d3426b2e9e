import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casting_inspect.deployment.parity import complaints, expected_changes, parity
from casting_inspect.deployment.verdict import Limits
from casting_inspect.evaluation.predictions import complete_predictions
from casting_inspect.evaluation.terms import Terms

ONE = Limits(high=0.0, low=0.0)
TWO = Limits(high=1.0, low=-1.0)


def table(labels: list[str], groups: list[str], **more: object) -> pd.DataFrame:
    paths = [f"{at}.png" for at in range(len(labels))]
    columns = {"path": paths, "label": labels, "group": groups, "p_normal": 0.5, **more}
    return complete_predictions(pd.DataFrame(columns))


finite = st.floats(-5.0, 5.0)


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=12), st.sampled_from([ONE, TWO]))
def test_figures_are_what_counting_gives(pairs: list[tuple[float, float]], limits: Limits) -> None:
    reference, found = (np.array(side) for side in zip(*pairs, strict=True))
    labels = ["normal", "defective"] * len(pairs)
    rows = table(labels[: len(pairs)], [str(at // 2) for at in range(len(pairs))])
    figures = parity(rows, reference, found, limits, Terms())
    changed = [limits.divide(one) != limits.divide(other) for one, other in pairs]
    assert figures["verdict_changes"] == sum(changed)
    assert figures["verdict_change_share"] == sum(changed) / len(pairs)
    assert figures["log_odds"]["largest"] == max(abs(one - other) for one, other in pairs)
    p = [1 / (1 + np.exp(-np.array(side))) for side in (reference, found)]
    np.testing.assert_allclose(figures["p_normal"]["mean"], np.abs(p[0] - p[1]).mean(), atol=1e-15)
    escapes = [
        np.mean(
            [one > limits.high for one in scores[np.array(labels[: len(pairs)]) == "defective"]]
        )
        for scores in (reference, found)
        if len(pairs) > 1
    ]
    if escapes:  # each group has one defective file
        np.testing.assert_allclose(
            [figures["escapes"]["reference"], figures["escapes"]["bundle"]], escapes
        )
    else:
        assert figures["escapes"] is None


def test_a_part_is_rejected_by_any_of_its_pictures() -> None:
    rows = table(["normal"] * 4, ["a", "a", "b", "b"], part=["p", "p", "q", "q"])
    reference, found = np.array([1.0, 1.0, 1.0, 1.0]), np.array([1.0, -1.0, 1.0, 1.0])
    by_part = parity(rows, reference, found, ONE, Terms(unit="part"))
    assert by_part["verdict_changes"] == 1  # verdicts are on pictures
    assert by_part["overkills"]["bundle"] == 0.5
    mean = parity(rows, reference, found + 0.1, ONE, Terms(unit="part", aggregate="mean"))
    assert mean["overkills"]["bundle"] == 0.0


def test_who_is_sent_to_a_person_is_not_rejected() -> None:
    rows = table(["normal"] * 2, ["a", "b"])
    figures = parity(rows, np.array([2.0, 2.0]), np.array([0.0, -2.0]), TWO, Terms())
    assert figures["verdict_changes"] == 2
    assert figures["overkills"]["bundle"] == 0.5


@given(st.lists(finite, min_size=1, max_size=20), st.lists(finite, min_size=1, max_size=20))
def test_expected_changes_are_the_mean_over_all_pairs(
    margins: list[float], gaps: list[float]
) -> None:
    pairs = [(margin > 0) != (margin + gap > 0) for margin in margins for gap in gaps]
    # a sum of two floats rounds, so pairs on the very edge are left out of what is asked
    close = [abs(margin + gap) < 1e-12 and margin + gap != 0 for margin in margins for gap in gaps]
    found = expected_changes(np.array(margins), np.array(gaps))
    assert abs(found - np.mean(pairs)) <= np.mean(close) + 1e-12


def figures(**changes: object) -> dict[str, object]:
    even = {"reference": 0.1, "bundle": 0.1, "difference": 0.0, "p": 1.0, "groups_that_differ": 0}
    known = {"n": 1000, "verdict_changes": 0, "verdict_change_share": 0.0}
    return {**known, "escapes": even, "overkills": dict(even), **changes}


def test_the_bound_itself_is_kept_to() -> None:
    changed = figures(verdict_changes=10, verdict_change_share=0.01)
    assert complaints(changed, 0.01) == []
    (said,) = complaints(changed, 0.0099)
    assert "10 of 1000 verdicts change (1.00%" in said


def test_changes_on_new_pictures_count() -> None:
    assert complaints(figures(expected_change_share=0.0109), 0.01) == []
    (said,) = complaints(figures(expected_change_share=0.0111), 0.01)
    assert "pictures that are new to it" in said


@pytest.mark.parametrize("what", ["escapes", "overkills"])
def test_only_a_significant_rise_is_refused(what: str) -> None:
    rise = {"reference": 0.1, "bundle": 0.2, "difference": 0.1, "p": 0.01}
    (said,) = complaints(figures(**{what: rise}), 0.01)
    assert said.startswith(f"{what} rise from 10.00% to 20.00%")
    assert complaints(figures(**{what: {**rise, "p": 0.06}}), 0.01) == []
    assert complaints(figures(**{what: {**rise, "difference": -0.1}}), 0.01) == []


def test_escapes_that_rise_in_many_groups_are_found() -> None:
    count = 12
    rows = table(["defective"] * count, [str(at) for at in range(count)])
    reference, found = np.full(count, -1.0), np.full(count, -1.0)
    found[:6] = 1.0
    said = complaints(parity(rows, reference, found, ONE, Terms()), max_changes=1.0)
    assert len(said) == 1
    assert "escapes rise from 0.00% to 50.00%" in said[0]
