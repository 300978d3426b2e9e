"""Several runs at once: their launcher, their share of the cores, and an end for all."""

from __future__ import annotations

import csv
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from casting_inspect import sweep_jobs
from casting_inspect.config import run_command
from casting_inspect.errors import UserError

has_joblib = pytest.mark.skipif(
    importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None,
    reason="joblib's launcher (extra sweep) is not installed",
)
CHOICES = {"runtime": {"choices": {"hydra/launcher": "basic"}}}


@pytest.mark.parametrize(
    ("jobs", "launcher", "words"),
    [(1, "basic", []), (2, "basic", ["hydra/launcher=machine"]), (2, "slurm", [])],
)
@has_joblib
def test_more_than_one_at_once_needs_a_launcher(jobs: int, launcher: str, words: list[str]) -> None:
    choices = {"runtime": {"choices": {"hydra/launcher": launcher}}}
    assert sweep_jobs.launcher_words(OmegaConf.create({"jobs": jobs, "hydra": choices})) == words


def test_a_command_without_jobs_runs_one_at_a_time() -> None:
    assert sweep_jobs.launcher_words(OmegaConf.create({"hydra": CHOICES})) == []


def test_a_missing_launcher_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r'pip install "casting-inspect\[sweep\]"'):
        sweep_jobs.launcher_words(OmegaConf.create({"jobs": 2, "hydra": CHOICES}))


def test_cores_are_divided_and_the_environment_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in sweep_jobs.THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sweep_jobs, "cores_of_one", lambda jobs: 12 // jobs)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    with sweep_jobs.cores_shared(3):
        found = {name: os.environ[name] for name in sweep_jobs.THREADS}
    assert found == dict.fromkeys(sweep_jobs.THREADS, "4") | {"MKL_NUM_THREADS": "7"}
    assert [name for name in sweep_jobs.THREADS if name in os.environ] == ["MKL_NUM_THREADS"]
    with sweep_jobs.cores_shared(1):
        assert "OMP_NUM_THREADS" not in os.environ


def test_every_run_has_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(5)))
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert [sweep_jobs.cores_of_one(jobs) for jobs in (1, 2, 5, 9)] == [5, 2, 1, 1]


PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from casting_inspect import sweep_jobs
from casting_inspect.config import run_command, run_folder

def job(config):
    sweep_jobs.share_machine(config)
    threads = os.environ["OMP_NUM_THREADS"]
    words = [threads, str(config.data.workers), str(config.callbacks.progress_bar)]
    (run_folder() / "began").write_text(f"{os.getpid()} {time.time()} " + " ".join(words))
    time.sleep(SECONDS)
    (run_folder() / "ended").write_text(str(time.time()))

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    sys.exit(run_command("train", job, sys.argv[1:]))
"""
WORDS = ["-m", "model=cnn", "seed=1,2,3", "jobs=2", "hydra.sweep.dir=sweep", "data.workers=auto"]


def program(folder: Path, seconds: float) -> subprocess.Popen[bytes]:
    (folder / "program.py").write_text(PROGRAM.replace("SECONDS", str(seconds)))
    environment = {key: value for key, value in os.environ.items() if "THREADS" not in key}
    return subprocess.Popen(
        [sys.executable, "program.py", *WORDS],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@has_joblib
@pytest.mark.slow
def test_so_many_at_once_and_no_more(tmp_path: Path) -> None:
    process = program(tmp_path, 3)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    spans = []
    for path in tmp_path.glob("sweep/*/began"):
        _, began, threads, workers, bar = path.read_text().split()
        assert (int(threads), int(workers)) == (sweep_jobs.cores_of_one(2),) * 2
        assert bar == "False"
        spans.append((float(began), float(path.with_name("ended").read_text())))
    assert len(spans) == 3
    at_once = [sum(began <= moment < ended for began, ended in spans) for moment, _ in spans]
    assert max(at_once) == 2
    with (tmp_path / "sweep" / "runs.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["status"] for row in csv.DictReader(stream)] == ["finished"] * 3


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # a dead one that nobody has asked after is a zombie
    return not stat.exists() or stat.read_text().split()[2] != "Z"


@has_joblib
@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signals")
@pytest.mark.parametrize("way", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_the_end_of_the_sweep_ends_all(tmp_path: Path, way: str) -> None:
    process = program(tmp_path, 100)
    deadline = time.monotonic() + 60
    while len(began := list(tmp_path.glob("sweep/*/began"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    pids = [int(path.read_text().split()[0]) for path in began]
    assert len(pids) == 2
    process.send_signal(getattr(signal, way))  # Windows lacks some of them
    try:
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()  # its runs end with it
    while any(map(alive, pids)) and time.monotonic() < deadline + 60:
        time.sleep(0.05)
    assert not any(map(alive, pids))
    assert len(list(tmp_path.glob("sweep/*/began"))) == 2
    if way == "SIGINT":
        assert process.returncode == 130, out
        with (tmp_path / "sweep" / "runs.csv").open(encoding="utf-8", newline="") as stream:
            assert [row["status"] for row in csv.DictReader(stream)] == ["stopped"] * 2


def test_one_run_alone_is_not_held_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[tuple[object, bool]] = []

    def job(config: object) -> None:
        assert OmegaConf.is_config(config)
        sweep_jobs.share_machine(config)  # type: ignore[arg-type]
        seen.append((config.data.workers, config.callbacks.progress_bar))  # type: ignore[attr-defined]

    assert run_command("train", job, ["model=cnn", "jobs=2", "data.workers=auto"]) == 0
    assert run_command("train", job, ["-m", "model=cnn", "data.workers=auto"]) == 0
    assert seen == [("auto", True)] * 2
