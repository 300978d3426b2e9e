"""The report's figures and words against their definitions."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from simulated_runs import castings, predictions

from casting_inspect.evaluation.figure_style import BLUE, INK, blank
from casting_inspect.evaluation.metrics import split_metrics
from casting_inspect.evaluation.predictions import complete_predictions
from casting_inspect.evaluation.report.explorer import POINTS, explorer_values, rates_at
from casting_inspect.evaluation.report.gallery import worst
from casting_inspect.evaluation.report.inline_figure import inline_svg
from casting_inspect.evaluation.report.rate_figures import risk_coverage
from casting_inspect.evaluation.review_figures import review_figures


def table(threshold: float = 0.5, **kinds: float) -> pd.DataFrame:
    rows = predictions(castings(**{"copies": 3}), "m", skill=kinds.get("skill", 1.2))
    return complete_predictions(rows.assign(threshold=threshold))


def test_an_inline_figure_follows_the_page() -> None:
    figure = blank(4.0, 2.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=BLUE, clip_on=True)
    axes.text(0.5, 0.5, "a < b", color=INK)
    text = str(inline_svg(figure, "one", 'said "so"'))
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg")
    assert root.attrib["aria-label"] == 'said "so"'
    assert "width" not in root.attrib
    assert "viewBox" in root.attrib
    assert "var(--blue)" in text
    assert "var(--ink)" in text
    assert not re.search(r"#[0-9a-fA-F]{6}\b", text)  # every colour is the page's
    assert "a &lt; b" in text  # text stays text
    ids = re.findall(r'\bid="([^"]+)"', text)
    used = re.findall(r'(?:url\(#|href="#)([^)"]+)', text)
    assert all(name.startswith("one-") for name in [*ids, *used])
    assert set(used) <= set(ids)


@pytest.mark.parametrize("grouping", ["group", "group_wide"])
def test_rates_at_a_threshold_are_those_of_the_metrics(grouping: str) -> None:
    rows = complete_predictions(predictions(castings(wide=True), "m", skill=1.0))
    for threshold in (0.1, 0.5, 0.93):
        escape, overkill = rates_at(np.array([threshold]), rows, grouping)
        found = split_metrics(rows.assign(threshold=threshold, group=rows[grouping]))
        assert escape[0] == pytest.approx(found["escape_rate_by_group"]["value"])
        assert overkill[0] == pytest.approx(found["overkill_rate_by_group"]["value"])


def test_a_score_equal_to_the_threshold_is_rejected() -> None:
    rows = table()
    score = float(rows.loc[rows["label"] == "defective", "p_normal"].max())
    assert rates_at(np.array([score]), rows, "group")[0][0] == 0.0
    assert rates_at(np.array([np.nextafter(score, 0)]), rows, "group")[0][0] > 0.0


def test_the_slider_starts_at_the_runs_own_threshold() -> None:
    rows = table(threshold=0.37)
    found = explorer_values(rows, rows.iloc[:0], "group")
    assert len(found["thresholds"]) == POINTS
    assert found["thresholds"][found["start"]] == 0.37
    assert found["thresholds"] == sorted(found["thresholds"])
    (curve,) = found["curves"]
    assert curve["escape"] == sorted(curve["escape"], reverse=True)
    assert curve["overkill"] == sorted(curve["overkill"])
    assert (curve["escape"][0], curve["overkill"][0]) == (1.0, 0.0)
    assert (curve["escape"][-1], curve["overkill"][-1]) == (0.0, 1.0)
    own = split_metrics(rows)
    assert curve["escape"][found["start"]] == pytest.approx(
        own["escape_rate_by_group"]["value"], abs=1e-5
    )
    assert all(0.0 <= place <= 1.0 for place, _ in found["ticks"])


@pytest.mark.parametrize("own", [1e-7, 1.0 - 1e-7, 0.0, 1.0])
def test_a_threshold_beyond_all_scores_keeps_the_sliders_order(own: float) -> None:
    rows = table(threshold=own)
    found = explorer_values(rows, rows.iloc[:0], "group")
    assert found["thresholds"] == sorted(found["thresholds"])
    (curve,) = found["curves"]
    assert curve["escape"] == sorted(curve["escape"], reverse=True)
    assert curve["overkill"] == sorted(curve["overkill"])
    if 0.0 < own < 1.0:
        assert found["thresholds"][found["start"]] == pytest.approx(own, rel=1e-8)
    assert abs(found["start"] - (0 if own < 0.5 else POINTS - 1)) < POINTS // 10


def test_scores_of_one_value_still_have_a_scale() -> None:
    rows = table().assign(p_normal=1.0, logit=40.0)
    found = explorer_values(rows, rows, "group")
    assert np.isfinite(found["thresholds"]).all()
    assert len(found["curves"]) == 2


def test_risk_ends_at_the_rates_and_rises_with_coverage() -> None:
    rows = table(threshold=0.6)
    coverage, escape, overkill = risk_coverage(rows)
    found = split_metrics(rows)
    assert coverage[-1] == pytest.approx(1.0)
    assert escape[-1] == pytest.approx(found["escape_rate_by_group"]["value"])
    assert overkill[-1] == pytest.approx(found["overkill_rate_by_group"]["value"])
    assert (np.diff(coverage) > 0).all()
    assert (np.diff(escape) >= 0).all()
    assert (np.diff(overkill) >= 0).all()


def test_risk_ends_where_a_person_looks_anyway() -> None:
    rows = table(threshold=0.8).assign(threshold_low=0.3)
    coverage, escape, overkill = risk_coverage(rows)
    found = review_figures(rows)
    assert escape[-1] == pytest.approx(found["escape_rate_by_group"]["value"])
    assert overkill[-1] == pytest.approx(found["overkill_rate_by_group"]["value"])
    looks = [found[f"review_rate_{kind}_by_group"]["value"] for kind in ("normal", "defective")]
    assert coverage[-1] == pytest.approx(1.0 - np.mean(looks))
    assert len(coverage) == sum(
        sum(found["counts"][name].values()) for name in ("passed", "rejected")
    )


def test_the_worst_file_stands_for_its_casting() -> None:
    rows = table(skill=0.3)
    for kind, label in (("escape", "defective"), ("overkill", "normal")):
        found = worst(rows, kind, "group")
        assert set(found["label"]) == {label}
        assert found["group"].is_unique
        wrong = rows[(rows["label"] == label) & ((rows["p_normal"] > 0.5) == (kind == "escape"))]
        assert found["files"].sum() == len(wrong)
        extreme = wrong["p_normal"].max() if kind == "escape" else wrong["p_normal"].min()
        assert found["p_normal"].iloc[0] == extreme
        for _, row in found.iterrows():
            own = wrong[wrong["group"] == row["group"]]["logit"].abs()
            assert abs(row["logit"]) == own.max()


def test_doubtful_ones_are_right_and_the_closest_first() -> None:
    rows = table()
    found = worst(rows, "doubtful", "group")
    assert ((found["p_normal"] > 0.5) == (found["label"] == "normal")).all()
    assert found["margin"].is_monotonic_increasing


def test_what_a_person_looks_at_is_no_error_and_comes_first() -> None:
    rows = table(skill=0.3).assign(threshold=0.7, threshold_low=0.3)
    between = rows["p_normal"].between(0.3, 0.7, inclusive="right")
    assert between.any()
    assert not between[worst(rows, "overkill", "group").index].any()
    found = worst(rows, "doubtful", "group")
    asked = between[found.index].to_numpy()
    assert asked.any()
    assert (np.diff(asked.astype(int)) <= 0).all()
