"""The objective of a search: groups and classes weigh the same, and the test part is never read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from casting_inspect.errors import UserError
from casting_inspect.evaluation.objective import OBJECTIVES, group_log_loss
from casting_inspect.evaluation.predictions import complete_predictions


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return complete_predictions(
        pd.DataFrame([{"path": f"{at}.png", "split": "val", **row} for at, row in enumerate(rows)])
    )


def random_table(seed: int, folds: int = 1) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    rows = []
    for fold in range(folds):
        for group in range(6):
            for _ in range(int(draw.integers(1, 9))):
                label = "normal" if group < 2 else "defective"
                p_normal = float(draw.uniform(0.01, 0.99))
                rows.append({"label": label, "group": f"g{group}", "p_normal": p_normal})
                rows[-1]["fold"] = fold
    return table(rows)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_it_is_sklearns_weighted_log_loss(seed: int) -> None:
    predictions = random_table(seed)
    size = predictions.groupby("group")["path"].transform("size")
    groups = predictions.groupby("label")["group"].transform("nunique")
    expected = log_loss(
        predictions["label"] == "normal",
        predictions["p_normal"],
        sample_weight=1 / (2 * size * groups),
    )
    assert group_log_loss(predictions) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_copies_of_a_file_and_order_change_nothing(seed: int) -> None:
    predictions = random_table(seed)
    again = predictions.assign(path="again " + predictions["path"])
    more = pd.concat([predictions, again]).sample(frac=1, random_state=seed % 1000)
    assert group_log_loss(more) == pytest.approx(group_log_loss(predictions), rel=1e-12)


def test_rows_of_the_test_and_training_part_are_not_read() -> None:
    predictions = random_table(1)
    others = predictions.assign(p_normal=0.5, logit=np.nan, split="test")
    others["label"] = "unknown"
    both = pd.concat([predictions, others, others.assign(split="train")])
    assert group_log_loss(both) == group_log_loss(predictions)


def test_folds_are_averaged_and_inner_folds_pooled() -> None:
    predictions = random_table(3, folds=2)
    apart = [group_log_loss(part) for _, part in predictions.groupby("fold")]
    assert group_log_loss(predictions) == pytest.approx(np.mean(apart), rel=1e-12)
    inner = predictions.assign(inner=[str(at % 3) for at in range(len(predictions))])
    assert group_log_loss(inner) == pytest.approx(np.mean(apart), rel=1e-12)


def test_wide_groups_count_where_they_are_known() -> None:
    rows = [
        {"label": "normal", "group": "a", "p_normal": 0.5},
        {"label": "normal", "group": "b", "p_normal": 0.25, "group_wide": "w"},
        {"label": "normal", "group": "c", "p_normal": 0.125, "group_wide": "w"},
        {"label": "defective", "group": "d", "p_normal": 0.5, "group_wide": ""},
    ]
    bits = (1 + (2 + 3) / 2) / 2 / 2 + 1 / 2
    assert group_log_loss(table(rows)) == pytest.approx(bits * np.log(2), rel=1e-9)


def test_a_saturated_probability_has_its_price() -> None:
    rows = [
        {"label": "defective", "p_normal": 1.0, "logit": 100.0},
        {"label": "normal", "p_normal": 1.0, "logit": 100.0},
    ]
    assert group_log_loss(table(rows)) == pytest.approx(50.0)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"label": "normal", "p_normal": 0.5, "split": "test"}], "no row has split 'val'"),
        ([{"label": "normal", "p_normal": 0.5}], "no defective row has split 'val'"),
        (
            [
                {"label": "normal", "p_normal": 0.5, "fold": 0},
                {"label": "defective", "p_normal": 0.5, "fold": 0},
                {"label": "defective", "p_normal": 0.5, "fold": 1},
            ],
            "no normal row has split 'val' in some fold",
        ),
    ],
)
def test_nothing_to_go_by_is_one_line(rows: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(UserError, match=words):
        group_log_loss(table(rows))


def test_every_objective_of_the_configuration_is_there() -> None:
    from dataclasses import fields

    from casting_inspect.schemas import TrainSchema

    (field,) = (field for field in fields(TrainSchema) if field.name == "objective")
    assert field.metadata["rule"].choices == tuple(OBJECTIVES)
