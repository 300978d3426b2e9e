"""What each rule decides, and what it says of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from casting_inspect.errors import UserError
from casting_inspect.evaluation.decisions import decide

LABELS = ("normal", "defective")


def table(defectives: int, normals: int, copies: int = 3, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    logits = np.r_[random.normal(-3, 1.5, defectives), random.normal(3, 1.5, normals)]
    labels = ["defective"] * defectives + ["normal"] * normals
    rows = pd.DataFrame(
        {
            "path": [f"{number}.png" for number in range(len(logits))],
            "label": labels,
            "group": [f"g{number}" for number in range(len(logits))],
            "logit": logits,
            "p_normal": 1 / (1 + np.exp(-logits)),
        }
    )
    rows = rows.loc[rows.index.repeat(copies)].reset_index(drop=True)
    return rows.assign(path=[f"{number}.png" for number in range(len(rows))])


def test_escape_says_what_is_supported() -> None:
    options = {"max_escape": 0.05, "best_effort": True}
    rows = table(120, 30)
    found = decide("escape", options, rows)
    assert found.facts["supported"]
    assert found.facts["escape_bound"] <= 0.05
    assert found.facts["groups_defective"] == 120
    assert "at most 5.00% of defective castings escape" in found.reason
    rejected = (rows["p_normal"] <= found.threshold)[rows["label"] == "normal"]
    assert found.facts["overkill_rate"] == pytest.approx(rejected.mean())
    assert f"{rejected.mean():.2%} of good ones are rejected there" in found.reason


def test_escape_with_too_few_castings_says_how_many_would_do() -> None:
    rows = table(20, 30, copies=50)  # a thousand files of 20 castings
    options = {"max_escape": 0.05, "best_effort": True}
    found = decide("escape", options, rows)
    assert not found.facts["supported"]
    assert found.facts["groups_needed"] == 59
    assert not (rows["p_normal"][rows["label"] == "defective"] > found.threshold).any()
    assert "59 without one would do" in found.reason
    with pytest.raises(UserError, match=r"59 without one would do.*best_effort"):
        decide("escape", {**options, "best_effort": False}, rows)


def test_costs_move_the_threshold_the_way_they_should() -> None:
    options = {"cost_escape": 100.0, "cost_overkill": 1.0, "prevalence": 0.01}
    rows = table(200, 200)
    plain = decide("cost", options, rows).threshold
    assert decide("cost", {**options, "cost_escape": 1000.0}, rows).threshold > plain
    assert decide("cost", {**options, "cost_overkill": 10.0}, rows).threshold < plain
    assert decide("cost", {**options, "prevalence": 0.1}, rows).threshold > plain
    # logits with slope 4 / 3 of classes that lie as far from nought: as in theory within noise
    even = {"cost_escape": 1.0, "cost_overkill": 1.0, "prevalence": 0.5}
    assert decide("cost", even, rows).threshold == pytest.approx(0.5, abs=0.1)


def test_a_person_looks_where_that_costs_less() -> None:
    costs = {"cost_escape": 100.0, "cost_overkill": 10.0, "prevalence": 0.01}
    rows = table(200, 200)
    alone = decide("cost", costs, rows)
    assert (alone.threshold_low, set(alone.columns())) == (None, {"threshold"})
    helped = decide("cost", {**costs, "cost_review": 0.5}, rows)
    assert helped.threshold_low is not None
    assert helped.threshold_low < alone.threshold < helped.threshold
    same = decide("review", {**costs, "cost_review": 0.5, "by": "costs"}, rows)
    assert same.columns() == helped.columns()
    assert "a person between" in helped.reason
    dear = decide("cost", {**costs, "cost_review": 50.0}, rows)
    assert dear.columns() == {"threshold": alone.threshold, "threshold_low": alone.threshold}
    assert "nobody looks" in dear.reason


BOUNDS = {"by": "bounds", "max_escape": 0.05, "max_overkill": 0.05, "best_effort": True}


def test_review_by_bounds_says_what_is_supported() -> None:
    found = decide("review", BOUNDS, table(120, 100))
    assert found.facts["supported"]
    assert found.facts["escape_bound"] <= 0.05
    assert found.facts["overkill_bound"] <= 0.05
    assert (found.facts["groups_defective"], found.facts["groups_normal"]) == (120, 100)


def test_review_by_bounds_with_too_few_of_a_class_says_how_many_would_do() -> None:
    rows = table(120, 20, copies=40)
    found = decide("review", BOUNDS, rows)
    assert found.facts["escape_supported"]
    assert not found.facts["overkill_supported"]
    assert found.threshold_low is not None
    assert not (rows["p_normal"][rows["label"] == "normal"] <= found.threshold_low).any()
    assert "good parts rejected of at most 5.00% cannot be supported by 20 normal" in found.reason
    with pytest.raises(UserError, match=r"59 without one would do.*best_effort"):
        decide("review", {**BOUNDS, "best_effort": False}, rows)


def test_the_smallest_conformal_level_is_taken_and_told() -> None:
    options = {**BOUNDS, "by": "conformal", "max_escape": 0.01}
    found = decide("review", options, table(49, 199))
    assert found.facts["level_escape"] == pytest.approx(1 / 50)
    assert found.facts["level_overkill"] == 0.05
    assert not found.facts["supported"]
    assert "below 1 / (49 + 1) = 2.00%" in found.reason
    with pytest.raises(UserError, match=r"smallest level that 49 defective castings can keep"):
        decide("review", {**options, "best_effort": False}, table(49, 199))


COSTS = {"cost_escape": 100.0, "cost_overkill": 1.0, "cost_review": 0.5, "prevalence": 0.01}
RULES = {
    "youden": {},
    "escape": {"max_escape": 0.05, "best_effort": True},
    "cost": COSTS,
    "review": {**BOUNDS, **COSTS},
}


@pytest.mark.parametrize("by", ["bounds", "conformal", "costs"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_equal_scores_have_a_threshold_like_any_others(rule: str, by: str, value: float) -> None:
    rows = table(20, 20).drop(columns="logit").assign(p_normal=value)
    found = decide(rule, {**RULES[rule], "by": by}, rows)
    assert 0.0 <= found.threshold <= 1.0
    assert found.threshold_low is None or -1.0 <= found.threshold_low <= found.threshold


@pytest.mark.parametrize("by", ["bounds", "conformal", "costs"])
@pytest.mark.parametrize("rule", RULES)
def test_scores_without_an_error_are_parted(rule: str, by: str) -> None:
    rows = table(100, 100)
    far = np.where(rows["label"] == "normal", 9.0, -9.0) + rows["logit"].clip(-1, 1)
    rows = rows.assign(logit=far, p_normal=1 / (1 + np.exp(-far)))
    found = decide(rule, {**RULES[rule], "by": by}, rows)
    low = found.threshold if found.threshold_low is None else found.threshold_low
    normal, defective = (rows["p_normal"][rows["label"] == kind] for kind in LABELS)
    assert (normal > found.threshold).mean() > 0.9
    assert (defective <= low).mean() > 0.9
    assert (defective > found.threshold).mean() <= 0.05
    assert (normal <= low).mean() <= 0.05


@pytest.mark.parametrize("rule", ["youden", "escape", "cost", "review"])
def test_one_class_decides_nothing(rule: str) -> None:
    with pytest.raises(UserError, match=f"decide={rule} finds the threshold"):
        decide(rule, {}, table(5, 0))
    with pytest.raises(UserError, match=f"decide={rule} finds the threshold"):
        decide(rule, {}, None)


@pytest.mark.parametrize("rows", [None, table(5, 0), table(0, 5)])
def test_best_effort_without_both_classes_is_one_half_and_says_so(rows: pd.DataFrame) -> None:
    found = decide("escape", {"max_escape": 0.05, "best_effort": True}, rows)
    assert (found.rule, found.threshold) == ("fixed", 0.5)
    assert found.facts == {"asked": "escape", "supported": False}
    assert "nothing argues for" in found.reason
    assert "\n" not in found.reason
