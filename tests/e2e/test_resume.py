"""A run that is killed and resumed ends where the uninterrupted one ends, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from casting_inspect import train
from casting_inspect.training.checkpoints import load

UNCACHED = ["model=cnn", "model.image_size=64", "augment=strong", "data.workers=0"]
CACHED = [
    "model=vgg19",
    "model.weights=none",
    "model.image_size=64",
    "finetune=frozen",
    "augment=none",
]
GRADUAL = [
    "model=vgg19",
    "model.weights=none",
    "model.image_size=64",
    "finetune=gradual",
    "finetune.open_every=1",
    "data.limit=8",
]


NESTED = ["data.inner_folds=3", "decide=youden"]


def words(kind: list[str], root: Path, epochs: int) -> list[str]:
    if not any(word.startswith("data.inner_folds=") for word in kind):
        kind = [*kind, "data.inner_folds=1"]
    common = ["trainer=cpu", "trainer.precision=32-true", "logger=none", "data.batch_size=8"]
    return [*kind, *common, f"data.root={root}", f"trainer.max_epochs={epochs}"]


def kill_after(run: Path, arguments: list[str], epochs: int, fit: str = "") -> None:
    """Start a run and kill it with SIGKILL somewhere after the ``epochs``-th epoch of a fit."""
    process = subprocess.Popen(
        [sys.executable, "-m", "casting_inspect", "train", *arguments, f"hydra.run.dir={run}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    try:
        deadline = time.monotonic() + 240
        while process.poll() is None and time.monotonic() < deadline:
            history = run / fit / "history.csv"
            if history.exists() and len(history.read_text().splitlines()) > 2 * epochs:
                break
            time.sleep(0.02)
        assert process.poll() is None, "the run ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize(
    ("kind", "epochs"),
    [(UNCACHED, 6), (CACHED, 120), (GRADUAL, 5)],
    ids=["cnn", "cached", "gradual"],
)
def test_a_killed_run_resumes_to_the_same_bits(
    castings: Path, tmp_path: Path, kind: list[str], epochs: int
) -> None:
    arguments = words(kind, castings, epochs)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train.main([*arguments, f"hydra.run.dir={whole}"]) == 0
    kill_after(killed, arguments, epochs=2)
    assert not (killed / "predictions.csv").exists()
    assert train.main([f"resume={killed}"]) == 0
    assert (killed / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()
    assert (killed / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()
    pd.testing.assert_frame_equal(
        pd.read_csv(killed / "history.csv"), pd.read_csv(whole / "history.csv")
    )
    for name in ("best.ckpt", "last.ckpt"):
        states = [load(run / "checkpoints" / name)["state_dict"] for run in (whole, killed)]
        assert states[0].keys() == states[1].keys()
        for key, value in states[0].items():
            assert torch.equal(value, states[1][key]), (name, key)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
@pytest.mark.parametrize(
    ("kind", "epochs", "fit"),
    [
        ([*CACHED, *NESTED], 60, "inner/1"),
        ([*UNCACHED, *NESTED, "callbacks=none"], 4, "inner/1"),
        ([*CACHED, *NESTED, "data.folds=2", "data.fold=final"], 60, "fold_1/inner/2"),
    ],
    ids=["cached", "cnn", "final"],
)
def test_a_killed_nested_run_resumes_to_the_same_bits(
    castings: Path, tmp_path: Path, kind: list[str], epochs: int, fit: str
) -> None:
    arguments = words(kind, castings, epochs)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train.main([*arguments, f"hydra.run.dir={whole}"]) == 0
    kill_after(killed, arguments, epochs=2, fit=fit)
    before = {path: path.stat().st_mtime_ns for path in killed.rglob("fit.json")}
    assert before  # an inner fit was finished, and is not done again
    assert train.main([f"resume={killed}"]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    tables = {path.relative_to(whole) for path in whole.rglob("*.csv")}
    assert tables == {path.relative_to(killed) for path in killed.rglob("*.csv")}
    for name in (*tables, "metrics.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    states = [load(run / "checkpoints" / "best.ckpt")["state_dict"] for run in (whole, killed)]
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


CUT = """
import os, sys
from {module} import {name} as original
import {module} as module
from casting_inspect import train
calls = 0
def cut(*arguments, **options):
    global calls
    calls += 1
    if calls == {call}:
        os._exit(9)
    return original(*arguments, **options)
