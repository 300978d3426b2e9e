"""When two runs are the same, nearly the same, and not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from casting_inspect.evaluation.agreement import (
    Agreement,
    agreement,
    compared_metrics,
    compared_predictions,
    leaves,
)
from casting_inspect.evaluation.evaluate import evaluate_predictions
from casting_inspect.evaluation.predictions import complete_predictions, write_predictions

RECORD: dict[str, Any] = {
    "commit": {"id": "a" * 40, "modified": False},
    "versions": {"torch": "2.11"},
    "hardware": {"cores": 2},
    "digests": {"weights": "f" * 64},
}


def table() -> pd.DataFrame:
    draws = np.random.default_rng(3)
    return complete_predictions(
        pd.DataFrame(
            {
                "path": [f"{number}.png" for number in range(40)],
                "label": ["normal", "defective"] * 20,
                "group": [f"g{number // 2}" for number in range(40)],
                "p_normal": draws.uniform(0.01, 0.45, 40) + np.tile([0.5, 0.0], 20),
            }
        )
    )


def run(folder: Path, rows: pd.DataFrame, digest: str = "d") -> Path:
    write_predictions(rows, folder / "predictions.csv")
    lines = [f"{path},{label},{digest}" for path, label in zip(rows.path, rows.label, strict=True)]
    text = "\n".join(["path,label,sha256", *lines])
    (folder / "manifest.csv").write_text(text, encoding="utf-8")
    evaluate_predictions(rows, folder)
    return folder


def compared(
    tmp_path: Path, rows: pd.DataFrame, record: dict[str, Any] | None = None, digest: str = "d"
) -> Agreement:
    folders = run(tmp_path / "a", table()), run(tmp_path / "b", rows, digest)
    metrics = [json.loads((one / "metrics.json").read_text(encoding="utf-8")) for one in folders]
    records = RECORD, {**RECORD, **(record or {})}
    return agreement(*folders, records, (metrics[0], metrics[1]))


def moved(by: float) -> pd.DataFrame:
    rows = table().drop(columns="logit")
    rows["p_normal"] += by
    return complete_predictions(rows)


NEWER = {"versions": {"torch": "2.12"}}


def test_the_same_in_the_same_place(tmp_path: Path) -> None:
    assert compared_predictions(table(), table().iloc[::-1])["identical"]
    found = compared(tmp_path, table())
    assert (found.result, found.same_place, found.reproduced) == ("bit for bit", True, True)
    assert found.metrics["different"] == 0


@pytest.mark.parametrize(
    ("by", "record", "result", "reproduced"),
    [
        (1e-6, {}, "within rounding", False),  # the same place has to give the same bits
        (1e-6, NEWER, "within rounding", True),
        (1e-6, {"commit": {"id": "a" * 40, "modified": True}}, "within rounding", True),
        (2e-3, NEWER, "not reproduced", False),
        (0.0, NEWER, "bit for bit", True),
    ],
)
def test_rounding(
    by: float, record: dict[str, Any], result: str, reproduced: bool, tmp_path: Path
) -> None:
    found = compared(tmp_path, moved(by), record)
    assert (found.result, found.reproduced) == (result, reproduced)
    assert found.predictions["largest"] == pytest.approx(by, abs=1e-9)


def test_a_verdict_that_changed_is_no_rounding(tmp_path: Path) -> None:
    rows = table().drop(columns="logit")
    rows["threshold"] = rows["p_normal"].iloc[0] - 1e-9
    first = complete_predictions(rows)
    rows.loc[0, "p_normal"] -= 2e-9
    found = compared_predictions(first, complete_predictions(rows))
    assert (found["verdicts"], found["identical"], found["rows"]) == (1, False, 40)


def test_missing_rows_other_pictures_and_other_weights_are_said(tmp_path: Path) -> None:
    found = compared(tmp_path / "1", table().iloc[1:])
    assert (found.predictions["missing"], found.result) == (1, "not reproduced")
    assert found.inputs == ["the pictures or their labels"]
    assert compared(tmp_path / "2", table(), digest="e").result == "not reproduced"
    found = compared(tmp_path / "3", table(), {"digests": {"weights": "0" * 64}})
    assert found.inputs == ["weights ffffffffffff, now 000000000000"]
    assert not found.reproduced


def test_what_differs_around_is_named(tmp_path: Path) -> None:
    record = {**NEWER, "hardware": {"cores": 8}, "commit": {"id": "b" * 40, "modified": True}}
    assert compared(tmp_path, table(), record).surroundings == [
        "commit aaaaaaaaaaaa, now bbbbbbbbbbbb",
        "now with changes that are in no commit",
        "torch 2.11, now 2.12",
        "cores 2, now 8",
    ]


def test_figures_are_compared_by_name() -> None:
    old = {"test": {"escape_rate": 0.1, "auroc": 0.5, "more": [1, {"x": None}]}}
    new = {"test": {"escape_rate": 0.3, "auroc": 0.6, "more": [1, {"x": None}]}}
    assert dict(leaves(old))["test/more/1/x"] is None
    found = compared_metrics(old, new)
    assert (found["figures"], found["different"]) == (4, 2)
    assert found["first"] == ["test/escape_rate", "test/auroc"]
    assert found["largest"] == pytest.approx(0.2)
    assert compared_metrics(old, {"test": {}})["largest"] == np.inf
