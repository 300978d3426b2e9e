"""The paper's protocol, a user's own network, trials, and runs that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from casting_inspect import train
from casting_inspect.training.checkpoints import load


class OwnNet(nn.Module):
    """What a user would write: three lines and no base class of ours."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1))
        self.last = nn.Linear(width, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.layers(images).flatten(1))


def metrics(run: Path) -> dict[str, dict[str, float]]:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


VGG = ["model.weights=none", "finetune=frozen", "model.image_size=64", "trainer=cpu"]


@pytest.mark.parametrize("watch", [False, True])
def test_paper_mode_has_no_validation_and_evaluates_the_last_epoch(
    castings: Path, tmp_path: Path, watch: bool
) -> None:
    words = ["experiment=paper", *VGG, "trainer.max_epochs=3", f"callbacks.watch_test={watch}"]
    assert train.main([*words, f"data.root={castings}", f"hydra.run.dir={tmp_path / 'r'}"]) == 0
    run = tmp_path / "r"
    assert set(metrics(run)) & {"train", "val", "test"} == {"test"}
    assert (pd.read_csv(run / "predictions.csv")["threshold"] == 0.5).all()
    manifest = pd.read_csv(run / "manifest.csv")
    counts = manifest.groupby(["split", "label"]).size()
    for label, total in manifest["label"].value_counts().items():
        assert counts["test", label] == round(0.4 * total)
    assert not (manifest["split"] == "val").any()
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert (record["epochs"], record["best_epoch"]) == (3, 3)
    history = pd.read_csv(run / "history.csv")
    assert set(history["split"]) == ({"train", "test"} if watch else {"train"})
    best, last = (load(run / "checkpoints" / name) for name in ("best.ckpt", "last.ckpt"))
    for key, value in last["state_dict"].items():
        assert torch.equal(value, best["state_dict"][key])


def test_watching_the_test_part_changes_nothing(castings: Path, tmp_path: Path) -> None:
    tables = []
    for watch in (True, False):
        run = tmp_path / str(watch)
        words = ["experiment=paper", *VGG, "trainer.max_epochs=2", f"callbacks.watch_test={watch}"]
        assert train.main([*words, f"data.root={castings}", f"hydra.run.dir={run}"]) == 0
        tables.append((run / "predictions.csv").read_bytes())
    assert tables[0] == tables[1]


def test_without_validation_the_default_rule_falls_back_to_one_half_and_says_so(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data.split=file", "data.val_fraction=0", *VGG, "trainer.max_epochs=1"]
    assert train.main([*words, f"data.root={castings}", f"hydra.run.dir={tmp_path}/r"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "nothing argues for" in line]
    assert len(said) == 1
    record = json.loads((tmp_path / "r" / "run.json").read_text(encoding="utf-8"))
    assert record["threshold"] == 0.5
    assert record["decision"]["facts"] == {"asked": "escape", "supported": False}


def test_paper_mode_is_100_epochs_at_a_threshold_of_one_half(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train.main(["experiment=paper", "--cfg", "job"]) == 0
    shown = capsys.readouterr().out
    assert "max_epochs: 100" in shown
    assert "threshold: 0.5" in shown
    assert "val_fraction: 0.0" in shown


def test_a_network_of_the_users_own_plugs_in_by_its_name_alone(
    castings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    run = tmp_path / "r"
    words = ["model._target_=test_protocols.OwnNet", "model.image_size=32", "trainer.max_epochs=1"]
    words.append("data.inner_folds=1")
    assert train.main([*words, f"data.root={castings}", f"hydra.run.dir={run}"]) == 0
    assert (run / "predictions.csv").exists()


def test_a_run_with_a_network_of_the_users_own_resumes_only_if_he_says_so(
    castings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    run = tmp_path / "r"
    words = ["model._target_=test_protocols.OwnNet", "model.image_size=32", "trainer.max_epochs=1"]
    words.append("data.inner_folds=1")
    assert train.main([*words, f"data.root={castings}", f"hydra.run.dir={run}"]) == 0
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps({**record, "status": "stopped"}))
    assert train.main([f"resume={run}"]) == 2
    assert "allow_targets=[test_protocols.OwnNet]" in capsys.readouterr().err
    assert train.main([f"resume={run}", "allow_targets=[test_protocols.OwnNet]"]) == 0


def test_a_trial_touches_few_pictures(castings: Path, tmp_path: Path) -> None:
    run = tmp_path / "r"
    words = ["model=cnn", "model.image_size=64", "trainer=smoke", "data.limit=6"]
    assert train.main([*words, f"data.root={castings}", f"hydra.run.dir={run}"]) == 0
    manifest = pd.read_csv(run / "manifest.csv")
    assert manifest["split"].value_counts().max() <= 6


def test_a_run_without_evaluation_measures_nothing(castings: Path, tmp_path: Path) -> None:
    run = tmp_path / "r"
    words = ["model=cnn", "model.image_size=64", "trainer=smoke", "trainer.evaluate=false"]
    assert train.main([*words, f"data.root={castings}", f"hydra.run.dir={run}"]) == 0
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] == "finished"
    assert not (run / "metrics.json").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["model=cnn", "finetune=frozen"], "finetune=full"),
        (["model=vgg19", "model.weights=missing.pth"], "no such file"),
        (["model=cnn", "data.split=vendor"], "split"),
    ],
)
def test_what_cannot_be_is_one_line_and_code_2(
    castings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    expected: str,
) -> None:
    run = tmp_path / "r"
    assert train.main([*words, f"data.root={castings}", f"hydra.run.dir={run}"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("casting-inspect train: ")
    assert expected in last
