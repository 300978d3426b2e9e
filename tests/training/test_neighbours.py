"""The nearest training castings: by what the head sees, one picture of each casting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import StandardScaler

from casting_inspect import train
from casting_inspect.evaluation.report.gallery import NEIGHBOURS
from casting_inspect.training.neighbours import gather_neighbours, nearest


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
    "uncached": ["model=cnn", "augment=none", "trainer.max_epochs=1"],
    "vectors": ["model=vgg19", "model.weights=none", "finetune=frozen", "trainer.max_epochs=1"],
    "views": [
        *["model=vgg19", "model.head=attention", "model.weights=none", "finetune=frozen"],
        *["augment=light", "data.views=2", "trainer.max_epochs=1"],
    ],
}


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
