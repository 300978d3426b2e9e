from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from casting_inspect.errors import UserError
from casting_inspect.starting import steps


@pytest.fixture
def said() -> list[str]:
    return []


def instead(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let steps run some Python in the place of the command."""
    plain = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda _, **how: plain([sys.executable, "-c", code], **how)
    )


def run(said: list[str], log: Path, told=lambda line: line) -> None:
    steps.run_step(2, 3, "look", ["audit", "out=a b"], said.append, told, log)


def test_the_command_is_printed_and_of_its_lines_what_is_told(
    monkeypatch: pytest.MonkeyPatch, said: list[str], tmp_path: Path
) -> None:
    instead(monkeypatch, "import sys; print('Größe'); print('no'); print('err', file=sys.stderr)")
    log = tmp_path / "new" / "start.log"
    run(said, log, lambda line: line.upper() if line != "no" else None)
    assert said[1] == "Step 2 of 3: look"
    assert said[2].startswith("$ casting-inspect audit ")
    assert "a b" in said[2]
    assert sorted(said[3:]) == ["  ERR", "  GRÖSSE"]
    assert {"Größe", "no", "err", said[2]} == {*log.read_text(encoding="utf-8").splitlines()}


def test_a_step_that_fails_ends_with_its_code_and_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    instead(monkeypatch, "print('why'); print(); raise SystemExit(2)")
    with pytest.raises(SystemExit) as leaving:
        run(said, tmp_path / "l", lambda _: None)
    assert leaving.value.code == 2
    assert capsys.readouterr().err.startswith("why\n")


def test_a_refusal_may_be_said_in_other_words(
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    instead(monkeypatch, "print('out=x: taken'); raise SystemExit(2)")
    words = ["audit"], said.append, lambda _: None, tmp_path / "l"
    with pytest.raises(UserError, match="another folder"):
        steps.run_step(2, 3, "look", *words, lambda line: "another folder" if "x" in line else None)
    assert not capsys.readouterr().err
    with pytest.raises(SystemExit):
        steps.run_step(2, 3, "look", *words, lambda _: None)
    assert capsys.readouterr().err.startswith("out=x: taken\n")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_step_that_is_killed_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, said: list[str], tmp_path: Path
) -> None:
    instead(monkeypatch, "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(UserError, match=r"step 2 was ended by signal 9.*same command to go on"):
        run(said, tmp_path / "l")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device on this system")
def test_a_log_that_has_no_room_is_named(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    instead(monkeypatch, "print('x')")
    with pytest.raises(OSError, match="No space") as caught:
        run(said, Path("/dev/full"))
    assert caught.value.filename == "/dev/full"


def test_a_real_command_runs(
    tmp_path: Path, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", "recipe=nothing", f"out={tmp_path / 'o'}"]
    with pytest.raises(SystemExit):
        steps.run_step(1, 1, "look", words, said.append, lambda _: None, tmp_path / "l")
    assert "casting-inspect prepare: recipe=nothing: must be one of" in capsys.readouterr().err
