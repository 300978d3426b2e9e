"""`evaluate run=RUN heatmaps=...` on real runs: each picture by the network that scored it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casting_inspect import evaluate, train
from casting_inspect.training.trained_run import MapChoice, TrainedRun

TINY = (
    "model=cnn",
    "model.width=4",
    "model.image_size=64",
    "trainer.max_epochs=3",
    "finetune.head_lr=1e-2",
)

QUIET = ("logger=none", "callbacks.progress_bar=false", "decide=fixed")


def trained(castings: Path, folder: Path, *words: str) -> Path:
    data = (f"data.root={castings}", "data.folds=2", "data.inner_folds=2")
    assert train.main([*TINY, *QUIET, *data, *words, f"hydra.run.dir={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def all_folds(castings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(castings, tmp_path_factory.mktemp("runs") / "all", "data.fold=all")


def error_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert evaluate.main(list(words)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_every_picture_is_asked_of_its_own_folds_network(all_folds: Path, castings: Path) -> None:
    assert evaluate.main([f"run={all_folds}", "heatmaps=all", "map.most=6"]) == 0
    out = all_folds / "evaluation"
    facts = json.loads((out / "heatmaps.json").read_text())
    table = pd.read_csv(all_folds / "predictions.csv", dtype={"inner": str}, keep_default_na=False)
    tested = table[table["split"] == "test"]
    found = pd.read_csv(out / "heatmaps.csv")
    assert facts["pictures"]["looked_at"] == len(found) == len(tested) == 48
    assert facts["largest_difference"] < 0.02
    assert len(list((out / "heatmaps").glob("*.jpg"))) == 6
    assert found["x"].between(0, 1).all()
    assert found["y"].between(0, 1).all()
    defective = found["label"] == "defective"
    assert found["points_at_defect"].notna().equals(defective)
    assert facts["pointing"]["all"]["n"] == defective.sum()
    assert (out / "metrics.json").exists()
    assert castings.exists()


def test_another_folds_network_would_give_other_scores(all_folds: Path) -> None:
    run = TrainedRun(all_folds)
    table = run.scored()
    rows, own = next(iter(run.inspectors(table)))
    other = run.inspector(1)
    part = table.iloc[rows[:8]]
    assert set(part["fold"]) == {0}
    pictures = np.stack([own.square(run.path_of(path))[1] for path in part["path"]])
    expected = part["logit"].to_numpy()
    distance = np.abs(own.look(pictures)[0] - expected).max()
    assert distance < 0.05 * (1 + np.abs(expected).max())  # bfloat16 where the processor has it
    assert np.abs(other.look(pictures)[0] - expected).max() > 5 * distance


def test_a_moved_folder_of_pictures(all_folds: Path, castings: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(castings, moved)
    words = [f"run={all_folds}", f"root={moved}", f"out={tmp_path / 'out'}", "heatmaps=sample"]
    assert evaluate.main([*words, "map.most=4", "map.turns=4", "map.weights=picture"]) == 0
    assert len(pd.read_csv(tmp_path / "out" / "heatmaps.csv")) == 4


def test_maps_do_not_depend_on_what_else_is_looked_at(all_folds: Path) -> None:
    run = TrainedRun(all_folds, choice=MapChoice(weights="mean"))
    inspector = run.inspector(0)
    names = run.scored()["path"].tolist()[:10]
    pictures = np.stack([inspector.square(run.path_of(name))[1] for name in names])
    together = inspector.look(pictures)[1]
    alone = np.concatenate([inspector.look(picture[None])[1] for picture in pictures])
    np.testing.assert_allclose(together, alone, rtol=0.05, atol=0.05 * np.abs(alone).max())


def test_bad_input_is_one_line(
    all_folds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heat = "heatmaps=errors"
    table = f"predictions={all_folds / 'predictions.csv'}"
    out = f"out={tmp_path / 'out'}"
    assert "add run=RUN_DIR" in error_of(capsys, table, out, heat)
    assert "heatmaps=eror: must be" in error_of(capsys, f"run={all_folds}", "heatmaps=eror")
    assert "map.turns=3: must be 1, 4 or 8" in error_of(capsys, f"run={all_folds}", "map.turns=3")
    assert not (tmp_path / "out").exists()
    line = error_of(capsys, f"run={all_folds}", out, heat, "map.layer=feature")
    assert "Did you mean 'features'?" in line
    assert "is no run folder" in error_of(capsys, f"run={tmp_path}", table, out, heat)
    broken = tmp_path / "broken"
    shutil.copytree(all_folds, broken)
    (broken / "fold_1" / "checkpoints" / "best.ckpt").unlink()
    assert "there is no checkpoint" in error_of(capsys, f"run={broken}", heat)
    assert not (tmp_path / "out").exists()


def test_a_floor_is_refused(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "floor"
    words = ("model=floor_histogram", f"data.root={castings}", "data.folds=2")
    assert train.main([*words, *QUIET, f"hydra.run.dir={folder}"]) == 0
    capsys.readouterr()
    assert "is a floor" in error_of(capsys, f"run={folder}", "heatmaps=errors")


def test_a_run_of_inner_folds_alone(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained(castings, tmp_path / "run", "trainer.evaluate=validation")
    capsys.readouterr()
    line = error_of(capsys, f"run={folder}", "heatmaps=errors")
    assert "whose networks are not kept" in line
