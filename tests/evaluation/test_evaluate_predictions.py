"""From a table to a folder of results, without the learning libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casting_inspect import evaluate
from casting_inspect.errors import UserError
from casting_inspect.evaluation.evaluate import evaluate_predictions, notes_beside
from casting_inspect.evaluation.metrics import all_metrics
from casting_inspect.evaluation.predictions import write_predictions
from casting_inspect.evaluation.terms import Terms

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


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("prevalence=0", "prevalence=0.0: must be above 0 to below 1"),
        ("prevalence=1.5", "prevalence=1.5: must be above 0 to below 1"),
        ("cost_escape=-1", "cost_escape=-1.0: must be above 0"),
        ("cost_review=-1", "cost_review=-1.0: must be 0 or more"),
        ("unit=casting", "unit=casting: must be one of file, part"),
        ("aggregate=all", "aggregate=all: must be one of any, mean"),
        ("stress_limit=0", "stress_limit=0: must be 1 or more"),
    ],
)
def test_terms_that_cannot_be_are_one_line(
    frame: pd.DataFrame,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    word: str,
    expected: str,
) -> None:
    write_predictions(frame, tmp_path / "p.csv")
    out = tmp_path / "out"
    assert evaluate.main([f"predictions={tmp_path / 'p.csv'}", f"out={out}", word]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert expected in line
    assert not out.exists()


def test_a_score_that_is_no_number_is_one_line(
    frame: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = frame.astype({"p_normal": object})
    table.loc[3, "p_normal"] = "NaN"
    table.to_csv(tmp_path / "p.csv", index=False)
    out = tmp_path / "out"
    assert evaluate.main([f"predictions={tmp_path / 'p.csv'}", f"out={out}"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "row 5: p_normal" in line
    assert not out.exists()


@pytest.mark.parametrize("label", ["normal", "defective"])
def test_one_class_alone_is_measured_as_far_as_it_goes(
    frame: pd.DataFrame, tmp_path: Path, label: str
) -> None:
    metrics = evaluate_predictions(frame[frame["label"] == label], tmp_path / "out")
    line = metrics["test"]["line"]
    known = {"normal": "good_rejected", "defective": "escapes"}[label]
    for key in ("escapes", "good_rejected"):
        assert (line["per_million"][key]["value"] is None) == (key != known)
    assert line["rejects_truly_defective"]["value"] is None
    assert metrics["calibration"]["raw"] is None
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics


def test_terms_of_the_run_hold_unless_others_are_given(frame: pd.DataFrame, tmp_path: Path) -> None:
    evaluate_predictions(frame, tmp_path, terms=Terms(prevalence=0.2, cost_escape=3.0))
    write_predictions(frame, tmp_path / "predictions.csv")
    words = [f"predictions={tmp_path / 'predictions.csv'}", f"out={tmp_path / 'again'}"]
    assert evaluate.main([*words, "cost_overkill=1"]) == 0
    found = json.loads((tmp_path / "again" / "metrics.json").read_text())
    assert found["terms"] == Terms(prevalence=0.2, cost_escape=3.0, cost_overkill=1.0).plain()
    assert found["test"]["line"]["cost_per_million"]["value"] > 0
