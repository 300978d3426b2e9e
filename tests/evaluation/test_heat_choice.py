"""Which pictures get a map: worst errors first, one of each casting first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from casting_inspect.evaluation.heat_choice import chosen, judged
from casting_inspect.evaluation.predictions import complete_predictions


def table(**columns: object) -> pd.DataFrame:
    size = len(next(iter(columns.values())))  # type: ignore[arg-type]
    paths = [f"{at}.png" for at in range(size)]
    return complete_predictions(pd.DataFrame({"path": paths, **columns}))


@pytest.fixture
def frame() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    normal = np.arange(200) % 2 == 0
    score = 1 / (1 + np.exp(-generator.normal(np.where(normal, 2, -2), 2)))
    return table(
        label=np.where(normal, "normal", "defective"),
        p_normal=score,
        group=[f"g{at // 4}" for at in range(200)],
    )


def test_verdicts_wrong_and_doubtful() -> None:
    rows = table(
        label=["normal", "normal", "defective", "defective", "defective"],
        p_normal=[0.9, 0.3, 0.5, 0.01, 0.99],
        threshold=[0.5] * 5,
    )
    found = judged(rows)
    assert found["verdict"].tolist() == [
        *("normal", "defective", "defective", "defective", "normal"),
    ]
    assert found["wrong"].tolist() == [False, True, False, False, True]
    assert found["doubtful"].tolist() == [False, True, True, False, False]


def test_between_two_thresholds_a_person_looks() -> None:
    rows = table(label=["normal"] * 3, p_normal=[0.9, 0.3, 0.1], threshold=[0.5] * 3)
    found = judged(rows.assign(threshold_low=0.2))
    assert found["verdict"].tolist() == ["normal", "review", "defective"]
    assert found["doubtful"].tolist() == [False, True, False]
    assert found["wrong"].tolist() == [False, False, True]


def test_all_and_sample(frame: pd.DataFrame) -> None:
    assert chosen(frame, "all", 4, 0).tolist() == list(range(200))
    found = chosen(frame, "sample", 30, 0)
    assert len(found) == len(set(found)) == 30
    assert (frame["label"].iloc[found] == "normal").sum() == 15
    assert np.array_equal(found, chosen(frame, "sample", 30, 0))
    assert not np.array_equal(found, chosen(frame, "sample", 30, 1))
    few = chosen(frame.iloc[:11], "sample", 100, 0)
    assert few.tolist() == list(range(11))


def test_errors_come_worst_first_and_with_right_ones(frame: pd.DataFrame) -> None:
    about = judged(frame)
    everything = chosen(frame, "errors", 400, 0)
    assert everything.tolist() == list(range(200))
    found = chosen(frame, "errors", 20, 0)
    assert len(found) == 20
    shown = about.iloc[found]
    assert (shown["wrong"].sum(), (shown["doubtful"] & ~shown["wrong"]).sum()) == (10, 5)
    wrong = about[about["wrong"]].assign(group=frame["group"])
    worst = wrong["distance"].abs().groupby(wrong["group"]).max().nlargest(10)
    assert set(frame["group"].iloc[found[shown["wrong"]]]) == set(worst.index)


def test_without_errors_right_ones_are_shown() -> None:
    rows = table(label=["normal"] * 6 + ["defective"] * 2, p_normal=[0.99] * 6 + [0.01] * 2)
    assert len(chosen(rows, "errors", 4, 0)) == 4
    assert {6, 7} <= set(chosen(rows, "errors", 4, 0).tolist())


def test_another_word(frame: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="which=none"):
        chosen(frame, "none", 4, 0)
