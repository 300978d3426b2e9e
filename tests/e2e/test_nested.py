"""Nested runs: what chooses and what is tested never meet; all folds, and the final model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from casting_inspect import train
from casting_inspect.data.manifest import read_manifest, write_manifest
from casting_inspect.evaluation.decisions import decide
from casting_inspect.evaluation.predictions import read_predictions
from casting_inspect.training.checkpoints import load_network

CACHED = [
    *("model=vgg19", "model.weights=none", "model.image_size=64", "finetune=frozen"),
    *("trainer=cpu", "trainer.precision=32-true", "trainer.max_epochs=3", "logger=none"),
]
CNN = [
    *("model=cnn", "model.image_size=64", "model.width=4", "trainer=cpu", "logger=none"),
    "trainer.max_epochs=2",
]
NESTED = ["data.inner_folds=3", "decide=youden"]


def start(run: Path, root: Path, *words: str) -> int:
    return train.main([*words, f"data.root={root}", f"hydra.run.dir={run}"])


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def lots(castings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a manifest of the castings in three lots, two of its groups one wide group."""
    table = read_manifest(castings / "manifest.csv")
    groups = sorted(table["group"].unique())
    table["lot"] = table["group"].map({group: "abc"[k % 3] for k, group in enumerate(groups)})
    path = tmp_path_factory.mktemp("lots") / "manifest.csv"
    write_manifest(table, path)
    return path


