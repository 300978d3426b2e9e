"""What each rule decides, and what it says of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from casting_inspect.errors import UserError
from casting_inspect.evaluation.decisions import decide


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
    found = decide("escape", options, table(120, 30))
    assert found.facts["supported"]
    assert found.facts["escape_bound"] <= 0.05
    assert found.facts["groups_defective"] == 120
    assert "at most 5.00% of defective castings escape" in found.reason


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


@pytest.mark.parametrize("rule", ["youden", "escape", "cost"])
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
