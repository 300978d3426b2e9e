from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from casting_inspect.errors import UserError
from casting_inspect.training import demo

METRICS = {
    "test": {
        "n_groups": 12,
        "balanced_accuracy_by_group": {"value": 0.93, "low": 0.8, "high": 0.98},
    }
}


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands instead of training, and leave the files that they would."""
    ran: list[list[str]] = []

    def run(words: list[str], check: bool) -> SimpleNamespace:
        assert not check
        ran.append(words[3:])
        folder = Path(words[-1].partition("=")[2])
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
        (folder / "metrics.json").write_text(json.dumps(METRICS))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def no_download(**_: bool) -> Path:
    raise UserError("model.weights=imagenet: not cached")


def test_without_weights_it_says_so_in_capitals_and_the_cnn_gives_the_verdict(
    tmp_path: Path,
    commands: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(demo, "imagenet_file", no_download)
    run = demo.run_demo(tmp_path / "demo", "imagenet")
    out = capsys.readouterr().out
    assert run == tmp_path / "demo" / "cnn"
    assert "NO PRETRAINED VGG-19 WEIGHTS" in out
    assert "NOR PROMISED" in out
    assert [words[1] for words in commands] == ["model=cnn", "model=vgg19"]
    assert "trainer.evaluate=false" in commands[1]
    assert "0.930" in out
    last = out.strip().splitlines()[-1]
    assert str(run) in last
    assert "tensorboard" in last


def test_with_weights_vgg19_gives_the_verdict(
    tmp_path: Path, commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "some weights.pth"
    weights.touch()
    run = demo.run_demo(tmp_path / "demo", str(weights))
    assert run.name == "vgg19"
    assert len(commands) == 1
    assert {"model=vgg19", f"model.weights={weights}"} <= set(commands[0])
    assert "NO PRETRAINED" not in capsys.readouterr().out


def test_run_again_it_keeps_the_earlier_run(tmp_path: Path, commands: list[list[str]]) -> None:
    weights = tmp_path / "w.pth"
    weights.touch()
    first = demo.run_demo(tmp_path, str(weights))
    second = demo.run_demo(tmp_path, str(weights))
    assert first != second
    assert len(commands) == 2


def test_a_weights_file_that_is_not_there_is_no_reason_for_a_fallback(
    tmp_path: Path, commands: list[list[str]]
) -> None:
    with pytest.raises(UserError, match="no such file"):
        demo.run_demo(tmp_path, str(tmp_path / "missing.pth"))
    assert commands == []


def test_a_step_that_fails_stops_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "w.pth"
    weights.touch()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=2))
    with pytest.raises(UserError, match=r"train\.log"):
        demo.run_demo(tmp_path, str(weights))
    # an error of ours keeps its code
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1))
    with pytest.raises(SystemExit, match="1"):
        demo.run_demo(tmp_path, str(weights))
