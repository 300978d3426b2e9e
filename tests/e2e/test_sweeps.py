"""A sweep that is killed goes on where it was, and ends as one that was left alone."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

NETWORK = ["model=cnn", "model.image_size=64", "augment=none", "logger=none", "trainer=cpu"]
HOW = ["data.inner_folds=1", "data.batch_size=8", "trainer.max_epochs=12", "callbacks=none"]


def command(castings: Path, folder: Path, *words: str) -> list[str]:
    start = [sys.executable, "-m", "casting_inspect", "train", "-m", *NETWORK, *HOW]
    return [*start, f"data.root={castings}", f"hydra.sweep.dir={folder}", *words]


def statuses(folder: Path) -> dict[str, str]:
    with (folder / "runs.csv").open(encoding="utf-8", newline="") as stream:
        return {row["folder"]: row["status"] for row in csv.DictReader(stream)}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_sweep_goes_on(castings: Path, tmp_path: Path, jobs: int) -> None:
    if jobs > 1 and importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        pytest.skip("joblib's launcher (extra sweep) is not installed")
    environment = {**os.environ, "PYTHONWARNINGS": "default", "OMP_NUM_THREADS": "1"}
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    start = command(castings, killed, "seed=1,2,3", f"jobs={jobs}")
    process = subprocess.Popen(
        start, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < deadline:
            ended = [
                path.parent
                for path in killed.glob("*/run.json")
                if '"status": "finished"' in path.read_text(encoding="utf-8")
            ]
            begun = [path.parents[1] for path in killed.glob("*/checkpoints/last.ckpt")]
            # the newest run has just begun: one that began with the first may be about to end
            if ended and len(begun) > jobs and set(begun) - set(ended):
                break
            time.sleep(0.01)
        assert process.poll() is None, "the sweep ended before it could be killed"
    finally:
        process.kill()
        process.wait()
    time.sleep(3)  # runs of other processes end by themselves when nobody waits for them
    again = [*start, "resume=auto"]
    done = subprocess.run(again, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    found = statuses(killed)
    assert sorted(set(found.values())) == ["finished", "finished before"]
    records = [json.loads((killed / name / "run.json").read_text()) for name in found]
    assert [record["status"] for record in records] == ["finished"] * 3
    assert any("resumed" in record for record in records)
    undisturbed = command(castings, whole, "seed=1,2,3")
    alone = subprocess.run(undisturbed, env=environment, capture_output=True, timeout=500)
    assert alone.returncode == 0
    assert statuses(whole).keys() == found.keys()
    for name in found:
        for file in ("predictions.csv", "metrics.json"):
            assert (killed / name / file).read_bytes() == (whole / name / file).read_bytes()
