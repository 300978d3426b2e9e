"""Floors through the same command as networks, and what every split by file has to show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from casting_inspect import train
from casting_inspect.data.audit.leak import copies_in_training
from casting_inspect.evaluation.metrics import all_metrics

CNN = ["model=cnn", "model.image_size=64", "trainer=cpu", "trainer.max_epochs=1"]


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def run(folder: Path, castings: Path, *words: str) -> int:
    return train.main([*words, f"data.root={castings}", f"hydra.run.dir={folder}"])


@pytest.mark.slow
def test_a_floor_shares_splits_tables_and_metrics_with_networks(
    castings: Path, tmp_path: Path
) -> None:
    floor, network = tmp_path / "floor", tmp_path / "cnn"
    assert run(floor, castings, "model=floor_histogram", "data.inner_folds=2") == 0
    assert run(network, castings, *CNN, "data.inner_folds=2", "logger=none") == 0
    assert not (floor / "checkpoints").exists()
    tables = [pd.read_csv(folder / "predictions.csv") for folder in (floor, network)]
    same = ["path", "label", "group", "split", "fold", "inner", "partition"]
    pd.testing.assert_frame_equal(tables[0][same], tables[1][same])
    assert set(tables[0]["model"]) == {"floor_histogram"}
    assert set(tables[0]["inner"].dropna()) == {0, 1}
    metrics, other = read(floor / "metrics.json"), read(network / "metrics.json")
    assert metrics.keys() == other.keys()
    assert "leak" not in metrics  # no group is in two parts
    expected = all_metrics(pd.read_csv(floor / "predictions.csv"))["test"]
    assert metrics["test"]["confusion"] == expected["confusion"]
    record = read(floor / "run.json")
    assert record["status"] == "finished"
    assert record["paths_taken"]["floor"] == "floor_histogram"
    assert record["digests"]["weights"] == "none"


def test_all_folds_of_a_floor(castings: Path, tmp_path: Path) -> None:
    words = ["model=floor_background", "data.fold=all", "data.inner_folds=2", "logger=none"]
    assert run(tmp_path / "r", castings, *words, "data.folds=3") == 0
    table = pd.read_csv(tmp_path / "r" / "predictions.csv")
    tested = table[table["split"] == "test"]
    assert len(tested) == tested["path"].nunique() == 48


@pytest.mark.parametrize("model", [["model=floor_pixels"], CNN])
def test_a_split_by_file_shows_its_leak_and_the_floors(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: list[str]
) -> None:
    folder = tmp_path / "r"
    assert run(folder, castings, *model, "data.split=file", "data.val_fraction=0") == 0
    manifest = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    copies = copies_in_training(manifest)
    metrics = read(folder / "metrics.json")
    assert metrics["leak"]["files"] == copies.sum() > 0
    assert metrics["leak"]["of"] == len(copies)
    assert set(metrics["floors"]) == {"floor_histogram", "floor_background"}
    shown = " ".join(capsys.readouterr().out.split())
    assert f"of the {len(copies)} test files have a copy" in shown
    assert shown.index("Balanced accuracy") < shown.index("test files have a copy")
    assert shown.index("Floor: grey histogram") < shown.index("By file")
    events = EventAccumulator(str(folder))
    events.Reload()
    (tag,) = (tag for tag in events.Tags()["tensors"] if "leak_and_floors" in tag)
    text = events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
    assert "of their photograph or casting in training" in text
    assert "grey histogram" in text


def test_a_floor_beside_another_model_is_that_floors_own_run(
    castings: Path, tmp_path: Path
) -> None:
    words = ["model=floor_histogram", "data.split=file", "data.val_fraction=0", "logger=none"]
    assert run(tmp_path / "r", castings, *words) == 0
    metrics = read(tmp_path / "r" / "metrics.json")
    beside = metrics["floors"]["floor_histogram"]
    for figure in ("n", "accuracy", "escape_rate", "overkill_rate", "auroc"):
        assert beside[figure] == pytest.approx(metrics["test"][figure])


def test_an_interrupted_floor_is_simply_run_again(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "r"
    words = ["model=floor_histogram", "data.inner_folds=2", "logger=none"]
    assert run(folder, castings, *words) == 0
    before = (folder / "predictions.csv").read_bytes()
    record = read(folder / "run.json")
    (folder / "run.json").write_text(json.dumps({**record, "status": "running"}))
    (folder / "predictions.csv").unlink()
    capsys.readouterr()
    assert train.main([f"resume={folder}"]) == 0
    assert "keeps no checkpoint: it is simply run again" in capsys.readouterr().err
    assert (folder / "predictions.csv").read_bytes() == before
    assert train.main([f"resume={folder}"]) == 2
    assert "is finished" in capsys.readouterr().err


def test_the_table_of_a_multirun_shows_leak_and_floor_too(
    castings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    words = ["-m", "model=floor_histogram,floor_background", "data.split=file", "logger=none"]
    where = [f"data.root={castings}", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    assert train.main([*words, "data.val_fraction=0", *where]) == 0
    table = pd.read_csv(tmp_path / "sweep" / "runs.csv")
    assert (table["copies_in_training"] > 0.3).all()
    assert table["histogram_accuracy"].nunique() == 1
    assert table["histogram_accuracy"][0] == table["accuracy"][0]
    shown = capsys.readouterr().out
    assert "copies" in shown
    assert f"{table['copies_in_training'][0]:.4f}" in shown
