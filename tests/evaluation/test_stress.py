"""What changes do to verdicts: rates and tests by hand, where an error has risen, the sample."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from casting_inspect.evaluation.differences import sign_flip
from casting_inspect.evaluation.predictions import complete_predictions
from casting_inspect.evaluation.stress import (
    FIELDS,
    Step,
    breaking_points,
    breaking_sentences,
    spread_sample,
    stress_table,
)
from casting_inspect.evaluation.stress_figure import stress_figure
from casting_inspect.evaluation.terms import Terms


def table(groups: int = 40, copies: int = 3) -> pd.DataFrame:
    number = np.repeat(np.arange(groups), copies)
    normal = number % 2 == 0
    return complete_predictions(
        pd.DataFrame(
            {
                "path": [f"{at}.png" for at in range(len(number))],
                "label": np.where(normal, "normal", "defective"),
                "group": [f"g{at}" for at in number],
                "part": [f"p{at}" for at in number],
                "p_normal": np.where(normal, 0.9, 0.1),
            }
        )
    )


def logits(rows: pd.DataFrame, passing: int, rejected: int) -> np.ndarray:
    """Return log-odds at which so many defective groups pass and so many good ones do not."""
    number = rows["group"].str[1:].astype(int).to_numpy()
    normal = number % 2 == 0
    found = np.where(normal, 2.0, -2.0)
    found[~normal & (number < 2 * passing)] = 1.0
    found[normal & (number < 2 * rejected)] = -1.0
    return found


STEPS = [Step("darker", level, 10.0 * level, "%") for level in (1, 2, 3)]


def test_rates_rises_and_tests_by_hand() -> None:
    rows = table()
    counts = [(0, 0), (1, 4), (8, 12)]
    scored = [(step, logits(rows, *count)) for step, count in zip(STEPS, counts, strict=True)]
    found = stress_table(rows, logits(rows, 1, 0), scored, Terms())
    assert tuple(found.columns) == FIELDS
    assert found["kind"].tolist() == ["unchanged", "darker", "darker", "darker"]
    np.testing.assert_allclose(found["escape_rate"], [0.05, 0.0, 0.05, 0.4])
    np.testing.assert_allclose(found["escape_rise"], [0.0, -0.05, 0.0, 0.35], atol=1e-12)
    np.testing.assert_allclose(found["overkill_rise"], [0.0, 0.0, 0.2, 0.6], atol=1e-12)
    by_hand = sign_flip(np.r_[np.zeros(13), np.ones(7)]).p
    assert found["escape_p"].iloc[-1] == pytest.approx(by_hand) == pytest.approx(2 / 2**7)
    assert (found["escape_low"] <= found["escape_rate"]).all()
    assert (found["escape_rate"] <= found["escape_high"]).all()
    point = breaking_points(found)["darker"]
    assert point is not None  # four of 20 good castings: 20 points, yet p = 0.125
    assert (point["level"], point["error"]) == (3, "escape")
    assert "darker: at 30 (%) escapes have risen by 35.0 points" in breaking_sentences(found)[0]
    stress_figure(found, breaking_points(found))


def test_copies_are_no_evidence() -> None:
    for copies in (1, 30):
        rows = table(copies=copies)
        found = stress_table(rows, logits(rows, 0, 0), [(STEPS[0], logits(rows, 4, 0))], Terms())
        assert found["escape_p"].iloc[1] == pytest.approx(0.125)
        assert breaking_points(found) == {"darker": None}
        (sentence,) = breaking_sentences(found)
        assert sentence == (
            "darker: escapes have risen by up to 20.0 points, not shown (p = 0.12, 4 castings "
            "differ; below 0.05 is asked for)"
        )


def test_a_rise_that_too_few_castings_can_show_is_not_called_none() -> None:
    """Five castings that all change give p = 2 / 2^5 at best, however far the rate rises."""
    rows = table(groups=10)
    scored = [(STEPS[0], logits(rows, 2, 0)), (STEPS[1], logits(rows, 5, 0))]
    found = stress_table(rows, logits(rows, 0, 0), scored, Terms())
    (sentence,) = breaking_sentences(found)
    assert "escapes have risen by up to 100.0 points, not shown (p = 0.062, 5 cast" in sentence
    assert "good parts" not in sentence
    calm = stress_table(rows, logits(rows, 0, 0), [(STEPS[0], logits(rows, 0, 0))], Terms())
    assert breaking_sentences(calm) == ["darker: no rise of 5 points up to the strongest"]
    earlier = found.drop(columns=["escape_differing", "overkill_differing"])
    assert "not shown (p = 0.062; below" in breaking_sentences(earlier)[0]


def test_a_person_takes_what_lies_between_and_parts_are_judged_whole() -> None:
    rows = table().assign(threshold=0.8, threshold_low=0.2)
    doubtful = np.zeros(len(rows))
    found = stress_table(rows, logits(rows, 0, 0), [(STEPS[0], doubtful)], Terms())
    assert found["review_rate"].tolist() == [0.0, 1.0]
    assert found["overkill_rate"].tolist() == [0.0, 0.0]
    one_file = logits(table(), 0, 0)
    one_file[0] = -1.0  # of a good part of three files
    by_part = stress_table(table(), logits(table(), 0, 0), [(STEPS[0], one_file)], Terms("part"))
    assert by_part["overkill_rise"].iloc[1] == pytest.approx(1 / 20)


def test_one_class_alone_is_measured_as_far_as_it_goes() -> None:
    rows = table()
    rows = rows[rows["label"] == "normal"].reset_index(drop=True)
    found = stress_table(rows, logits(rows, 0, 0), [(STEPS[0], logits(rows, 0, 12))], Terms())
    assert found["escape_rate"].isna().all()
    point = breaking_points(found)["darker"]
    assert point is not None
    assert point["error"] == "overkill"
    stress_figure(found, {"darker": point})


@pytest.mark.parametrize("limit", [10, 40, 41, 70])
def test_a_sample_shows_as_many_groups_of_both_classes_as_can_be(limit: int) -> None:
    rows = table()
    chosen = rows.iloc[spread_sample(rows, limit)]
    assert len(chosen) == limit
    assert chosen["group"].nunique() == min(limit, 40)
    sizes = chosen.groupby("group").size()
    assert sizes.max() - sizes.min() <= 1
    counts = chosen["label"].value_counts()
    assert abs(counts["normal"] - counts["defective"]) <= 1
    shuffled = rows.sample(frac=1.0, random_state=0).reset_index(drop=True)
    again = shuffled.iloc[spread_sample(shuffled, limit)]
    assert set(again["path"]) == set(chosen["path"])


def test_a_sample_takes_whole_parts_or_everything() -> None:
    rows = table()
    chosen = rows.iloc[spread_sample(rows, 10, "part")]
    assert chosen.groupby("part").size().tolist() == [3, 3, 3]
    assert len(spread_sample(rows, 2, "part")) == 0
    assert len(spread_sample(rows, None)) == len(spread_sample(rows, 500)) == len(rows)
