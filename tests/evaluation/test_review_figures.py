"""What a person sees and what is wrong without one: against a count by hand, group by group."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from casting_inspect.evaluation.metrics import split_metrics
from casting_inspect.evaluation.predictions import complete_predictions
from casting_inspect.evaluation.review_figures import review_figures, three_verdicts


def table(count: int = 300, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    groups = random.integers(0, 40, count)
    normal = groups % 2 == 0
    scores = random.beta(np.where(normal, 3, 2), np.where(normal, 2, 3))
    frame = pd.DataFrame(
        {
            "path": [f"{number}.png" for number in range(count)],
            "label": np.where(normal, "normal", "defective"),
            "group": [f"g{group}" for group in groups],
            "p_normal": scores,
            "threshold": 0.7,
            "threshold_low": 0.3,
        }
    )
    return complete_predictions(frame)


def mean_of_groups(table: pd.DataFrame, event: pd.Series) -> float:
    return float(event.groupby(table["group"]).mean().mean())


def test_rates_by_group_and_by_file_are_those_of_a_count_by_hand() -> None:
    rows = table()
    found = review_figures(rows)
    seen = (rows["p_normal"] > 0.3) & (rows["p_normal"] <= 0.7)
    bad = rows["label"] == "defective"
    assert found["review_rate"] == pytest.approx(seen.mean())
    assert found["review_rate_by_group"]["value"] == pytest.approx(mean_of_groups(rows, seen))
    passed, rejected = rows["p_normal"] > 0.7, rows["p_normal"] <= 0.3
    for key, event, of in (
        ("escape_rate", passed, bad),
        ("overkill_rate", rejected, ~bad),
        ("review_rate_defective", seen, bad),
        ("review_rate_normal", seen, ~bad),
    ):
        assert found[key] == pytest.approx(event[of].mean())
        figure = found[f"{key}_by_group"]
        assert figure["value"] == pytest.approx(mean_of_groups(rows[of], event[of]))
        assert figure["low"] < figure["value"] < figure["high"]
    alone = bad & ~seen
    assert found["automatic"]["escape_rate"] == pytest.approx(passed[alone].mean())
    by_group = found["automatic"]["escape_rate_by_group"]["value"]
    assert by_group == pytest.approx(mean_of_groups(rows[alone], passed[alone]))
    assert found["automatic"]["n"] == (~seen).sum()
    counts = pd.DataFrame(found["counts"])
    assert counts.to_numpy().sum() == len(rows)
    assert counts.loc["defective", "passed"] == (passed & bad).sum()
    assert found["threshold_low"] == 0.3


def test_without_a_lower_threshold_nobody_looks_and_the_rates_are_the_usual_ones() -> None:
    rows = table().drop(columns="threshold_low")
    found, usual = review_figures(rows), split_metrics(rows)
    assert found["review_rate_by_group"] == {
        "value": 0.0,
        "low": 0.0,
        "high": found["review_rate_by_group"]["high"],
    }
    for what in ("escape_rate", "overkill_rate"):
        assert found[f"{what}_by_group"] == usual[f"{what}_by_group"]
        assert found["automatic"][f"{what}_by_group"] == usual[f"{what}_by_group"]


def test_ends_belong_to_the_stricter_side() -> None:
    rows = table(3).assign(p_normal=[0.3, 0.7, 0.71])
    assert three_verdicts(rows).tolist() == [0, -1, 1]


def test_a_missing_class_or_nothing_automatic_is_undefined() -> None:
    rows = table()
    good = review_figures(rows[rows["label"] == "normal"])
    assert good["escape_rate"] is None
    assert good["escape_rate_by_group"]["value"] is None
    everything = review_figures(rows.assign(threshold=1.0, threshold_low=-1.0))
    assert everything["review_rate"] == 1.0
    assert everything["automatic"]["escape_rate_by_group"]["value"] is None
    assert everything["automatic"]["n"] == 0
