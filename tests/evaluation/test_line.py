"""A million parts on the line: by hand, against simulation, and in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from casting_inspect.evaluation.line import line_figures, share_of_sum, weighted_sum
from casting_inspect.evaluation.line_screen import consequence_sentences
from casting_inspect.evaluation.terms import Terms, terms_of

RATES: dict[str, Any] = {
    "escape_rate_by_group": {"value": 0.02, "low": 0.01, "high": 0.05},
    "overkill_rate_by_group": {"value": 0.10, "low": 0.05, "high": 0.20},
    "reject_rate_defective_by_group": {"value": 0.98, "low": 0.95, "high": 0.99},
    "review_rate_defective_by_group": {"value": 0.0, "low": 0.0, "high": 0.03},
    "review_rate_normal_by_group": {"value": 0.0, "low": 0.0, "high": 0.04},
}
UNDEFINED = {"value": None, "low": None, "high": None}


def test_by_hand_at_one_defective_in_a_thousand() -> None:
    line = line_figures(RATES, Terms())
    counts = line["per_million"]
    assert counts["escapes"] == pytest.approx({"value": 20, "low": 10, "high": 50})
    assert counts["good_rejected"] == pytest.approx(
        {"value": 99_900, "low": 49_950, "high": 199_800}
    )
    assert counts["person"]["value"] == 0.0
    truly = line["rejects_truly_defective"]
    assert truly["value"] == pytest.approx(980 / (980 + 99_900))
    assert truly["low"] == pytest.approx(950 / (950 + 199_800))
    assert truly["high"] == pytest.approx(990 / (990 + 49_950))
    assert line["cost_per_million"] is None


def test_costs_are_shown_where_all_that_are_needed_are_known() -> None:
    costs = Terms(cost_escape=100.0, cost_overkill=1.0)
    cost = line_figures(RATES, costs)["cost_per_million"]
    assert cost["value"] == pytest.approx(20 * 100 + 99_900)
    assert cost["low"] == pytest.approx(cost["value"] - np.hypot(10 * 100, 49_950))
    assert cost["high"] == pytest.approx(cost["value"] + np.hypot(30 * 100, 99_900))
    looks = {**RATES, "review_rate_normal_by_group": {"value": 0.2, "low": 0.1, "high": 0.3}}
    assert line_figures(looks, costs)["cost_per_million"] is None  # a look's cost is not known
    with_looks = line_figures(looks, replace(costs, cost_review=0.5))
    assert with_looks["cost_per_million"]["value"] == pytest.approx(cost["value"] + 0.5 * 199_800)
    assert with_looks["per_million"]["person"]["value"] == pytest.approx(199_800)


def test_limits_of_a_sum_cover_the_truth() -> None:
    from casting_inspect.evaluation.intervals import clopper_pearson

    random = np.random.default_rng(0)
    truths, trials, weights, covered = (0.05, 0.2), (60, 40), (3.0, 1.0), 0
    for _ in range(1000):
        found = []
        for truth, n in zip(truths, trials, strict=True):
            k = random.binomial(n, truth)
            low, high = clopper_pearson(k, n)
            found.append({"value": k / n, "low": low, "high": high})
        total = weighted_sum(list(zip(weights, found, strict=True)))
        truth = float(np.dot(weights, truths))
        covered += bool(total["low"] <= truth <= total["high"])  # type: ignore[operator]
    assert covered >= 940


def test_what_is_not_defined_says_so() -> None:
    none = dict.fromkeys(RATES, UNDEFINED)
    line = line_figures(none, Terms(cost_escape=1.0, cost_overkill=1.0))
    assert line["per_million"]["escapes"] == UNDEFINED
    assert line["rejects_truly_defective"] == UNDEFINED
    nothing = {"value": 0.0, "low": 0.0, "high": 0.5}
    assert share_of_sum((1.0, nothing), (1.0, nothing)) == UNDEFINED  # nothing was rejected
    assert consequence_sentences({"line": {"unit": "file", **line}}) == []
    assert consequence_sentences({}) == []


def test_in_words() -> None:
    line = {"unit": "file", **line_figures(RATES, Terms(cost_escape=100.0, cost_overkill=1.0))}
    (sentence,) = consequence_sentences({"line": line})
    assert sentence == (
        "Of a million parts, 0.10 % of them defective (each picture counted as a part): "
        "20 (10 to 50) escapes, 99,900 (49,950 to 199,800) good ones rejected, 1.0 % (0.5 to 1.9 "
        "%) of rejects truly defective, cost 101,900 (51,940 to 201,845)."
    )


def test_later_terms_count_more_and_null_is_not_given() -> None:
    run = {"prevalence": 0.01, "cost_escape": 5.0, "threshold": 0.5}
    found = terms_of(run, {"prevalence": None, "cost_escape": 7.0, "out": "x"})
    assert found == Terms(prevalence=0.01, cost_escape=7.0)
    assert terms_of(found.plain()) == found
