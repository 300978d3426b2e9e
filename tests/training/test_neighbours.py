"""The nearest training castings: by what the head sees, one picture of each casting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from casting_inspect import train
from casting_inspect.evaluation.report.gallery import NEIGHBOURS
from casting_inspect.training.classifier import CastingClassifier
from casting_inspect.training.loaders import Choices
from casting_inspect.training.neighbours import gather_neighbours, nearest
from casting_inspect.training.network_fit import last_inputs_of


def test_nearest_is_cosine_similarity_of_standardised_vectors() -> None:
    rng = np.random.default_rng(0)
    seen, known = (rng.normal(2, 3, (count, 8)).astype(np.float32) for count in (5, 30))
    known[:, 3] = 7.0  # a feature that tells nothing
    scaler = StandardScaler().fit(known)
    expected = cosine_similarity(scaler.transform(seen), scaler.transform(known))
    for row, hits in zip(expected, nearest(seen, known), strict=True):
        best = np.argsort(-row)[:NEIGHBOURS]
        assert [at for at, _ in hits] == best.tolist()
        np.testing.assert_allclose([likeness for _, likeness in hits], row[best], atol=1e-5)


def test_a_picture_is_nearest_to_itself() -> None:
    known = np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32)
    found = nearest(known, known)
    assert [hits[0][0] for hits in found] == list(range(20))
    assert all(hits[0][1] == pytest.approx(1.0, abs=1e-6) for hits in found)


def test_folds_without_any_are_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    row = "path,rank,neighbour,label,similarity\nx,0,y,normal,0.5\n"
    (tmp_path / "a" / "neighbours.csv").write_text(row)
    (tmp_path / "c" / "neighbours.csv").write_text(row.replace("x,", "z,"))
    gather_neighbours([tmp_path / name for name in ("a", "b", "c")], tmp_path)
    assert pd.read_csv(tmp_path / "neighbours.csv")["path"].tolist() == ["x", "z"]
    gather_neighbours([tmp_path / "b"], tmp_path / "b")
    assert not (tmp_path / "b" / "neighbours.csv").exists()


KINDS: dict[str, list[str]] = {
    "regions": ["model=lin2018", "augment=none", "trainer.max_epochs=1"],
    "parts": ["model=nguyen2021", "augment=none", "trainer.max_epochs=1"],
    "uncached": ["model=cnn", "augment=none", "trainer.max_epochs=1"],
    "vectors": ["model=vgg19", "model.weights=none", "finetune=frozen", "trainer.max_epochs=1"],
    "views": [
        *["model=vgg19", "model.head=attention", "model.weights=none", "finetune=frozen"],
        *["augment=light", "data.views=2", "trainer.max_epochs=1"],
    ],
}


class Repeated(nn.Module):
    """A network that asks its last layer several rows a picture, or one row for several."""

    def __init__(self, rows: int, calls: int = 1) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.rows, self.calls = rows, calls

    def forward(self, images: Tensor) -> Tensor:
        means = images.mean(dim=(2, 3)).repeat_interleave(self.rows, dim=0)
        judged = sum(self.linear(means) for _ in range(self.calls))
        return judged.unflatten(0, (len(images), self.rows)).mean(dim=1)


@pytest.mark.parametrize(("rows", "calls", "known"), [(1, 1, True), (5, 1, True), (2, 2, False)])
def test_rows_of_a_picture_are_averaged(rows: int, calls: int, known: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (7, 3, 8, 8), generator=generator, dtype=torch.uint8)
    batches = [
        {
            "image": images[some],
            "label": torch.zeros(len(images[some])),
            "index": torch.arange(7)[some],
        }
        for some in (slice(0, 4), slice(4, 7))
    ]
    choices = Choices("cpu", torch.device("cpu"), "32-true", "full", False, False)
    found = last_inputs_of(CastingClassifier(Repeated(rows, calls)), batches, choices)
    if not known:
        assert found is None
        return
    expected = (images.float() / 255).mean(dim=(2, 3)).numpy()
    assert found is not None
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_network_without_a_linear_layer_has_no_vectors() -> None:
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    batch = {
        "image": torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        **{"label": torch.zeros(2), "index": torch.arange(2)},
    }
    choices = Choices("cpu", torch.device("cpu"), "32-true", "full", False, False)
    assert last_inputs_of(CastingClassifier(network), [batch], choices) is None


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_run_knows_its_neighbours(castings: Path, tmp_path: Path, kind: str) -> None:
    common: list[Any] = ["model.image_size=64", "logger=none", "trainer=cpu", "data.inner_folds=1"]
    words = [*KINDS[kind], *common, f"data.root={castings}", f"hydra.run.dir={tmp_path / 'run'}"]
    assert train.main(words) == 0
    found = pd.read_csv(tmp_path / "run" / "neighbours.csv")
    manifest = pd.read_csv(tmp_path / "run" / "manifest.csv").set_index("path")
    assert (manifest["split"][found["path"]] == "test").all()
    assert (manifest["split"][found["neighbour"]] == "train").all()
    assert (manifest["label"][found["neighbour"]].to_numpy() == found["label"]).all()
    each = found.groupby("path")
    assert (each["neighbour"].nunique() == NEIGHBOURS).all()
    groups = found.assign(group=manifest["group"][found["neighbour"]].to_numpy())
    assert (
        groups.groupby("path")["group"].nunique() == NEIGHBOURS
    ).all()  # one picture of each casting
    assert each["similarity"].apply(lambda likeness: likeness.is_monotonic_decreasing).all()
    assert "nearest in training" in (tmp_path / "run" / "report.html").read_text("utf-8")
