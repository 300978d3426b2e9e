"""From a table to a folder of results, without the learning libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casting_inspect.errors import UserError
from casting_inspect.evaluation.evaluate import evaluate_predictions, notes_beside
from casting_inspect.evaluation.metrics import all_metrics
from casting_inspect.evaluation.predictions import write_predictions

FILES = [
    *("confusion.png", "metrics.json", "precision_recall.png", "reliability.png", "roc.png"),
    "scores.png",
]


@pytest.fixture
def frame() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    normal = np.arange(60) % 2 == 0
    logit = np.float32(generator.normal(size=60) + np.where(normal, 1, -1))
    return pd.DataFrame(
        {
            **{
                "path": [f"{at}.png" for at in range(60)],
                "group": [f"g{at // 3}" for at in range(60)],
            },
            "label": np.where(normal, "normal", "defective"),
            "split": np.where(np.arange(60) < 20, "val", "test"),
            "p_normal": np.float32(1 / (1 + np.exp(-logit))),
        }
    )


def test_metrics_and_figures_are_written_whole(frame: pd.DataFrame, tmp_path: Path) -> None:
    metrics = evaluate_predictions(frame, tmp_path / "new" / "out")
    written = tmp_path / "new" / "out"
    assert sorted(path.name for path in written.iterdir()) == FILES
    assert json.loads((written / "metrics.json").read_text()) == metrics
    assert list(metrics) == ["val", "test", "calibration", "slices", "terms"]


def test_a_file_gives_what_its_table_gives(frame: pd.DataFrame, tmp_path: Path) -> None:
    write_predictions(frame, tmp_path / "predictions.csv")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "metrics.json").write_text("of an earlier run")
    from_file = evaluate_predictions(tmp_path / "predictions.csv", tmp_path / "out")
    from_table = all_metrics(frame)
    assert from_file["test"]["confusion"] == from_table["test"]["confusion"]
    assert from_file["test"]["auroc_by_group"] == from_table["test"]["auroc_by_group"]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == from_file


def test_several_models_are_not_mixed(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame["model"] = ["cnn", "vgg19"] * 30
    with pytest.raises(UserError, match=r"holds 2 models \(cnn, vgg19\)"):
        evaluate_predictions(frame, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(frame: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="out: is a file"):
        evaluate_predictions(frame, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_evaluation_needs_no_learning_library(frame: pd.DataFrame, tmp_path: Path) -> None:
    write_predictions(frame, tmp_path / "predictions.csv")
    code = (
        "import sys; from pathlib import Path;"
        "from casting_inspect.evaluation.evaluate import evaluate_predictions;"
        "from casting_inspect.evaluation.tables import print_metrics;"
        "print_metrics(evaluate_predictions(Path(sys.argv[1]), Path(sys.argv[2])));"
        "heavy = {'torch', 'torchvision', 'lightning', 'torchmetrics', 'albumentations', 'cv2'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    arguments = [str(tmp_path / "predictions.csv"), str(tmp_path / "out")]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        **{"cwd": root, "capture_output": True, "text": True, "check": False},
    )
    assert done.returncode == 0, done.stderr
    assert "By file, as in the paper" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES


def test_a_runs_own_leak_goes_with_its_table_and_no_other(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    table = tmp_path / "predictions.csv"
    write_predictions(frame, table)
    assert notes_beside(table) == {}
    leak = {"part": "test", "share": 0.5, "files": 20, "of": 40, "groups": "audit"}
    look = {"part": "test", "share": 0.4, "files": 16, "of": 40}
    beside = {"leak": leak, "floors": {}, "second_look": look}
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps({"test": {}, "protocol": {}, **beside}), encoding="utf-8")
    assert notes_beside(table) == beside
    assert evaluate_predictions(table, tmp_path / "out", notes_beside(table))["leak"] == leak
    other = {**beside, "second_look": {**look, "of": 41}}
    for text in (json.dumps(other), "[]", "{", json.dumps({"leak": 3})):
        metrics.write_text(text, encoding="utf-8")
        assert notes_beside(table) == {}
