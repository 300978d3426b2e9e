"""A multirun runs all, whatever fails, and ends with a table of its runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from casting_inspect import multirun
from casting_inspect.config import Task, command_line, run_command, run_folder
from casting_inspect.errors import UserError
from casting_inspect.files import replace_json
from casting_inspect.multirun import RunTable, Sweep, distinct, runs_of

METRICS = {
    "test": {
        "accuracy": 0.975,
        "escape_rate": 0.0125,
        "overkill_rate": 0.05,
        "balanced_accuracy_by_group": {"value": 0.9321, "low": 0.8, "high": 1.0},
    }
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


def job(cfg: DictConfig) -> None:
    """Fail for lin2018 by a slip of ours, for seed 2 by the user's; else leave metrics."""
    if cfg.model.name == "lin2018":
        raise ZeroDivisionError("a slip [of] ours")
    if cfg.seed == 2:
        raise UserError("no pictures here")
    replace_json(run_folder() / "metrics.json", METRICS)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "runs.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_failing_run_hides_neither_the_others_nor_its_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-m", "model=cnn,lin2018", "seed=1,2", "hydra.sweep.dir=sweep"]
    assert run_command("train", job, words) == 1
    out, err = capsys.readouterr()
    assert err == ""
    folder = tmp_path / "sweep"
    names = sorted(path.name for path in folder.iterdir())
    assert [name[:-9] for name in names if (folder / name).is_dir()] == [
        "cnn_fold0_seed1",
        "cnn_fold0_seed2",
        "lin2018_fold0_seed1",
        "lin2018_fold0_seed2",
    ]
    assert names[4:] == ["multirun.yaml", "runs.csv"]  # and no note is left
    table = rows(folder)
    assert [row["status"] for row in table] == ["finished", "failed", "failed", "failed"]
    assert [row["overrides"] for row in table][:2] == ["model=cnn seed=1", "model=cnn seed=2"]
    assert table[0]["accuracy"] == "0.975"
    assert table[0]["balanced_accuracy_by_group"] == "0.9321"
    assert table[1]["error"] == "no pictures here"
    assert table[2]["accuracy"] == ""
    log = (folder / table[2]["folder"] / "train.log").read_text(encoding="utf-8")
    assert "Traceback" in log
    assert "ZeroDivisionError: a slip [of] ours" in log
    assert table[2]["error"] == "ZeroDivisionError: a slip [of] ours"
    for words_shown in ("0.9321", "0.0125", "seed=2", "run 2: ZeroDivisionError: a slip [of] ours"):
        assert words_shown in out


