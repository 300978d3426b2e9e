"""A finished run under stress: its own scores come back, and what cannot be is one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from casting_inspect import evaluate, train
from casting_inspect.errors import UserError
from casting_inspect.evaluation.predictions import read_predictions
from casting_inspect.evaluation.terms import Terms
from casting_inspect.training.stress import stress_run
from casting_inspect.training.trained_run import TrainedRun

NETWORK = [
    *("model=cnn", "model.image_size=64", "model.width=4", "trainer=cpu", "logger=none"),
    *("trainer.precision=32-true", "trainer.max_epochs=1", "data.inner_folds=1"),
]


@pytest.fixture(scope="module")
def run(castings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stressed") / "run"
    assert train.main([*NETWORK, f"data.root={castings}", f"hydra.run.dir={folder}"]) == 0
    return folder


def test_plain_pictures_get_the_scores_that_the_run_gave_them(run: Path) -> None:
    trained = TrainedRun(run)
    rows = trained.scored()
    assert set(rows["split"]) == {"test"}
    inspector = trained.inspector(0)
    pictures = [inspector.square(trained.path_of(path))[1] for path in rows["path"]]
    found = inspector.log_odds(np.stack(pictures))
    np.testing.assert_allclose(found, rows["logit"], atol=1e-3)


def test_evaluate_writes_the_curves_and_says_how_far(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"predictions={run / 'predictions.csv'}", "stress=true", "stress_limit=6"]
    tables = []
    for name in ("a", "b"):
        assert evaluate.main([*words, f"out={tmp_path / name}"]) == 0
        tables.append((tmp_path / name / "stress.csv").read_bytes())
    assert tables[0] == tables[1]  # deterministic
    shown = capsys.readouterr().out
    assert "stress: 6 of" in shown
    assert "stress: about " in shown
    assert shown.count("turned: ") == 2
    found = pd.read_csv(tmp_path / "a" / "stress.csv")
    assert len(found) == 1 + 9 * 5
    facts = json.loads((tmp_path / "a" / "stress.json").read_text(encoding="utf-8"))
    assert (facts["files"], facts["split"]) == (6, "test")
    assert len(facts["breaks_at"]) == 9
    assert all(sentence in shown for sentence in facts["sentences"])
    assert (tmp_path / "a" / "stress.png").stat().st_size > 10_000
    assert (tmp_path / "a" / "metrics.json").exists()


def test_pictures_that_have_moved_are_found_by_root(
    run: Path, castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "run"
    shutil.copytree(run, moved)
    config = yaml.safe_load((moved / "config.yaml").read_text(encoding="utf-8"))
    config["data"]["root"] = str(tmp_path / "gone")
    (moved / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    words = [f"run={moved}", "stress=true", "stress_limit=4", f"out={tmp_path / 'out'}"]
    assert evaluate.main(words) == 2
    assert "gone" in capsys.readouterr().err
    assert evaluate.main([*words, f"root={castings}"]) == 0
    assert (tmp_path / "out" / "stress.csv").is_file()
    assert "data:image/jpeg" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("foreign", "is no run folder: it has no config.yaml"),
        ("floor", "floor_pixels is a floor"),
        ("inner", "holds scores of inner folds alone"),
        ("gone", "there is no checkpoint"),
    ],
)
def test_what_cannot_be_stressed_is_one_line_and_writes_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, expected: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    table = read_predictions(run / "predictions.csv")
    config = (run / "config.yaml").read_text(encoding="utf-8")
    if name == "floor":
        config = config.replace("models.cnn.SmallCnn", "models.floors.make_floor")
        config = config.replace("name: cnn", "name: floor_pixels")
    if name == "inner":
        table = table.assign(split="val", inner="0").drop_duplicates("path")
    if name != "foreign":
        (folder / "config.yaml").write_text(config, encoding="utf-8")
    table.to_csv(folder / "predictions.csv", index=False)
    words = [f"predictions={folder / 'predictions.csv'}", "stress=true", f"out={tmp_path / 'out'}"]
    assert evaluate.main(words) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "casting-inspect" in one]
    assert expected in line
    assert not (tmp_path / "out").exists()


def test_parts_that_nobody_named_are_told_before_the_minutes(run: Path, tmp_path: Path) -> None:
    table = read_predictions(run / "predictions.csv").assign(part="")
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    table.to_csv(folder / "predictions.csv", index=False)
    said: list[str] = []
    with pytest.raises(UserError, match="needs the column 'part'"):
        stress_run(folder / "predictions.csv", tmp_path, Terms("part"), 6, said.append)
    assert said == []
