"""A run done again gives the same bits; what has changed meanwhile is said in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from casting_inspect import reproduce, train
from casting_inspect.models.vgg19 import Vgg19

FLOOR = ["model=floor_histogram", "data.inner_folds=2", "logger=none", "report.heatmaps=none"]
NETWORK = [
    *("model.image_size=64", "trainer=cpu", "trainer.precision=32-true", "trainer.max_epochs=2"),
    *("data.inner_folds=2", "logger=none", "report.heatmaps=none"),
]


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def trained(folder: Path, root: Path, *words: str) -> Path:
    assert train.main([*words, f"data.root={root}", f"hydra.run.dir={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def floor(castings: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a floor's run over all folds, and pictures of its own."""
    base = tmp_path_factory.mktemp("floor")
    root = shutil.copytree(castings, base / "castings")
    run = trained(base / "run", root, *FLOOR, "data.fold=all", "data.folds=2")
    return run, root


@pytest.mark.parametrize("part", ["", "fold_1"])
def test_a_floor_over_all_folds_and_one_of_them(
    part: str, floor: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "again"
    assert reproduce.main([f"run={floor[0] / part}", f"out={out}"]) == 0
    assert "REPRODUCED bit for bit" in capsys.readouterr().out
    assert read(out / "reproduction.json")["predictions"]["identical"] is True
    before, after = (one / "predictions.csv" for one in (floor[0] / part, out))
    assert before.read_bytes() == after.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again"]  # its caches are gone


@pytest.mark.slow
@pytest.mark.parametrize("finetune", ["frozen", "probe"])
def test_a_cached_head_with_features_computed_anew(
    finetune: str, castings: Path, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    weights = tmp_path / "w.pth"
    torch.save(Vgg19(weights="none").features.state_dict(), weights)
    words = ["model=vgg19", f"model.weights={weights}", f"finetune={finetune}", *NETWORK]
    run = trained(tmp_path / "run", castings, *words)
    assert read(run / "run.json")["paths_taken"]["cached_features"] is True
    assert reproduce.main([f"run={run}", f"out={tmp_path / 'again'}"]) == 0
    assert read(tmp_path / "again" / "reproduction.json")["result"] == "bit for bit"
    there = weights.rename(tmp_path / "moved.pth")
    assert reproduce.main([f"run={run}", f"out={tmp_path / 'no'}"]) == 2
    torch.save({"0.weight": torch.zeros(64, 3, 3, 3)}, weights)
    assert reproduce.main([f"run={run}", f"out={tmp_path / 'no'}"]) == 2
    assert not (tmp_path / "no").exists()
    assert reproduce.main([f"run={run}", f"out={tmp_path / 'b'}", f"weights={there}"]) == 0


def test_a_network_that_sees_pictures(castings: Path, tmp_path: Path) -> None:
    words = ["model=cnn", "model.width=4", *NETWORK]
    run = trained(tmp_path / "run", castings, *words)
    assert reproduce.main([f"run={run}", f"out={tmp_path / 'again'}"]) == 0
    assert read(tmp_path / "again" / "reproduction.json")["result"] == "bit for bit"


def test_other_results_are_not_reproduced(
    floor: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(floor[0] / "fold_0", tmp_path / "run")
    table = pd.read_csv(run / "predictions.csv", dtype=str, keep_default_na=False)
    table.loc[0, "p_normal"], table.loc[0, "logit"] = "0.123", "-1.96357"
    table.to_csv(run / "predictions.csv", index=False)
    assert reproduce.main([f"run={run}", f"out={tmp_path / 'again'}"]) == 1
    assert "NOT REPRODUCED" in capsys.readouterr().out
    assert read(tmp_path / "again" / "reproduction.json")["reproduced"] is False


def test_pictures_that_changed_or_moved(
    floor: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, root = floor[0] / "fold_0", shutil.copytree(floor[1], tmp_path / "elsewhere")
    out = tmp_path / "again"
    assert reproduce.main([f"run={run}", f"out={out}", f"root={root}"]) == 0
    first = next(iter(sorted(root.rglob("*.png"))))
    first.write_bytes(first.read_bytes() + b"x")
    shutil.rmtree(out)
    capsys.readouterr()
    assert reproduce.main([f"run={run}", f"out={out}", f"root={root}"]) == 2
    err = capsys.readouterr().err
    assert "1 of the run's pictures changed" in err
    assert err.count("\n") == 1
    first.unlink()
    assert reproduce.main([f"run={run}", f"out={out}", f"root={root}"]) == 2
    assert "1 of the run's pictures missing" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("nothing", "no run.json there"),
        ("unfinished", "the run is stopped, not finished"),
        ("no predictions", "predictions.csv: not there"),
        ("no config", "run="),
        ("full", "is not empty"),
        ("older", "lacks augment.device: an older version wrote it"),
        ("target", "allow_targets"),
    ],
)
def test_bad_input_is_one_line(
    change: str,
    words: str,
    floor: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, out = shutil.copytree(floor[0] / "fold_0", tmp_path / "run"), tmp_path / "again"
    if change == "nothing":
        run = tmp_path
    elif change == "unfinished":
        (run / "run.json").write_text('{"status": "stopped"}', encoding="utf-8")
    elif change == "no predictions":
        (run / "predictions.csv").unlink()
    elif change == "no config":
        (run / "config.yaml").unlink()
    elif change == "full":
        out = run
    elif change == "older":
        lines = (run / "config.yaml").read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not line.startswith("  device: ")]
        (run / "config.yaml").write_text("\n".join(kept), encoding="utf-8")
    else:
        text = (run / "config.yaml").read_text(encoding="utf-8")
        lines = text.replace("casting_inspect.models.floors.", "os.path.")
        (run / "config.yaml").write_text(lines.replace("floor_histogram", "own"), encoding="utf-8")
    assert reproduce.main([f"run={run}", f"out={out}"]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "casting-inspect reproduce: " in err
    assert out == run or not out.exists()
