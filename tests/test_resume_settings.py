"""`train resume=RUN_DIR` goes on with the run's own configuration, and takes nothing else."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from casting_inspect import train
from casting_inspect.config import resolved
from casting_inspect.files import replace_json, replace_text
from casting_inspect.resume import is_asked_for


class Experiment:
    """Stands in for `run_experiment`: keeps its arguments, writes what a run writes first."""

    def __init__(self) -> None:
        self.calls: list[tuple[DictConfig, Path, list[str], bool]] = []
        self.error: Exception | None = None

    def __call__(self, config: DictConfig, folder: Path, command: list[str], resume: bool) -> None:
        self.calls.append((config, folder, command, resume))
        logging.getLogger("experiment").info("resumed" if resume else "begun")
        if not resume:
            replace_text(folder / "config.yaml", OmegaConf.to_yaml(resolved(config)))
            replace_json(folder / "run.json", {"command": command})
        if self.error is not None:
            raise self.error


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Experiment:
    module: Any = ModuleType("casting_inspect.training.experiment")
    module.run_experiment = Experiment()
    monkeypatch.setitem(sys.modules, "casting_inspect.training.experiment", module)
    monkeypatch.chdir(tmp_path)
    found: Experiment = module.run_experiment
    return found


OWN = ["model=cnn", "seed=7", "data.root=a, b"]


@pytest.fixture
def run(experiment: Experiment, tmp_path: Path) -> Path:
    folder = tmp_path / "the, run [1]"
    assert train.main([*OWN, f"hydra.run.dir={folder}"]) == 0
    return folder


def test_a_run_goes_on_as_it_began(experiment: Experiment, run: Path) -> None:
    assert train.main([f"resume={run}"]) == 0
    (begun, first, _, fresh), (resumed, second, command, resume) = experiment.calls
    assert (fresh, resume) == (False, True)
    assert first == second == run
    assert resolved(begun) == resolved(resumed)
    assert command == ["casting-inspect", "train", f"resume={run}"]
    log = (run / "train.log").read_text(encoding="utf-8")
    assert [line.rpartition(" ")[2] for line in log.splitlines()] == ["begun", "resumed"]


@pytest.mark.parametrize(
    "words",
    [OWN, ["seed=7"], ["model=cnn"], ["model.name=cnn"], ["finetune=auto"], ["data.fold=0"]],
)
def test_the_runs_own_words_may_be_repeated(
    experiment: Experiment, run: Path, words: list[str]
) -> None:
    assert train.main([*words, f"hydra.run.dir={run}", f"resume={run}"]) == 0
    assert experiment.calls[-1][3]


@pytest.mark.parametrize(
    "word", ["seed=8", "model=vgg19", "trainer.max_epochs=3", "hydra.run.dir=other", "+x=3"]
)
def test_anything_else_is_refused(
    experiment: Experiment, run: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([word, f"resume={run}"]) == 2
    err = capsys.readouterr().err
    assert f"with '{word}': a run goes on with its own configuration" in err
    assert err.count("\n") == 1
    assert len(experiment.calls) == 1


@pytest.mark.parametrize("flag", ["-m", "--multirun", "--run"])
def test_flags_are_refused(run: Path, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([flag, f"resume={run}"]) == 2
    assert f"resume and {flag} do not go together" in capsys.readouterr().err


def test_a_folder_without_a_run_is_one_line(
    experiment: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([f"resume={tmp_path}"]) == 2
    err = capsys.readouterr().err
    assert err == (
        f"casting-inspect train: resume={tmp_path}: no config.yaml there. "
        "Give the folder of a run.\n"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [", "not a configuration of train"),
        ("seed: ten", "not a configuration of train"),
        ("nonsense: 3", "not a configuration of train"),
        ("trainer: {max_epochs: 0}", "trainer.max_epochs=0: must be 1 or more."),
        ("- a", "not a configuration of train"),
    ],
)
def test_a_damaged_configuration_is_one_line(
    experiment: Experiment, run: Path, text: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_text(run / "config.yaml", text)
    assert train.main([f"resume={run}"]) == 2
    err = capsys.readouterr().err
    assert line in err
    assert "config.yaml" in err
    assert err.count("\n") == 1


def test_without_run_json_the_configuration_alone_decides(
    experiment: Experiment, run: Path
) -> None:
    (run / "run.json").unlink()
    assert train.main(["seed=7", f"resume={run}"]) == 0
    replace_json(run / "run.json", ["nothing"])
    assert train.main(["seed=8", f"resume={run}"]) == 2


def test_an_error_is_in_the_runs_log(
    experiment: Experiment, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment.error = ZeroDivisionError("a slip")
    before = logging.getLogger().handlers[:]
    assert train.main([f"resume={run}"]) == 1
    for text in ((run / "train.log").read_text(encoding="utf-8"), capsys.readouterr().err):
        assert "ZeroDivisionError: a slip" in text
    assert logging.getLogger().handlers == before


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["resume=x"], True),
        (["++resume=x", "seed=1"], True),
        (["resume=null"], False),
        (["resume=auto"], False),
        (["resume=./auto"], True),
        (["resume"], False),
        (["seed=1"], False),
        (["resume=x", "--help"], False),
        (["resume=x", "--cfg", "job"], False),
    ],
)
def test_when_a_run_is_to_go_on(words: list[str], asked: bool) -> None:
    assert is_asked_for(words) == asked
