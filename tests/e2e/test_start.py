"""`start`: from a folder to the answer, interrupted on the way, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from casting_inspect import start

PATIENCE = 600


@pytest.fixture(scope="module")
def stick(castings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a foundry's folder: kinds of defects, umlauts, castings in file names."""
    root = tmp_path_factory.mktemp("stick") / "Gußteile"
    table = pd.read_csv(castings / "manifest.csv", dtype=str).fillna("")
    for row in table.itertuples():
        folder = "Gut" if row.label == "normal" else f"Fehler {row.kind}"
        number = str(row.path).removesuffix(".png")[-1]
        name = root / folder / f"{str(row.part).replace('part_', 'T')}_{number}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(castings / str(row.path), name)
    return root


def words(stick: Path, weights: Path, out: Path) -> list[str]:
    cache = f"cache.dir={out.parent / 'cache'}"
    return [str(stick), "yes=true", f"out={out}", f"model.weights={weights}", cache,
            "model.image_size=64"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups on this system")
def test_from_a_stick_to_an_answer_interrupted_and_gone_on(
    stick: Path, weights: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "stick"
    shutil.copytree(stick, copy)
    out = tmp_path / "result"
    typed = words(copy, weights, out)
    with subprocess.Popen(
        [sys.executable, "-m", "casting_inspect", "start", *typed],
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # so that the step under way is killed with it
    ) as process:
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            if (out / "run" / "fold_1" / "run.json").exists():
                break
            time.sleep(0.05)
        assert process.poll() is None, capfd.readouterr()
        os.killpg(process.pid, signal.SIGKILL)
    first = capfd.readouterr().out
    good = len(list((stick / "Gut").iterdir()))
    assert f"folder 'Gut': {good} pictures good" in first
    assert "24 castings: " in first
    assert not (out / "run" / "predictions.csv").exists()
    agreed = json.loads((out / "start.json").read_text(encoding="utf-8"))
    before = (out / "run" / "fold_0" / "predictions.csv").stat().st_mtime_ns

    shutil.rmtree(copy)  # and the stick is back in its drawer
    assert start.main(typed) == 0
    second = capfd.readouterr().out
    assert "going on with what was agreed on before" in second
    assert "is not there any more; its copy" in second
    assert "next: " not in first + second
    assert json.loads((out / "start.json").read_text(encoding="utf-8")) == agreed
    assert (out / "run" / "fold_0" / "predictions.csv").stat().st_mtime_ns == before
    manifest = pd.read_csv(out / "audit" / "manifest.csv", dtype=str).fillna("")
    assert manifest["group"].nunique() == 24  # as named, not as found
    assert set(manifest["kind"]) >= {"", "Fehler scratch"}
    tested = json.loads((out / "run" / "metrics.json").read_text(encoding="utf-8"))["test"]
    assert tested["n_groups"] == 24
    answer = [line for line in second.splitlines() if line.startswith("Of 100 defective")]
    assert len(answer) == 1
    assert f"{24 - good // 2} defective and {good // 2} good castings" in answer[0]
    assert "That is not enough for a line" in second  # 12 castings never are
    assert (out / "run" / "report.html").is_file()

    assert start.main(typed) == 0
    third = capfd.readouterr().out
    assert "all this was finished before" in third
    assert answer[0] in third
    page = out / "run" / "report.html"
    assert "50.0 % good parts rejected" not in page.read_text(encoding="utf-8")
    assert start.main([*typed, "decide.max_overkill=0.5"]) == 0
    assert "50.0 % good parts rejected" in page.read_text(encoding="utf-8")
    capfd.readouterr()
    assert start.main([*typed, "decide.max_escape=0.01"]) == 2
    assert "had decide.max_escape=0.05, now 0.01" in capfd.readouterr().err
