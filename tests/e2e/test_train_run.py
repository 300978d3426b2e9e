"""A whole run as a user starts it, read back from its folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from casting_inspect import evaluate, train
from casting_inspect.training.checkpoints import load, load_network

FROZEN = [
    "model=vgg19",
    "model.weights=none",
    "model.image_size=64",
    "finetune=frozen",
    "trainer.max_epochs=3",
    "trainer.accelerator=cpu",
    "data.inner_folds=1",  # nested runs have tests of their own
]


@pytest.fixture(scope="module")
def run(castings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "Gehäuse, Los #7 = [a]"
    assert train.main([*FROZEN, f"data.root={castings}", f"hydra.run.dir={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def events(run: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(run), size_guidance={"images": 0})
    accumulator.Reload()
    return accumulator


def test_the_run_folder_is_complete(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert names >= {
        "config.yaml",
        "manifest.csv",
        "checkpoints",
        "predictions.csv",
        "metrics.json",
        "run.json",
        "train.log",
        "history.csv",
        "curves.png",
        "confusion.png",
        "recall_by_defect.csv",
    }
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert not [path for path in run.rglob("*") if ".part" in path.name]
    assert [name for name in names if name.startswith("events.out.tfevents")]


def test_the_record_says_how_the_run_came_about(run: Path) -> None:
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished"
    assert record["command"][:2] == ["casting-inspect", "train"]
    assert record["versions"]["torch"] == torch.__version__
    assert set(record["durations_s"]) == {
        *("features", "fit", "predict", "neighbours", "projector", "evaluate")
    }
    assert record["paths_taken"]["cached_features"] is True
    assert record["digests"]["weights"] == "none"
    assert len(record["digests"]["data"]) == 64
    assert record["seeds"] == {"seed": 0, "partition": 0, "fold": 0}
    assert record["epochs"] == 3
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    assert config["model"]["image_size"] == 64


def test_predictions_are_the_validation_and_test_files(run: Path) -> None:
    manifest = pd.read_csv(run / "manifest.csv", dtype=str).set_index("path")
    predictions = pd.read_csv(run / "predictions.csv", dtype={"group": str}).set_index("path")
    expected = manifest[manifest["split"].isin(["val", "test"])]
    assert set(predictions.index) == set(expected.index)
    for column in ("label", "group", "split"):
        assert (predictions[column] == expected.loc[predictions.index, column]).all()
    from_logit = 1 / (1 + np.exp(-predictions["logit"]))
    np.testing.assert_allclose(predictions["p_normal"], from_logit, atol=1e-6)
    decision = json.loads((run / "run.json").read_text(encoding="utf-8"))["decision"]
    assert decision["rule"] == "escape"  # the default
    assert (predictions["threshold"] == decision["threshold"]).all()
    held = predictions[(predictions["split"] == "val") & (predictions["label"] == "defective")]
    # too few castings for 5 %, and it says so: none of them escapes
    assert not decision["facts"]["supported"]
    assert not (held["p_normal"] > decision["threshold"]).any()


def test_evaluate_gives_the_same_figures_from_the_table_alone(run: Path, tmp_path: Path) -> None:
    assert evaluate.main([f"predictions={run / 'predictions.csv'}", f"out={tmp_path / 'e'}"]) == 0
    again = json.loads((tmp_path / "e" / "metrics.json").read_text(encoding="utf-8"))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    for split in ("val", "test"):  # what is known of the run alone stands beside them
        assert again[split] == metrics[split]


def test_the_best_checkpoint_stands_alone_and_scores_the_same(run: Path, castings: Path) -> None:
    network, provenance = load_network(run / "checkpoints" / "best.ckpt")
    assert provenance["config"]["model"]["head"] == "gap"
    predictions = pd.read_csv(run / "predictions.csv").head(4)
    from casting_inspect.data.decode import read_rgb, resize_square

    pictures = [resize_square(read_rgb(castings / path), 64) for path in predictions["path"]]
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        scores = torch.softmax(network(images), dim=1)[:, 1].numpy()
    np.testing.assert_allclose(scores, predictions["p_normal"], atol=0.01)


def test_checkpoints_of_a_cached_run_are_small_until_the_end(run: Path) -> None:
    last = load(run / "checkpoints" / "last.ckpt")
    assert set(last["state_dict"]) == {
        "network.head.linear.weight",
        "network.head.linear.bias",
    } or (all("features" not in key for key in last["state_dict"]))


def test_history_and_curves_agree_with_the_number_of_epochs(run: Path) -> None:
    with (run / "history.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["epoch"], row["split"]) for row in rows] == [
        (str(epoch), split) for epoch in (1, 2, 3) for split in ("train", "val")
    ]


def test_tensorboard_holds_the_curves_by_epoch(events: EventAccumulator) -> None:
    scalars = set(events.Tags()["scalars"])
    assert {"train/loss", "train/accuracy", "val/loss", "val/accuracy"} <= scalars
    assert {"val/escape_rate", "val/overkill_rate", "learning_rate/head"} <= scalars
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]
    assert "epoch" not in scalars


def test_tensorboard_holds_pictures_curves_and_the_configuration(
    events: EventAccumulator,
) -> None:
    tags = events.Tags()
    images = set(tags["images"])
    assert "batch_as_the_network_sees_it/orange_is_defective_blue_is_normal" in images
    assert {"test/confusion", "test/scores", "test/roc", "test/precision_recall"} <= images
    assert {"test/p_normal_of_defective", "test/p_normal_of_normal"} <= set(tags["histograms"])
    tensors = set(tags["tensors"])
    assert "test/normal_is_positive" in tensors
    text = events.Tensors("configuration/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "image_size: 64" in text


def test_the_hparams_tab_has_hyperparameters_and_final_metrics(
    events: EventAccumulator, run: Path
) -> None:
    from tensorboard.plugins.hparams import metadata

    content = events.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    assert start.hparams["model.name"].string_value == "vgg19"
    assert start.hparams["finetune.strategy"].string_value == "frozen"
    content = events.summary_metadata[metadata.EXPERIMENT_TAG].plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(content)
    named = {info.name.tag for info in experiment.metric_infos}
    assert "verdict/test/accuracy" in named
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    shown = events.Scalars("verdict/test/accuracy")[-1].value
    assert shown == pytest.approx(metrics["test"]["accuracy"])


def test_a_second_run_does_not_overwrite_the_first(
    run: Path, castings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "metrics.json").read_bytes()
    assert train.main([*FROZEN, f"data.root={castings}", f"hydra.run.dir={run}"]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert (run / "metrics.json").read_bytes() == before


def test_a_finished_run_is_not_resumed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([f"resume={run}"]) == 2
    assert "is finished" in capsys.readouterr().err