module.{name} = cut
sys.exit(train.main(sys.argv[1:]))
"""
TRAINING = "casting_inspect.training"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "module", "name", "call"),
    [
        # best.ckpt of an epoch is written and last.ckpt is not, or neither is
        pytest.param(UNCACHED, f"{TRAINING}.checkpoints", "save", 2, id="between checkpoints"),
        pytest.param(UNCACHED, f"{TRAINING}.checkpoints", "save", 3, id="before a checkpoint"),
        pytest.param(UNCACHED, f"{TRAINING}.network_fit", "scores_of", 1, id="before predicting"),
        pytest.param(UNCACHED, f"{TRAINING}.experiment", "write_evidence", 1, id="before evidence"),
        pytest.param(CACHED, f"{TRAINING}.network_fit", "complete", 1, id="before completing best"),
        pytest.param(CACHED, f"{TRAINING}.features", "make_room", 1, id="among features"),
        pytest.param(
            [*CACHED, *NESTED], f"{TRAINING}.nested", "replace_json", 2, id="after an inner fit"
        ),
        pytest.param([*CACHED, *NESTED], f"{TRAINING}.experiment", "refit", 1, id="before refit"),
    ],
)
def test_a_run_cut_off_at_a_bad_moment_resumes_to_the_same_bits(
    castings: Path, tmp_path: Path, kind: list[str], module: str, name: str, call: int
) -> None:
    stopping = ["callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=0.2"]
    cache = f"cache.dir={tmp_path / 'cache'}"
    arguments = [*words(kind, castings, 6), *stopping, cache]
    cut = tmp_path / "cut"
    code = CUT.format(module=module, name=name, call=call)
    command = [sys.executable, "-c", code, *arguments, f"hydra.run.dir={cut}"]
    assert subprocess.run(command, capture_output=True, timeout=500).returncode == 9
    assert train.main([f"resume={cut}"]) == 0
    whole = tmp_path / "whole"
    assert train.main([*arguments, f"hydra.run.dir={whole}"]) == 0
    for file in ("predictions.csv", "metrics.json", "history.csv"):
        assert (cut / file).read_bytes() == (whole / file).read_bytes(), file
    assert not list(cut.rglob(".*.part*"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
def test_sigterm_is_no_success(castings: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = [*words(UNCACHED, castings, 500), "callbacks=none", f"hydra.run.dir={run}"]
    command = [sys.executable, "-m", "casting_inspect", "train", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 240
    while not (run / "history.csv").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, told = process.communicate(timeout=120)
    assert process.returncode == 143
    assert b"resume=" in told.splitlines()[-1]
    assert '"status": "stopped"' in (run / "run.json").read_text(encoding="utf-8")


def test_a_run_stopped_before_its_first_epoch_starts_again(castings: Path, tmp_path: Path) -> None:
    arguments = words(["model=cnn", "model.image_size=64"], castings, 1)
    whole = tmp_path / "whole"
    assert train.main([*arguments, f"hydra.run.dir={whole}"]) == 0
    cut = tmp_path / "cut"
    cut.mkdir()
    for name in ("config.yaml", "manifest.csv"):
        (cut / name).write_bytes((whole / name).read_bytes())
    (cut / "run.json").write_text('{"status": "running"}')
    assert train.main([f"resume={cut}"]) == 0
    assert (cut / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()


def test_other_pictures_than_before_are_refused(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = words(["model=cnn", "model.image_size=64"], castings, 1)
    run = tmp_path / "run"
    run.mkdir()
    assert train.main([*arguments, f"hydra.run.dir={run}"]) == 0
    record = run / "run.json"
    record.write_text(record.read_text().replace('"finished",', '"running",', 1))
    manifest = run / "manifest.csv"
    changed = pd.read_csv(manifest, dtype=str)
    changed.loc[0, "group"] = "another casting"
    changed.to_csv(manifest, index=False)
    assert train.main([f"resume={run}"]) == 2
    assert "are not those" in capsys.readouterr().err
    assert "another casting" in manifest.read_text()  # nothing was overwritten
