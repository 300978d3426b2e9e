"""Calibration that is measured: against statsmodels, by hand, by simulation, fold by fold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import expit

from casting_inspect.evaluation.calibration import prior_shift
from casting_inspect.evaluation.predictions import complete_predictions
from casting_inspect.evaluation.recalibration import FitRows, intercept, slope
from casting_inspect.evaluation.reliability import (
    NO_OVERLAP,
    NOT_CALIBRATED,
    NOT_JUDGED,
    brier,
    frozen_calibration,
    reliability,
    reliability_bins,
)
from casting_inspect.evaluation.reliability_figure import reliability_figure
from casting_inspect.evaluation.terms import Terms

PLATT = Terms(calibration="platt")


def rows(
    castings: int, seed: int = 0, slope: float = 1.0, shift: float = 0.0, **constants: Any
) -> pd.DataFrame:
    """Return files of castings whose true log-odds are known; scores are stretched and shifted."""
    random = np.random.default_rng(seed)
    true = random.normal(0, 2.0, castings)
    normal = random.random(castings) < expit(true)
    sizes = random.choice([1, 2, 20], castings)
    number = np.repeat(np.arange(castings), sizes)
    table = pd.DataFrame(
        {
            "path": [f"{seed}_{at}.png" for at in range(len(number))],
            "label": np.where(normal, "normal", "defective")[number],
            "group": [f"{seed}_g{at}" for at in number],
            "logit": ((true - shift) / slope)[number],
        }
    )
    return table.assign(p_normal=expit(table["logit"]), **constants)


def one_fit(table: pd.DataFrame) -> FitRows:
    from casting_inspect.evaluation.thresholds import shares_by_group

    table = complete_predictions(table)
    normal = (table["label"] == "normal").to_numpy()
    return FitRows(
        table["logit"].to_numpy(),
        normal,
        shares_by_group(table, normal),
        pd.factorize(table["group"])[0],
    )


def test_slope_and_intercept_are_those_of_a_weighted_logistic_regression() -> None:
    fit = one_fit(rows(150, slope=0.5, shift=0.4))
    family = sm.families.Binomial()
    whole = sm.GLM(
        *(fit.normal.astype(float), sm.add_constant(fit.logits), family), var_weights=fit.shares
    ).fit(tol=1e-12)
    assert slope([fit])["value"] == pytest.approx(whole.params[1], rel=1e-6)
    held = sm.GLM(
        *(fit.normal.astype(float), np.ones(len(fit.logits)), family),
        offset=fit.logits,
        var_weights=fit.shares,
    ).fit(tol=1e-12)
    assert intercept([fit])["value"] == pytest.approx(held.params[0], abs=1e-6)


def test_limits_of_the_slope_cover_the_truth() -> None:
    covered = 0
    for seed in range(300):
        found = slope([one_fit(rows(100, seed=seed, slope=0.5))])
        covered += bool(found["low"] <= 0.5 <= found["high"])  # type: ignore[operator]
    assert covered / 300 >= 0.9


def test_copies_of_castings_add_no_evidence() -> None:
    table = rows(80)
    copies = pd.concat([table, table.assign(path=table["path"] + "b")])
    for figure in (slope, intercept):
        once, twice = figure([one_fit(table)]), figure([one_fit(copies)])
        assert once == pytest.approx(twice)
    assert brier([one_fit(table)]) == pytest.approx(brier([one_fit(copies)]))


def test_brier_by_hand() -> None:
    table = pd.DataFrame(
        {
            "path": list("abcd"),
            "label": ["normal", "normal", "normal", "defective"],
            "group": ["g", "g", "h", "i"],
            "p_normal": [0.5, 0.7, 1.0, 0.4],
        }
    )
    by_hand = ((0.25 + 0.09) / 2 + 0.0) / 2 / 2 + 0.16 / 2
    assert brier([one_fit(table)])["value"] == pytest.approx(by_hand)


def test_each_model_is_calibrated_on_its_own_rows() -> None:
    scales = [(0.2, 1.0), (3.0, -2.0)]  # one far too sure and strict, one not sure enough
    parts = [
        rows(1500, seed=10 * fold + at, slope=a, shift=b, fold=fold, split=split)
        for fold, (a, b) in enumerate(scales)
        for at, split in enumerate(["val", "test"])
    ]
    found = reliability(complete_predictions(pd.concat(parts)), PLATT)
    assert found["models"] == 2
    for (a, b), own in zip(scales, found["calibrations"], strict=True):
        assert own["slope"] == pytest.approx(a, rel=0.15)
        assert own["intercept"] == pytest.approx(b, abs=0.25)
    after, before = found["calibrated"], found["raw"]
    assert after["slope"]["value"] == pytest.approx(1.0, abs=0.12)
    assert after["intercept"]["value"] == pytest.approx(0.0, abs=0.2)
    assert after["brier"]["value"] < before["brier"]["value"]
    assert after["ece"] < 0.05 < before["ece"]
    for one in after["bins"]:
        assert one["from"] <= one["predicted"] <= one["to"]
        assert one["low"] <= one["observed"] <= one["high"]
    assert sum(one["weight"] for one in after["bins"]) == pytest.approx(1.0)
    assert sum(one["files"] for one in after["bins"]) == found["n"]


def test_neither_names_nor_order_change_a_figure() -> None:
    table = pd.concat([rows(60, 0, split="val"), rows(60, 1, split="test")], ignore_index=True)
    found = reliability(complete_predictions(table), PLATT)
    other = table.assign(group="x" + table["group"]).sample(frac=1.0, random_state=0)
    again = reliability(complete_predictions(other), PLATT)
    for state in ("raw", "calibrated"):
        for key in ("brier", "slope", "intercept"):
            assert found[state][key] == pytest.approx(again[state][key], rel=1e-6, abs=1e-7)


def test_the_expected_error_needs_100_groups() -> None:
    few = reliability(complete_predictions(rows(99, split="test")), PLATT)["raw"]
    assert (few["ece"], few["ece_reason"][:9]) == (None, "99 groups")
    enough = reliability(complete_predictions(rows(100, split="test")), PLATT)["raw"]
    assert enough["ece"] > 0
    assert enough["ece_reason"] == ""


def test_scores_without_overlap_have_no_slope_and_say_why() -> None:
    table = rows(40, split="test")
    far = np.where(table["label"] == "normal", 3.0, -3.0) + 0.1 * np.tanh(table["logit"])
    table = table.assign(logit=far, p_normal=expit(far))
    found = reliability(complete_predictions(table), PLATT)
    assert found["raw"]["slope"]["value"] is None
    assert found["raw"]["slope_reason"] == NO_OVERLAP
    assert np.isfinite(found["raw"]["intercept"]["value"])


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_equal_scores_are_measured_too(value: float) -> None:
    table = pd.concat([rows(30, 0, split="val"), rows(30, 1, split="test")], ignore_index=True)
    table = table.drop(columns="logit").assign(p_normal=value)
    found = reliability(complete_predictions(table), PLATT)
    assert found["calibrated"]["brier"]["value"] == pytest.approx(0.25, abs=0.02)
    assert len(found["raw"]["bins"]) == 1
    reliability_figure(found)


def test_what_cannot_be_judged_says_why() -> None:
    tested = complete_predictions(rows(40, split="test"))
    found = reliability(tested, PLATT)
    assert (found["calibrated"], found["reason"]) == (None, NOT_CALIBRATED)
    held = reliability(tested.assign(split="val"), PLATT)
    assert (held["calibrated"], held["reason"], held["split"]) == (None, NOT_JUDGED, "val")
    alone = reliability(tested[tested["label"] == "normal"], PLATT)
    assert (alone["raw"], alone["n"], alone["reason"]) == (None, 0, NOT_JUDGED)
    for each in (found, held, alone):
        reliability_figure(each)


def test_what_a_run_keeps() -> None:
    table = rows(500, slope=0.5)
    found = frozen_calibration(table, Terms(prevalence=0.01))
    assert found is not None
    assert found["intercept"] == 0.0
    assert found["temperature"] == pytest.approx(2.0, rel=0.2)
    assert found["prior_shift"] == pytest.approx(prior_shift(0.01)) == pytest.approx(np.log(99))
    assert frozen_calibration(None, PLATT) is None
    assert frozen_calibration(table[table["label"] == "normal"], PLATT) is None


def test_bins_at_the_ends() -> None:
    table = pd.DataFrame({"path": ["a", "b"], "label": ["normal", "defective"]})
    bins = reliability_bins([one_fit(table.assign(p_normal=[1.0, 0.0]))])
    assert [(one["from"], one["observed"], one["groups"]) for one in bins] == [
        (0.0, 0.0, 1),
        (0.9, 1.0, 1),
    ]
