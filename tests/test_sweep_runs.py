"""A run is begun, gone on with or left as it is, by what lies in its folder and beside it."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from filelock import FileLock
from omegaconf import DictConfig, OmegaConf

from casting_inspect import train
from casting_inspect.config import resolved
from casting_inspect.files import replace_json, replace_text


class Experiment:
    """Stands in for `run_experiment`: writes what a run writes, and stops where it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, bool]] = []
        self.dies_at: int | None = None
        self.fails_at: int | None = None
        self.allowed: list[str] = []

    def __call__(self, config: DictConfig, folder: Path, command: list[str], resume: bool) -> None:
        self.calls.append((config.seed, resume))
        self.allowed = list(config.allow_targets)
        path = folder / "run.json"
        record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        record |= {"command": command, "status": "running"}
        replace_json(path, record)
        replace_text(folder / "config.yaml", OmegaConf.to_yaml(resolved(config)))
        if self.fails_at == config.seed:
            replace_json(path, record | {"status": "failed"})
            raise ZeroDivisionError("a slip")
        replace_text(folder / "checkpoints" / "last.ckpt", "an epoch")
        if self.dies_at == config.seed:
            raise KeyboardInterrupt
        rows = "path,label,split,p_normal\n1,normal,val,0.5\n2,defective,val,0.5\n3,normal,test,0\n"
        replace_text(folder / "predictions.csv", rows)
        replace_json(folder / "metrics.json", {"test": {"accuracy": 0.5}})
        replace_json(path, record | {"status": "finished"})


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Experiment:
    module: Any = ModuleType("casting_inspect.training.experiment")
    module.run_experiment = Experiment()
    monkeypatch.setitem(sys.modules, "casting_inspect.training.experiment", module)
    monkeypatch.chdir(tmp_path)
    found: Experiment = module.run_experiment
    return found


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    for label in ("normal", "defective"):
        (tmp_path / "set" / label).mkdir(parents=True)
        (tmp_path / "set" / label / "1.png").write_bytes(label.encode())
    table = "path,label\nnormal/1.png,normal\ndefective/1.png,defective\n"
    (tmp_path / "set" / "manifest.csv").write_text(table, encoding="utf-8")
    return ["model=cnn", "data.root=set", "hydra.sweep.dir=sweep"]


@pytest.fixture
def sweep(words: list[str]) -> list[str]:
    return ["-m", *words]


def statuses(folder: Path) -> list[str]:
    with (folder / "sweep" / "runs.csv").open(encoding="utf-8", newline="") as stream:
        return [row["status"] for row in csv.DictReader(stream)]


def run_of(folder: Path, seed: int) -> Path:
    (found,) = (folder / "sweep").glob(f"cnn_fold0_seed{seed}_*")
    return found


def test_a_finished_run_is_not_repeated(
    experiment: Experiment, sweep: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*sweep, "seed=1,2"]) == 0
    assert train.main([*sweep, "seed=3,2,1", "logger=none", "cache.max_gb=3"]) == 0
    assert experiment.calls == [(1, False), (2, False), (3, False)]
    assert statuses(tmp_path) == ["finished", "finished before", "finished before"]
    assert capsys.readouterr().out.count("0.5000") == 2 + 3


def test_what_makes_a_run_the_same_is_in_its_record(
    experiment: Experiment, sweep: list[str], tmp_path: Path
) -> None:
    assert train.main([*sweep, "seed=1"]) == 0
    record = json.loads((run_of(tmp_path, 1) / "run.json").read_text())
    assert set(record["identity"]) == {"digest", "settings", "data", "weights"}


def test_the_same_run_under_another_name_is_found(
    experiment: Experiment, sweep: list[str], tmp_path: Path
) -> None:
    assert train.main([*sweep, "seed=1,2"]) == 0
    (tmp_path / "set").rename(tmp_path / "moved")
    for seed in (1, 2):
        run_of(tmp_path, seed).rename(tmp_path / "sweep" / f"kept {seed}")
    moved = [word.replace("=set", "=moved") for word in sweep]
    assert train.main([*moved, "seed=1,2"]) == 0
    assert experiment.calls == [(1, False), (2, False)]
    assert statuses(tmp_path) == ["finished before"] * 2


def test_other_pictures_in_place_of_the_same_name_are_refused(
    experiment: Experiment, sweep: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*sweep, "seed=1"]) == 0
    picture = tmp_path / "set" / "normal" / "1.png"
    before = picture.read_bytes()
    picture.write_bytes(b"another")
    assert train.main([*sweep, "seed=1", "resume=auto"]) == 1
    assert "holds another run (of other pictures" in " ".join(capsys.readouterr().out.split())
    picture.write_bytes(before)
    assert train.main([*sweep, "seed=1"]) == 0
    assert statuses(tmp_path) == ["finished before"]
    assert len(experiment.calls) == 1


