"""Parts of several files: against a loop over parts, and what a split makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from casting_inspect import evaluate
from casting_inspect.errors import UserError
from casting_inspect.evaluation.consequences import consequences
from casting_inspect.evaluation.decisions import decide
from casting_inspect.evaluation.intervals import clopper_pearson
from casting_inspect.evaluation.line_screen import consequence_sentences
from casting_inspect.evaluation.metrics import split_metrics
from casting_inspect.evaluation.parts import (
    ACROSS_MODELS,
    NO_CAPTURES,
    NO_PARTS,
    judged,
    repeatability,
)
from casting_inspect.evaluation.predictions import complete_predictions, write_predictions
from casting_inspect.evaluation.terms import Terms

ANY, MEAN = (Terms(unit="part", aggregate=way) for way in ("any", "mean"))


def pictures(parts: int = 60, seed: int = 0, low: float | None = None) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    number = np.repeat(np.arange(parts), random.integers(1, 5, parts))
    defective = (number % 2 == 0) & (random.random(len(number)) < 0.7)
    logits = np.where(defective, -1.5, 1.5) + random.normal(0, 1.5, len(number))
    table = pd.DataFrame(
        {
            "path": [f"{at}.png" for at in range(len(number))],
            "label": np.where(defective, "defective", "normal"),
            "group": [f"g{at // 2}" for at in number],
            "part": [f"p{at}" for at in number],
            "capture": [f"c{at % 2}" for at in range(len(number))],
            "logit": logits,
            "p_normal": expit(logits),
            "threshold": 0.6,
        }
    )
    return complete_predictions(table if low is None else table.assign(threshold_low=low))


@pytest.mark.parametrize("terms", [ANY, MEAN])
def test_rates_are_those_of_a_loop_over_parts(terms: Terms) -> None:
    table = pictures()
    wrong: dict[str, list[tuple[str, bool]]] = {"defective": [], "normal": []}
    for _, files in table.groupby("part"):
        label = "defective" if (files["label"] == "defective").any() else "normal"
        if terms.aggregate == "any":
            passes = bool((files["p_normal"] > 0.6).all())
        else:
            passes = bool(expit(files["logit"].mean()) > 0.6)
        wrong[label].append((files["group"].iloc[0], passes == (label == "defective")))
    found = consequences(table, split_metrics(table), terms)["by_part"]
    assert found["n"] == table["part"].nunique()
    for label, key in (("defective", "escape_rate"), ("normal", "overkill_rate")):
        expected = pd.DataFrame(wrong[label], columns=["group", "wrong"])
        assert found[key] == pytest.approx(expected["wrong"].mean())
        by_group = expected.groupby("group")["wrong"].mean().mean()
        assert found[f"{key}_by_group"]["value"] == pytest.approx(by_group)


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_any_gives_the_verdict_that_the_strictest_file_gets(seed: int, a: float, b: float) -> None:
    low, high = sorted((a, b))
    table = pictures(10, seed).assign(threshold=high, threshold_low=low)
    parts = judged(complete_predictions(table), ANY).set_index("path")
    for name, files in table.groupby("part"):
        score = parts.loc[name, "p_normal"]
        assert (score > high) == (files["p_normal"] > high).all()
        assert (score <= low) == (files["p_normal"] <= low).any()


def test_a_file_without_a_part_is_its_own_and_parts_join_groups() -> None:
    table = complete_predictions(
        pd.DataFrame(
            {
                "path": list("abcd"),
                "label": ["normal", "defective", "normal", "normal"],
                "group": ["g2", "g1", "g1", "g3"],
                "part": ["x", "x", "", ""],
                "p_normal": [0.9, 0.2, 0.8, 0.7],
            }
        )
    )
    parts = judged(table, ANY).set_index("path")
    assert parts["group"].to_dict() == {"x": "g1", "c": "g1", "d": "g3"}
    assert parts["label"].to_dict() == {"x": "defective", "c": "normal", "d": "normal"}
    assert parts["p_normal"].to_dict() == {"x": 0.2, "c": 0.8, "d": 0.7}
    found = consequences(table, split_metrics(table), ANY)
    assert found["by_part"]["in_several_groups"] == 1
    assert "1 parts have pictures in several groups" in " ".join(consequence_sentences(found))


def test_the_threshold_is_found_on_parts() -> None:
    table = pictures(400)
    options = {"max_escape": 0.1, "best_effort": True, "unit": "part", "aggregate": "any"}
    by_part = decide("escape", options, table)
    by_file = decide("escape", {**options, "unit": "file"}, table)
    assert by_part.threshold != by_file.threshold
    same = decide("escape", {**options, "unit": "file"}, judged(table, ANY))
    assert by_part.columns() == same.columns()


def test_rows_of_several_models_stay_apart() -> None:
    one, two = pictures(20), pictures(20).assign(fold=1)
    parts = judged(complete_predictions(pd.concat([one, two])), ANY)
    assert parts.groupby("fold").size().tolist() == [one["part"].nunique()] * 2


def test_repeatability_is_the_share_of_parts_with_one_verdict() -> None:
    scores = {"a": [0.9, 0.8], "b": [0.9, 0.2], "c": [0.1, 0.2], "d": [0.9], "": [0.9, 0.1]}
    rows = [
        {"part": part, "capture": f"c{at}", "p_normal": p, "label": "normal", "path": f"{part}{at}"}
        for part, values in scores.items()
        for at, p in enumerate(values)
    ]
    table = complete_predictions(pd.DataFrame(rows).assign(group=lambda t: t["path"]))
    found = repeatability(table, ANY)
    assert (found["measured"], found["parts"], found["captures"]) == (True, 3, 2)
    assert found["value"] == pytest.approx(2 / 3)
    assert (found["low"], found["high"]) == pytest.approx(clopper_pearson(2, 3))
    with_person = table.assign(threshold=0.85, threshold_low=0.5)
    assert repeatability(with_person, ANY)["value"] == pytest.approx(1 / 3)  # a goes to a person
    (sentence,) = consequence_sentences({"repeatability": found})
    assert sentence.startswith("66.7 % (")


def test_without_captures_repeatability_is_not_measured() -> None:
    table = pictures()
    for column in ("part", "capture"):
        found = repeatability(table.assign(**{column: ""}), ANY)
        assert found == {"measured": False, "reason": NO_CAPTURES}
    assert not repeatability(table.assign(capture="c0"), ANY)["measured"]
    assert "not measured" in NO_CAPTURES


def test_captures_of_a_part_that_different_models_judged_are_no_repeatability() -> None:
    """Each part has two captures, of which each fold tested one: nothing to compare."""
    rows = [
        {"part": f"p{at}", "capture": f"c{fold}", "fold": fold, "p_normal": 0.9, "label": "normal"}
        for at in range(6)
        for fold in range(2)
    ]
    made = pd.DataFrame(rows)
    table = complete_predictions(made.assign(path=made["part"] + made["capture"], group="g"))
    assert repeatability(table, ANY) == {"measured": False, "reason": ACROSS_MODELS}
    assert "judged by different models" in ACROSS_MODELS
    together = table.assign(fold=0)
    assert repeatability(together, ANY)["parts"] == 6


def test_parts_where_none_is_named_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pictures().assign(part="")
    with pytest.raises(UserError, match="needs the column 'part'"):
        judged(table, ANY)
    write_predictions(table, tmp_path / "p.csv")
    out = tmp_path / "out"
    assert evaluate.main([f"predictions={tmp_path / 'p.csv'}", f"out={out}", "unit=part"]) == 2
    assert capsys.readouterr().err.strip() == f"casting-inspect evaluate: {NO_PARTS}"
    assert not out.exists()


def test_evaluate_judges_parts_where_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_predictions(pictures(low=0.3), tmp_path / "p.csv")
    words = [f"predictions={tmp_path / 'p.csv'}", f"out={tmp_path / 'out'}"]
    assert evaluate.main([*words, "unit=part", "aggregate=mean", "prevalence=0.01"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "By part, the mean of a part's pictures: 60 parts, escape rate" in shown
    assert "1.00 % of them defective (by part)" in shown
