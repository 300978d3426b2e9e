"""The entry points hand their configuration to the function that does the work."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from casting_inspect import demo, evaluate, prepare, train


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def stand_in(monkeypatch: pytest.MonkeyPatch, module: str, function: str) -> list[tuple[Any, ...]]:
    """Replace a module by one whose function keeps its arguments."""
    calls: list[tuple[Any, ...]] = []
    fake: Any = ModuleType(module)
    setattr(fake, function, lambda *args, **kwargs: calls.append((*args, kwargs)))
    monkeypatch.setitem(sys.modules, module, fake)
    return calls


def test_prepare_makes_a_folder_and_says_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "größe, [1] #=&~ O'Brien"
    words = ["recipe=synthetic", f"out={out}", "synthetic.parts=2", "synthetic.photographs=1"]
    assert prepare.main([*words, "synthetic.size=64"]) == 0
    with (out / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 2
    assert "next: casting-inspect train" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name]


def test_prepare_hands_over_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, "casting_inspect.data.intake", "prepare")
    words = ["source=a, b", "out=o", "recipe=all", "on_bad=skip", "aliases={Gut: normal}"]
    words += ["data.normal=[gut,i.O.]", "data.group_from=path:^([^/]+)_", "data.lot_from=Charge"]
    words += ["data.manifest=a, b.csv"]
    assert prepare.main([*words, "data.window=[0,4095]", "synthetic.parts=7"]) == 1  # no result
    assert prepare.main(["out=o"]) == 1
    first, second = calls
    assert first[:3] == (Path("a, b"), Path("o"), "all")
    assert first[3] == {
        "on_bad": "skip",
        "aliases": {"Gut": "normal"},
        "normal": ["gut", "i.O."],
        "manifest": Path("a, b.csv"),
        "group_from": "path:^([^/]+)_",
        "lot_from": "Charge",
        "window": [0, 4095],
        "synthetic": {
            "parts": 7,
            "photographs": None,
            "size": None,
            "seed": None,
            "defective_share": None,
        },
    }
    assert second[0] is None
    assert second[3]["window"] is None


def test_evaluate_writes_what_the_table_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "p, 1.csv"
    rows = [
        f"{label}_{i}.png,{label},{0.1 * i:.1f}"
        for label in ("normal", "defective")
        for i in range(9)
    ]
    table.write_text("\n".join(["path,label,p_normal", *rows]), encoding="utf-8")
    assert evaluate.main([f"predictions={table}", "out=result"]) == 0
    metrics = json.loads((tmp_path / "result" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["test"]["n"] == 18
    out = capsys.readouterr().out
    assert "metrics, figures, report.html and acceptance.html: result" in out


def test_evaluate_of_a_missing_table_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["predictions=nowhere.csv", "out=result"]) == 2
    err = capsys.readouterr().err
    assert "nowhere.csv" in err
    assert err.count("\n") == 1


def test_demo_hands_over_folder_and_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, "casting_inspect.training.demo", "run_demo")
    assert demo.main(["weights=a b/vgg.pth"]) == 0
    assert calls == [(Path("runs/demo"), "a b/vgg.pth", {})]


def test_train_hands_over_configuration_folder_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = stand_in(monkeypatch, "casting_inspect.training.experiment", "run_experiment")
    monkeypatch.setattr(sys, "argv", ["casting-inspect", "model=cnn", "hydra.run.dir=r"])
    assert train.main() == 0
    ((config, folder, command, keywords),) = calls
    assert config.model.name == "cnn"
    assert folder == tmp_path / "r"
    assert command == ["casting-inspect", "train", "model=cnn", "hydra.run.dir=r"]
    assert keywords == {"resume": False}