def test_two_runs_never_share_a_folder(
    experiment: Experiment, sweep: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*sweep, "seed=1,2", "hydra.sweep.subdir=here"]) == 1
    assert "holds another run (seed=1, now 2)" in " ".join(capsys.readouterr().out.split())
    assert experiment.calls == [(1, False)]


def test_an_interrupted_run_goes_on_when_asked(
    experiment: Experiment, sweep: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment.dies_at = 2
    assert train.main([*sweep, "seed=1,2,3"]) == 130
    assert statuses(tmp_path) == ["finished", "stopped"]
    experiment.dies_at = None
    assert train.main([*sweep, "seed=1,2"]) == 1
    assert "add resume=auto to go on with it" in " ".join(capsys.readouterr().out.split())
    assert train.main([*sweep, "seed=1,2,3", "resume=auto"]) == 0
    assert experiment.calls == [(1, False), (2, False), (2, True), (3, False)]
    assert statuses(tmp_path) == ["finished before", "finished", "finished"]
    assert train.main([*sweep, "seed=2"]) == 0
    assert statuses(tmp_path) == ["finished before"]


def test_a_run_that_failed_at_once_begins_anew(
    experiment: Experiment, sweep: list[str], tmp_path: Path
) -> None:
    experiment.fails_at = 1
    assert train.main([*sweep, "seed=1"]) == 1
    experiment.fails_at = None
    (tmp_path / "set" / "normal" / "1.png").write_bytes(b"mended")
    assert train.main([*sweep, "seed=1"]) == 0
    assert experiment.calls == [(1, False), (1, False)]
    assert train.main([*sweep, "seed=1"]) == 0
    assert statuses(tmp_path) == ["finished before"]  # known by what it ended with


def test_a_run_of_another_process_is_left_alone(
    experiment: Experiment, sweep: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment.dies_at = 1
    assert train.main([*sweep, "seed=1"]) == 130
    record = (run_of(tmp_path, 1) / "run.json").read_bytes()
    with FileLock(run_of(tmp_path, 1) / ".lock"):
        assert train.main([*sweep, "seed=1", "resume=auto"]) == 1
    assert "another process is running in" in " ".join(capsys.readouterr().out.split())
    assert (run_of(tmp_path, 1) / "run.json").read_bytes() == record


def test_a_single_run_begins_goes_on_and_is_left_as_it_is(
    experiment: Experiment, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [*words[:2], "seed=5", "hydra.run.dir=run", "resume=auto"]
    experiment.dies_at = 5
    assert train.main(own) == 130
    experiment.dies_at = None
    assert train.main(own) == 0
    assert "casting_inspect.models.cnn.SmallCnn" in experiment.allowed
    capsys.readouterr()
    assert train.main(own) == 0
    assert "finished before, nothing to do" in capsys.readouterr().out
    assert experiment.calls == [(5, False), (5, True)]
    assert train.main([*own, "model.dropout=0.1"]) == 2
    err = capsys.readouterr().err
    assert "holds another run (model.dropout=" in err
    assert err.count("\n") == 1


def test_a_run_begun_without_resume_can_be_gone_on_with(
    experiment: Experiment, words: list[str]
) -> None:
    own = [*words[:2], "seed=5", "hydra.run.dir=run"]
    experiment.dies_at = 5
    assert train.main(own) == 130
    experiment.dies_at = None
    assert train.main([*own, "resume=auto"]) == 0
    assert experiment.calls == [(5, False), (5, True)]


def test_a_run_of_unknown_origin_is_not_taken_for_this_one(
    experiment: Experiment, sweep: list[str], tmp_path: Path
) -> None:
    assert train.main([*sweep, "seed=1"]) == 0
    path = run_of(tmp_path, 1) / "run.json"
    for values in ({"status": "finished"}, {"status": "finished", "identity": None}):
        replace_json(path, values)
        assert train.main([*sweep, "seed=1"]) == 1
    assert len(experiment.calls) == 1


def test_an_objective_is_of_validation_rows_and_read_again_later(
    experiment: Experiment, sweep: list[str], tmp_path: Path
) -> None:
    for status in ("finished", "finished before"):
        assert train.main([*sweep, "seed=1", "objective=group_log_loss"]) == 0
        with (tmp_path / "sweep" / "runs.csv").open(encoding="utf-8", newline="") as stream:
            (row,) = csv.DictReader(stream)
        assert row["status"] == status
        assert float(row["objective"]) == pytest.approx(0.693147, abs=1e-6)
        assert row["accuracy"] == ""
