"""Runs on pictures: the way that pixels take changes no figure, and the run says which it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from casting_inspect import train

WORDS = [
    "model=cnn",
    "model.image_size=64",
    "trainer=cpu",
    "trainer.precision=32-true",
    "trainer.max_epochs=2",
    "data.batch_size=8",
    "logger=none",
]
FILES = ("predictions.csv", "metrics.json", "history.csv")


def record_of(run: Path) -> dict[str, object]:
    record: dict[str, object] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return record


def test_with_and_without_a_cache_the_figures_are_the_same_bits(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"")
    places = {"first": "cache", "second": "cache", "without": "file/cache"}
    for name, cache in places.items():
        given = [f"data.root={castings}", "data.fold=all", "data.folds=2", "data.inner_folds=1"]
        run = f"hydra.run.dir={tmp_path / name}"
        assert train.main([*WORDS, *given, f"cache.dir={tmp_path / cache}", run]) == 0
        said = capsys.readouterr().err
        assert said.count("pixels: cannot be kept") == (1 if name == "without" else 0)
    for name in ("second", "without"):
        for file in FILES[:2]:
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "first" / file).read_bytes()
        for fold in (0, 1):
            whole, other = (tmp_path / run / f"fold_{fold}" for run in ("first", name))
            for file in FILES:
                assert (other / file).read_bytes() == (whole / file).read_bytes()
    records = [record_of(tmp_path / name / "fold_0") for name in places]
    paths = [record["paths_taken"]["pixels"] for record in records]  # type: ignore[index]
    assert paths == ["decoded once, mapped"] * 2 + ["decoded in each epoch"]
    decoded = [record["pixels"]["decoded"] for record in records]  # type: ignore[index]
    assert decoded == [48, 0, 0]
