"""Plans of acceptance tests against closed forms, sums by hand and published plans."""

from __future__ import annotations

import json
import math
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casting_inspect import plan as command
from casting_inspect.evaluation.sampling_plan import (
    characteristic,
    pass_probability,
    plan_with,
    smallest_plan,
)


def by_hand(rate: float, castings: int, allowed: int) -> float:
    terms = (comb(castings, k) * rate**k * (1 - rate) ** (castings - k) for k in range(allowed + 1))
    return math.fsum(terms)


@pytest.mark.parametrize(("allowed", "castings"), [(0, 299), (1, 473), (2, 628), (3, 773)])
def test_castings_for_one_per_cent(allowed: int, castings: int) -> None:
    found = plan_with(0.01, allowed, 0.002)
    assert found.castings == castings
    assert by_hand(0.01, castings, allowed) <= 0.05 < by_hand(0.01, castings - 1, allowed)
    assert found.power == pytest.approx(by_hand(0.002, castings, allowed), rel=1e-9)


@pytest.mark.parametrize(("limit", "confidence"), [(0.05, 0.95), (0.1, 0.9), (0.01, 0.99)])
def test_without_an_error_it_is_the_success_run_formula(limit: float, confidence: float) -> None:
    closed = math.ceil(math.log(1 - confidence) / math.log(1 - limit))
    assert plan_with(limit, 0, 0.0, confidence).castings == closed


def test_producers_and_consumers_points_of_a_published_plan() -> None:
    # n = 68, c = 2: alpha 0.05 at 0.01213 and beta 0.05 at 0.089704, by program TP105
    # (Hilliard, samplingplans.com, discussion of 2006-02-07)
    good, bad = pass_probability([0.01213, 0.089704], 68, 2)
    assert good == pytest.approx(0.95, abs=5e-5)
    assert bad == pytest.approx(0.05, abs=5e-6)


@pytest.mark.parametrize(("castings", "allowed"), [(80, 1), (125, 3)])
def test_consumers_risk_of_plans_for_five_per_cent(castings: int, allowed: int) -> None:
    # ISO 2859-2, scope: consumer's risk at the limiting quality always below 13 %
    assert pass_probability(0.05, castings, allowed) < 0.13
    assert pass_probability(0.05, castings, allowed) == pytest.approx(
        by_hand(0.05, castings, allowed)
    )


def test_a_lot_is_counted_without_putting_back() -> None:
    # 10 of a lot of 50 with 2 wrong, none allowed: 40 * 39 / (50 * 49)
    assert pass_probability(0.04, 10, 0, lot=50) == pytest.approx(40 * 39 / (50 * 49))
    assert pass_probability(0.04, 10, 1, lot=100_000) == pytest.approx(
        float(pass_probability(0.04, 10, 1)), abs=1e-4
    )


@pytest.mark.parametrize(("limit", "expected"), [(0.01, 0.002), (0.03, 0.006), (0.1, 0.05)])
def test_the_smallest_plan_has_the_power_and_one_error_less_has_not(
    limit: float, expected: float
) -> None:
    found = smallest_plan(limit, expected)
    assert found is not None
    assert found.risk <= 0.05
    assert found.power >= 0.8
    less = [plan_with(limit, allowed, expected) for allowed in range(found.allowed)]
    assert all(plan.power < 0.8 for plan in less)
    (curve,) = characteristic([found])
    assert np.all(np.diff(curve[:, 1]) <= 0)
    assert curve[0, 1] == 1.0


def test_rates_too_near_each_other_have_no_plan() -> None:
    assert smallest_plan(0.01, 0.0099) is None


def test_the_command_writes_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["max_escape=0.01", "max_overkill=0.03", "expected_escape=0.002", f"out={tmp_path}/p"]
    assert command.main(words) == 0
    assert {path.name for path in (tmp_path / "p").iterdir()} == {
        *("plan.json", "plan.html", "oc.csv", "oc.png")
    }
    plans = json.loads((tmp_path / "p" / "plan.json").read_text(encoding="utf-8"))["plans"]
    page = (tmp_path / "p" / "plan.html").read_text(encoding="utf-8")
    said = capsys.readouterr().out
    for plan in plans.values():
        assert f"{plan['castings']:,} " in said
        assert f"{plan['castings']:,}</td>" in page
        assert plan["power"] >= 0.8
    for count in (299, 473, 628, 773):
        assert f">{count}</td>" in page
    table = pd.read_csv(tmp_path / "p" / "oc.csv")
    escapes = table[table["error"] == "escape"]
    at = np.interp(0.01, escapes["rate"], escapes["probability_to_pass"])
    assert at == pytest.approx(plans["escape"]["risk"], abs=2e-3)
    assert "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["expected_escape=0.02"], "is not below max_escape=0.01"),
        (["expected_overkill=0.0299"], "too near max_overkill=0.03"),
        (["power=1"], "power=1.0: must be above 0 to below 1"),
    ],
)
def test_what_cannot_be_planned_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*words, f"out={tmp_path}/p"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
