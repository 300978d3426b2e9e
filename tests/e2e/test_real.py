"""The real pictures and weights, a few of them; skipped where they are missing."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from casting_inspect import prepare, train

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def some_pictures(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root of 240 real pictures, the first 120 of each class by name."""
    folder = tmp_path_factory.mktemp("real")
    with zipfile.ZipFile(shared / "data" / "casting_product_kaggle.zip") as archive:
        names = sorted(name for name in archive.namelist() if "/train/" in name)
        for kind in ("def_front", "ok_front"):
            archive.extractall(folder / "in", [name for name in names if kind in name][:120])
    assert prepare.main([f"source={folder / 'in'}", f"out={folder / 'out'}", "recipe=folder"]) == 0
    return folder / "out"


def test_real_pictures_are_read_as_they_are(some_pictures: Path) -> None:
    manifest = pd.read_csv(some_pictures / "manifest.csv")
    assert manifest["label"].value_counts().to_dict() == {"defective": 120, "normal": 120}
    assert (manifest[["width", "height"]] == 300).all(axis=None)


def test_vgg19_learns_real_castings_from_pretrained_features(
    some_pictures: Path, shared: Path, tmp_path: Path
) -> None:
    weights = shared / "weights" / "vgg19_features_standin.pth"
    words = ["data.split=file", "data.limit=60", "trainer.max_epochs=30", "model.image_size=128"]
    paths = [f"data.root={some_pictures}", f"model.weights={weights}", f"hydra.run.dir={tmp_path}"]
    assert train.main([*words, *paths]) == 0
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert record["weights"] == "vgg19_features_standin.pth"
    assert record["paths_taken"]["cached_features"] is True
    test = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["test"]
    # a coin gives 0.5; files of one photograph lie on both sides, so this shows that the way from
    # pixels to verdicts works, and nothing about new castings
    assert test["balanced_accuracy"] > 0.8


def test_the_paper_head_needs_fully_connected_layers(
    some_pictures: Path, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = shared / "weights" / "vgg19_features_standin.pth"
    words = ["data.split=file", "model.head=paper", f"model.weights={weights}"]
    assert train.main([*words, f"data.root={some_pictures}", f"hydra.run.dir={tmp_path}"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "classifier" in last
