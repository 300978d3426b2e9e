"""A search goes on from its file: over the same data, with what was cut off first, to its total."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from omegaconf import DictConfig

from casting_inspect.config import run_command, run_folder
from casting_inspect.files import replace_text
from casting_inspect.multirun import Outcome

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper") is None,
    reason="Optuna's sweeper (extra sweep) is not installed",
)


@pytest.fixture(autouse=True)
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Give a search without training; Optuna 2.10 and SQLAlchemy 1.4 warn of their own age."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLALCHEMY_SILENCE_UBER_WARNING", "1")
    for label in ("normal", "defective"):
        (tmp_path / "set" / label).mkdir(parents=True)
        (tmp_path / "set" / label / "1.png").write_bytes(label.encode())
    rows = "path,label\nnormal/1.png,normal\ndefective/1.png,defective\n"
    (tmp_path / "set" / "manifest.csv").write_text(rows, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield ["experiment=search_vgg19", "data.root=set", "model.weights=none"]


class Job:
    """Returns a made-up objective, best at a learning rate of 0.002; fails where it is told to."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.fails: tuple[int, ...] = ()
        self.dies_at: int | None = None

    def __call__(self, config: DictConfig) -> Outcome:
        self.rates.append(config.finetune.head_lr)
        replace_text(run_folder() / "rate", str(config.finetune.head_lr))
        if len(self.rates) == self.dies_at:
            raise KeyboardInterrupt
        if len(self.rates) in self.fails:
            raise ZeroDivisionError("diverged")
        return Outcome(objective=abs(config.finetune.head_lr - 0.002))


def trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "search.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


SEARCH = Path("searches") / "vgg19_fold0"


def test_trials_are_counted_in_all(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    job = Job()
    assert run_command("train", job, [*words, "hydra.sweeper.n_trials=2"]) == 0
    assert run_command("train", job, [*words, "hydra.sweeper.n_trials=5"]) == 0
    assert "2 trials done before, 3 to go" in capsys.readouterr().out
    assert len(job.rates) == len(set(job.rates)) == 5  # another seed: nothing is drawn twice
    found = trials(SEARCH)
    assert [float(row["finetune.head_lr"]) for row in found] == job.rates
    best = min(float(row["objective"]) for row in found)
    assert run_command("train", job, [*words, "hydra.sweeper.n_trials=5"]) == 0
    assert len(job.rates) == 5
    results = (SEARCH / "optimization_results.yaml").read_text(encoding="utf-8")
    assert f"best_value: {best}" in results


def test_a_trial_that_fails_ends_no_search(words: list[str]) -> None:
    job = Job()
    job.fails = (1, 2)
    assert run_command("train", job, [*words, "hydra.sweeper.n_trials=4"]) == 1
    assert [row["state"] for row in trials(SEARCH)] == ["fail"] * 2 + ["complete"] * 2
    job.fails = ()
    assert run_command("train", job, [*words, "hydra.sweeper.n_trials=4"]) == 0
    assert len(job.rates) == 6  # a total of trials that give an objective


def test_where_no_trial_ends_it_is_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job()
    job.fails = (1, 2)
    assert run_command("train", job, [*words, "hydra.sweeper.n_trials=2"]) == 2
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith("casting-inspect train: no trial came to its end")
    assert "Traceback" not in err


def test_a_trial_that_was_cut_off_is_done_first(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job()
    job.dies_at = 2
    assert run_command("train", job, [*words, "hydra.sweeper.n_trials=3"]) == 130
    assert [row["state"] for row in trials(SEARCH)] == ["complete", "running"]
    job.dies_at = None
    assert run_command("train", job, [*words, "hydra.sweeper.n_trials=3"]) == 0
    assert "1 trials done before, 1 cut off and first in line, 2 to go" in capsys.readouterr().out
    assert job.rates[2] == job.rates[1]
    states = [row["state"] for row in trials(SEARCH)]
    assert states == ["complete", "fail", "complete", "complete"]
    assert len(list(SEARCH.glob("*/rate"))) == 3  # in the folder of the one that was cut off


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("seed=1", "settings (seed)"),
        ("data.partition=3", "settings (data.partition)"),
        ("data.root=other", "data"),
        ("model.dropout=interval(0.0, 0.6)", "ranges (model.dropout)"),
    ],
)
def test_two_searches_are_never_mixed(
    words: list[str], word: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job()
    where = f"hydra.sweep.dir={SEARCH}"
    assert run_command("train", job, [*words, where, "hydra.sweeper.n_trials=1"]) == 0
    other = Path("other")
    other.mkdir()
    (other / "a.png").write_bytes(b"a")
    (other / "manifest.csv").write_text("path,label\na.png,normal\n", encoding="utf-8")
    assert run_command("train", job, [*words, where, word, "hydra.sweeper.n_trials=2"]) == 2
    assert f"holds a search over other {what}: choose another" in capsys.readouterr().err
    assert len(job.rates) == 1


def test_each_outer_fold_has_a_search_of_its_own(words: list[str]) -> None:
    job = Job()
    assert run_command("train", job, [*words, "data.fold=2", "hydra.sweeper.n_trials=1"]) == 0
    assert (Path("searches") / "vgg19_fold2" / "search.db").exists()


def test_a_search_needs_something_to_minimise(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("train", Job(), [*words, "objective=null"]) == 2
    assert "add objective=group_log_loss" in capsys.readouterr().err


def test_two_at_once_in_one_folder_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    SEARCH.mkdir(parents=True)
    with FileLock(SEARCH / ".search.lock"):
        assert run_command("train", Job(), words) == 2
    assert "another process is searching in" in capsys.readouterr().err


def test_the_search_never_scores_the_test_part(words: list[str]) -> None:
    seen: list[tuple[str, str]] = []

    def job(config: Any) -> Outcome:
        seen.append((config.trainer.evaluate, config.objective))
        return Outcome(objective=1.0)

    assert run_command("train", job, [*words, "hydra.sweeper.n_trials=1"]) == 0
    assert seen == [("validation", "group_log_loss")]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_search_goes_on_from_its_file(castings: Path, tmp_path: Path) -> None:
    """Real trainings on cached features; the second command ends with the total of trials."""
    small = ["model.image_size=64", "data.inner_folds=2", "logger=none", "trainer=cpu"]
    words = [f"data.root={castings}", "model.weights=none", *small, "hydra.sweeper.n_trials=3"]
    epochs = "trainer.max_epochs=choice(40, 60)"
    command = [sys.executable, "-m", "casting_inspect", "train", "experiment=search_vgg19"]
    command += [*words, epochs, "trainer.evaluate=validation"]
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    search = tmp_path / SEARCH
    try:
        deadline = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < deadline:
            begun = [path.parent for path in search.glob("*/run.json")]
            ended = [path for path in begun if (path / "predictions.csv").exists()]
            cut = [path for path in begun if path not in ended]
            if ended and any(any(path.rglob("last.ckpt")) for path in cut):
                break
            time.sleep(0.02)
        assert process.poll() is None, "the search ended before it could be killed"
    finally:
        process.kill()
        process.wait()
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 cut off and first in line" in done.stdout
    records = [json.loads(path.read_text()) for path in search.glob("*/run.json")]
    assert [record["status"] for record in records] == ["finished"] * 3
    assert sum("resumed" in record for record in records) == 1
    complete = [row for row in trials(search) if row["state"] == "complete"]
    assert len(complete) == 3
    for path in search.glob("*/predictions.csv"):
        with path.open(encoding="utf-8", newline="") as stream:
            assert {row["split"] for row in csv.DictReader(stream)} == {"val"}