def test_all_well_is_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("train", job, ["model=cnn", "-m", "seed=1,3"]) == 0
    (folder,) = (tmp_path / "multirun").glob("*/*")
    assert [row["status"] for row in rows(folder)] == ["finished", "finished"]
    assert "overkill" in capsys.readouterr().out
    assert run_command("train", lambda _: None, ["model=cnn", "-m"]) == 0
    assert "overkill" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["model=cnn,cnx"], "model=cnx: must be one of"),
        (["seed=1,2", "data.fold=0,9"], "data.fold=9: must be below data.folds=5"),
        (["seed=range(1,3)", "trainer.max_epochs=3,ten"], "trainer.max_epochs=ten"),
        (["model=vgg19,cnn", "model.head=gap"], "unknown key 'model.head'"),
        (["model=vgg19,cnn", "model.head=gap,paper"], "unknown key 'model.head'"),
        (["finetune.head_lr=choice(1e-3,0)"], "finetune.head_lr=0.0: must be above 0."),
        (["seed=range(3,1)"], "seed=range(3,1): gives no value at all."),
        (["data=glob(f*)"], "data.root is needed"),
        (["hydra.job.name=a,b"], "Sweeping over Hydra's configuration is not supported"),
        (["experiment=paper,papr"], "Did you mean 'paper'?"),
        (["+seeds=1,2"], "Did you mean 'seed'?"),
    ],
)
def test_a_mistake_in_any_value_stops_before_the_first_run(
    words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("train", job, ["-m", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert line in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_may_be_a_multirun_of_its_own(tmp_path: Path) -> None:
    """Paths are taken as typed there, since there is no -m."""
    words = ["experiment=baselines", "data.root=a, b", "hydra.sweep.dir=my, sweep", "seed=3"]
    seen: list[tuple[str, str]] = []
    commands: list[list[str]] = []

    def look(cfg: DictConfig) -> None:
        seen.append((cfg.model.name, cfg.data.root))
        commands.append(command_line())

    assert run_command("train", look, words) == 0
    assert seen == [("lin2018", "a, b"), ("nguyen2021", "a, b"), ("cnn", "a, b")]
    assert [row["folder"][:-9] for row in rows(tmp_path / "my, sweep")][2] == "cnn_fold0_seed3"
    assert commands[0][:2] == ["casting-inspect", "train"]
    assert "model=lin2018" in commands[0]


def test_sweep_values_of_an_experiment_are_checked_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n"
        "      seed: 1,2\n      model: cnn,cnx\n",
        encoding="utf-8",
    )
    words = ["--config-dir", "own", "experiment=mine"]
    assert run_command("train", job, words) == 2
    assert "model=cnx: must be one of" in capsys.readouterr().err
    assert run_command("train", job, [*words, "model=cnn", "seed=1"]) == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_stopped_by_hand_the_table_comes_all_the_same(
    error: BaseException, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(cfg: DictConfig) -> None:
        job(cfg)
        if cfg.seed == 3:
            raise error

    words = ["-m", "model=cnn", "seed=1,3,4", "hydra.sweep.dir=sweep"]
    assert run_command("train", stop, words) == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert [row["status"] for row in rows(tmp_path / "sweep")] == ["finished", "stopped"]
    assert "stopped by hand" in capsys.readouterr().out


def note(folder: Path, number: int, **values: object) -> None:
    start = {"number": number, "folder": str(folder), "status": "finished", "objective": None}
    replace_json(folder / f"{number}.json", {**start, "error": "", "overrides": []} | values)


def test_runs_of_another_sweep_in_the_folder_are_left_out(tmp_path: Path) -> None:
    sweep, other = Sweep(tmp_path, "now"), Sweep(tmp_path, "before")
    note(other.notes, 0)
    note(sweep.notes, 10)
    note(sweep.notes, 9)
    found = runs_of(sweep)
    assert [run["number"] for run in found] == [9, 10]
    assert found[0]["accuracy"] is None


def test_a_run_of_a_search_shows_no_figure_of_the_test_part(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, "now")
    replace_json(sweep.notes / "metrics.json", METRICS)
    note(sweep.notes, 0)
    note(sweep.notes, 1, objective=0.25)
    note(sweep.notes, 2, status="failed")
    (sweep.notes / "metrics.json").rename(tmp_path / "metrics.json")
    for path in sweep.notes.glob("*.json"):
        replace_json(path, json.loads(path.read_text()) | {"folder": str(tmp_path)})
    found = [(run["accuracy"], run["objective"]) for run in runs_of(sweep)]
    assert found == [(0.975, None), (None, 0.25), (None, None)]


def test_the_table_is_read_from_notes_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with a launcher whose runs are other processes, or other machines."""
    table, name = RunTable(), multirun.new_name()
    table.on_multirun_start(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    note(Sweep(tmp_path, name).notes, 0, status="running", overrides=["seed=1"])
    table.on_multirun_end(OmegaConf.create())
    assert "running" in capsys.readouterr().out
    multirun.stopped()
    multirun.report()
    assert "stopped by hand" in capsys.readouterr().out
    assert not multirun.all_done()
    assert not (tmp_path / multirun.NOTES).exists()
    assert multirun.new_name() != name
    assert multirun.all_done()
    multirun.report()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], []),
        ([["a=1", "b=2"]], [["a=1", "b=2"]]),
        ([["a=1", "c=3"], ["a=2", "c=3"]], [["a=1"], ["a=2"]]),
        ([["c=3"], ["c=3"]], [["c=3"], ["c=3"]]),
    ],
)
def test_only_what_differs_is_shown(overrides: list[list[str]], expected: list[list[str]]) -> None:
    assert distinct(overrides) == expected


def test_a_job_says_where_its_run_is_and_what_a_search_minimises(tmp_path: Path) -> None:
    def found(cfg: DictConfig) -> multirun.Outcome:
        return multirun.Outcome("finished before", tmp_path / "there", 0.5)

    assert run_command("train", found, ["-m", "model=cnn", "hydra.sweep.dir=sweep"]) == 0
    (row,) = rows(tmp_path / "sweep")
    assert (row["status"], row["folder"], row["objective"]) == ("finished before", "there", "0.5")


def test_a_folder_is_named_by_what_runs_in_it(tmp_path: Path) -> None:
    """So that further values of a sweep do not move the runs that are there."""
    first = ["-m", "model=cnn", "seed=1,3", "hydra.sweep.dir=sweep"]
    more = ["-m", "model=cnn", "seed=4,3,1", "hydra.sweep.dir=sweep", "logger=none", "jobs=1"]
    assert run_command("train", job, first) == 0
    before = {row["overrides"].split()[1]: row["folder"] for row in rows(tmp_path / "sweep")}
    assert run_command("train", job, more) == 0
    after = {row["overrides"].split()[1]: row["folder"] for row in rows(tmp_path / "sweep")}
    assert len(set(after.values())) == 3
    assert before.items() <= after.items()


def test_another_command_can_run_several_times_too(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(cfg: DictConfig) -> None:
        seen.append(cfg.out)
        if cfg.predictions == "b.csv":
            raise ZeroDivisionError

    words = ["-m", "predictions=a.csv,b.csv", "out='${predictions}.result'"]
    assert run_command("evaluate", look, words) == 1
    assert seen == ["a.csv.result", "b.csv.result"]
    (log,) = tmp_path.glob("multirun/*/*/1/evaluate.log")
    assert "ZeroDivisionError" in log.read_text(encoding="utf-8")


def test_launchers_can_send_a_run_to_another_process() -> None:
    """joblib's and submitit's launchers pickle what Hydra calls with cloudpickle."""
    cloudpickle = pytest.importorskip("cloudpickle")
    sent = cloudpickle.dumps(Task(job, ["seed=1"], ["program"]))
    received = cloudpickle.loads(sent)
    assert (received.typed, received.job.__name__, received.failure) == (["seed=1"], "job", None)