@pytest.fixture(scope="module")
def run(castings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nested") / "run"
    assert start(folder, castings, *CACHED, *NESTED) == 0
    return folder


def test_every_training_file_is_scored_by_a_model_that_has_not_seen_its_group(run: Path) -> None:
    manifest = read_manifest(run / "manifest.csv").set_index("path")
    predictions = read_predictions(run / "predictions.csv").set_index("path")
    assert sorted(predictions.index) == sorted(manifest.index)
    parts = {"train": "val", "test": "test"}
    assert (predictions["split"] == manifest["split"].map(parts)[predictions.index]).all()
    assert (predictions["inner"] == manifest["inner"][predictions.index]).all()
    held = predictions[predictions["split"] == "val"]
    assert set(held["inner"]) == {"0", "1", "2"}
    assert (held.groupby("group")["inner"].nunique() == 1).all()
    assert not set(held["group"]) & set(predictions.loc[predictions["split"] == "test", "group"])


def test_epochs_are_the_median_of_the_inner_best_and_nothing_watches_the_refit(run: Path) -> None:
    best = [read_json(run / "inner" / str(k) / "fit.json")["best_epoch"] for k in range(3)]
    protocol = read_json(run / "metrics.json")["protocol"]
    assert protocol["best_epochs"] == best
    assert protocol["inner_folds"] == 3
    history = pd.read_csv(run / "history.csv")
    assert set(history["split"]) == {"train"}
    assert len(history) == protocol["epochs"] == int(np.median(best))
    inner = pd.read_csv(run / "inner" / "0" / "history.csv")
    assert set(inner["split"]) == {"train", "val"}
    assert not list(run.glob("inner/*/checkpoints"))
    assert (run / "curves.png").exists()


def test_the_threshold_is_that_of_the_out_of_fold_rows(run: Path) -> None:
    predictions = read_predictions(run / "predictions.csv")
    held = predictions[predictions["split"] == "val"]
    assert predictions["threshold"].nunique() == 1
    assert predictions["threshold"][0] == pytest.approx(decide("youden", {}, held).threshold)
    assert read_json(run / "run.json")["threshold"] == predictions["threshold"][0]


@pytest.mark.slow
def test_labels_of_the_test_part_change_nothing_but_its_figures(
    castings: Path, lots: Path, tmp_path: Path
) -> None:
    table = read_manifest(lots)
    tested = table["lot"] == "b"
    other = {"normal": "defective", "defective": "normal"}
    table.loc[tested, "label"] = table.loc[tested, "label"].map(other)
    write_manifest(table, tmp_path / "flipped.csv")
    tables = []
    for name, manifest in (("as_is", lots), ("flipped", tmp_path / "flipped.csv")):
        words = [*CACHED, *NESTED, "data.split=lot", "data.fold=1", f"data.manifest={manifest}"]
        assert start(tmp_path / name, castings, *words) == 0
        tables.append(read_predictions(tmp_path / name / "predictions.csv"))
    assert (tables[0]["label"] != tables[1]["label"]).sum() == tested.sum()
    pd.testing.assert_frame_equal(*(found.drop(columns="label") for found in tables))


@pytest.mark.slow
def test_a_network_trained_end_to_end_can_be_nested_too(castings: Path, tmp_path: Path) -> None:
    words = [*CNN, "data.inner_folds=2", "finetune.sample_weights=group"]
    assert start(tmp_path / "r", castings, *words) == 0
    predictions = read_predictions(tmp_path / "r" / "predictions.csv")
    assert set(predictions["inner"]) == {"0", "1", ""}
    assert (tmp_path / "r" / "checkpoints" / "best.ckpt").exists()


def test_validation_alone_leaves_the_test_part_untouched(castings: Path, tmp_path: Path) -> None:
    run = tmp_path / "r"
    assert start(run, castings, *CACHED, *NESTED, "trainer.evaluate=validation") == 0
    assert set(read_predictions(run / "predictions.csv")["split"]) == {"val"}
    assert not (run / "checkpoints").exists()  # the refit would serve the test part only


@pytest.fixture(scope="module")
def every_fold(castings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds") / "all"
    words = [*CACHED, "data.inner_folds=2", "decide=youden", "data.folds=3"]
    words.remove("logger=none")
    assert start(folder, castings, *words, "data.fold=all") == 0
    return folder


@pytest.mark.slow
def test_all_folds_test_every_file_once_each_in_a_whole_run_folder(every_fold: Path) -> None:
    pooled = read_predictions(every_fold / "predictions.csv")
    tested = pooled[pooled["split"] == "test"]
    manifest = read_manifest(every_fold / "manifest.csv")
    assert sorted(tested["path"]) == sorted(manifest["path"])
    for fold in range(3):
        folder = every_fold / f"fold_{fold}"
        record = read_json(folder / "run.json")
        assert record["status"] == "finished"
        assert record["command"][-1] == f"data.fold={fold}"
        assert record["seeds"]["fold"] == fold
        own = read_predictions(folder / "predictions.csv")
        pd.testing.assert_frame_equal(
            own, pooled[pooled["fold"] == fold].reset_index(drop=True), check_index_type=False
        )
        assert (folder / "checkpoints" / "best.ckpt").exists()
        assert list(folder.glob("events.out.tfevents*"))
    metrics = read_json(every_fold / "metrics.json")
    assert metrics["test"]["n"] == len(manifest)
    assert "cross-validation" in metrics["protocol"]["evidence"]
    assert not (every_fold / "checkpoints").exists()
    assert list(every_fold.glob("events.out.tfevents*"))


@pytest.mark.slow
def test_the_final_model_has_learnt_from_all_groups_and_shows_the_cross_validation(
    every_fold: Path, castings: Path, tmp_path: Path
) -> None:
    run = tmp_path / "final"
    words = [*CACHED, "data.inner_folds=2", "decide=youden", "data.folds=3", "data.fold=final"]
    assert start(run, castings, *words) == 0
    pooled = read_predictions(run / "predictions.csv")
    pd.testing.assert_frame_equal(pooled, read_predictions(every_fold / "predictions.csv"))
    assert set(read_manifest(run / "manifest.csv")["split"]) == {"train"}
    record = read_json(run / "run.json")
    epochs = [read_json(run / f"fold_{k}" / "run.json")["epochs"] for k in range(3)]
    assert record["epochs"] == int(np.median(epochs))
    tested = pooled[pooled["split"] == "test"]
    assert record["threshold"] == pytest.approx(decide("youden", {}, tested).threshold)
    metrics = [read_json(folder / "metrics.json") for folder in (run, every_fold)]
    assert metrics[0]["test"] == metrics[1]["test"]
    network, provenance = load_network(run / "checkpoints" / "best.ckpt")
    assert provenance["config"]["data"]["fold"] == "final"
    assert not network.training
    assert len(pd.read_csv(run / "history.csv")) == record["epochs"]


@pytest.mark.slow
def test_all_lots(castings: Path, lots: Path, tmp_path: Path) -> None:
    words = [*CACHED, "data.inner_folds=2", "data.split=lot", f"data.manifest={lots}"]
    assert start(tmp_path / "r", castings, *words, "data.fold=all") == 0
    predictions = read_predictions(tmp_path / "r" / "predictions.csv")
    tested = predictions[predictions["split"] == "test"]
    assert tested.groupby("fold")["lot"].agg(set).tolist() == [{"a"}, {"b"}, {"c"}]


def test_groups_with_both_labels_are_told_of(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = read_manifest(castings / "manifest.csv")
    name = table["group"][0]
    mine = np.flatnonzero(table["group"] == name)
    table.loc[mine, "label"] = ["normal", "defective"]
    table["group_wide"] = table["group"].where(table["group"] != name, "mixed")
    write_manifest(table, tmp_path / "m.csv")
    words = [*CNN, "data.inner_folds=1", f"data.manifest={tmp_path / 'm.csv'}"]
    assert start(tmp_path / "dropped", castings, *words) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 group holds both labels, 2 files, in no part: mixed (1 normal, 1 defective)." in shown
    assert "One validation part alone chose the epoch" in shown
    metrics = read_json(tmp_path / "dropped" / "metrics.json")
    assert metrics["left_out"] == {"both labels": 2}
    listed = [{"name": "mixed", "normal": 1, "defective": 1}]
    assert metrics["conflicts"] == {"on_conflict": "drop", "groups": listed}
    assert read_json(tmp_path / "dropped" / "run.json")["conflicts"]["groups"] == listed
    assert start(tmp_path / "error", castings, *words, "data.on_conflict=error") == 2
    assert "1 group holds files of both labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["data.split=file", "data.fold=all"], "data.split=file has one test part"),
        (
            ["data.split=lot", "data.lot_column=part", "data.fold=final"],
            "data.fold=final goes with",
        ),
        (["data.fold=final", "trainer.evaluate=validation"], "needs trainer.evaluate=true"),
        (["data.split=file", "data.val_fraction=0", "decide=youden"], "decide=youden finds"),
        (["data.fold=every"], "data.fold=every: must be a number from 0 up, all or final"),
        (["data.fold=5"], "data.fold=5: must be below data.folds=5"),
        (["decide=youden", "decide.threshold=0.3"], "decide=youden: decide.threshold is found"),
        (
            ["decide=fixed", "decide.threshold=null"],
            "decide=fixed: decide.threshold needs a number",
        ),
        (["data.split=lot"], "needs the manifest's column 'lot'"),
        (["decide.prevalence=1.5"], "decide.prevalence=1.5: must be above 0 to below 1"),
        (["decide.prevalence=0"], "decide.prevalence=0.0: must be above 0"),
        (["decide=cost", "decide.cost_escape=-1"], "decide.cost_escape=-1.0: must be above 0"),
        (["decide=cost", "decide.cost_review=-1"], "decide.cost_review=-1.0: must be 0 or more"),
        (["decide=review", "decide.by=cost"], "must be one of bounds, costs, conformal."),
    ],
)
def test_what_cannot_be_is_one_line(
    castings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    expected: str,
) -> None:
    assert start(tmp_path / "r", castings, *CNN, *words) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert expected in last


def test_two_thresholds_are_kept_and_measured(castings: Path, tmp_path: Path) -> None:
    run = tmp_path / "r"
    words = [*CACHED, "data.inner_folds=2", "decide=review", "decide.cost_review=2"]
    words += ["decide.by=costs", "decide.cost_escape=100", "decide.cost_overkill=10"]
    assert start(run, castings, *words, "decide.prevalence=0.02") == 0
    decision = read_json(run / "run.json")["decision"]
    predictions = read_predictions(run / "predictions.csv")
    for column in ("threshold", "threshold_low"):
        assert set(predictions[column]) == {decision[column]}
    held = predictions[predictions["split"] == "val"]
    options = {"by": "costs", "cost_escape": 100, "cost_overkill": 10, "cost_review": 2}
    again = decide("review", {**options, "prevalence": 0.02, "calibration": "platt"}, held)
    assert again.columns() == pytest.approx({c: decision[c] for c in again.columns()})
    metrics = read_json(run / "metrics.json")
    kept = read_json(run / "run.json")["calibration"]
    assert kept["method"] == "platt"
    assert kept == pytest.approx(metrics["protocol"]["calibration"])
    assert metrics["calibration"]["calibrations"] == [
        {key: pytest.approx(kept[key], rel=1e-6) for key in ("slope", "intercept")}
    ]
    looked = predictions[predictions["split"] == "test"]["p_normal"].between(
        decision["threshold_low"], decision["threshold"], inclusive="right"
    )
    assert metrics["test"]["review"]["review_rate"] == pytest.approx(looked.mean())
    assert metrics["test"]["line"]["cost_per_million"]["value"] > 0
    assert metrics["terms"]["prevalence"] == 0.02


def test_a_run_by_part_needs_parts_and_finds_its_threshold_on_them(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = read_manifest(castings / "manifest.csv")
    write_manifest(table.drop(columns="part"), tmp_path / "without.csv")
    words = [*CACHED, "data.inner_folds=2", "decide.unit=part", "decide.aggregate=mean"]
    run = tmp_path / "r"
    assert start(run, castings, *words, f"data.manifest={tmp_path / 'without.csv'}") == 2
    assert "decide.unit=part needs the column 'part'" in capsys.readouterr().err
    cameras = np.where(pd.factorize(table["group"])[0] % 2, "left", "right")
    write_manifest(table.assign(part=table["group"], camera=cameras), tmp_path / "with.csv")
    run = tmp_path / "s"
    assert start(run, castings, *words, f"data.manifest={tmp_path / 'with.csv'}") == 0
    predictions = read_predictions(run / "predictions.csv")
    held = predictions[predictions["split"] == "val"]
    options = {"max_escape": 0.05, "best_effort": True, "unit": "part", "aggregate": "mean"}
    found = decide("escape", options, held)
    assert predictions["threshold"][0] == pytest.approx(found.threshold)
    tested = read_json(run / "metrics.json")["test"]
    files = predictions[predictions["split"] == "test"]
    assert tested["by_part"]["n"] == files["part"].nunique() < tested["n"]
    assert tested["line"]["unit"] == "part"
    assert tested["repeatability"]["measured"] is False
    of_path = dict(zip(table["path"], cameras, strict=True))  # an unknown column comes along
    assert (files["camera"] == files["path"].map(of_path)).all()
    assert set(pd.read_csv(run / "slices.csv")["column"]) == {"kind", "camera"}
