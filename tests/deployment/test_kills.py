"""Inspections killed at random moments: no row is lost, none is there twice."""

from __future__ import annotations

import collections
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stubs import grey_png, verdict_of_grey

from casting_inspect.deployment.rows import Row, Table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system kills otherwise"),
]
PICTURES = 300
KILLS = 12
PROGRAM = """
import sys, threading
from pathlib import Path
from stubs import StubScorer
from casting_inspect.deployment.drop import Drop, watch
from casting_inspect.deployment.inspect import Wanted, inspect
from casting_inspect.deployment.ledger import Ledger
from casting_inspect.deployment.placing import Sorting
from casting_inspect.deployment.rows import has_rows
from casting_inspect.deployment.sources import open_items
from casting_inspect.deployment.stream import Pace

folder, out, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
stop = threading.Event()
sorting = Sorting(out.parent / "sorted", how) if how in ("copy", "move") else None
done = out.parent / "done" if how == "done" else None
watched = how in ("done", "stay")
if watched:
    items = watch(Drop(folder, poll=0.01), stop, print)
else:
    items = open_items(str(folder), emptied=has_rows(out))
ledger = Ledger(out.with_name(out.name + ".seen")) if watched else None
wanted = Wanted(out, resume=True, sorting=sorting, done=done)
print("begun", flush=True)
outcome = inspect(
    items, lambda: StubScorer(0.002), wanted, Pace(4, live=watched), print,
    ledger=ledger, stop=stop,
)
sys.exit(128 + outcome.signal if outcome.signal else 0)
"""


def begin(folder: Path, out: Path, how: str) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), str(out), how],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def value_of(number: int) -> int:
    return number * 7 % 256


def fill(folder: Path, numbers: range) -> None:
    """Leave pictures as a careful program does: renamed when complete."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        part = folder / f"{number:04d}.png.part"
        part.write_bytes(grey_png(value_of(number)))
        part.rename(folder / f"{number:04d}.png")


def lines_in(out: Path) -> int:
    """Return how many lines an unfinished or finished table has, without reading rows."""
    for path in (out.with_name(f"{out.name}.part"), out):
        with contextlib.suppress(OSError):
            return path.read_bytes().count(b"\n")
    return 0


def kill_after(process: subprocess.Popen[bytes], out: Path, more: int, dice: random.Random) -> bool:
    """Kill it a random moment after it has written so many more rows; say whether it was alive."""
    before = lines_in(out)
    while process.poll() is None and lines_in(out) < before + more:
        time.sleep(0.001)
    time.sleep(dice.uniform(0, 0.006))  # anywhere between two batches, or within one
    process.kill()
    assert process.stdout is not None
    process.stdout.close()
    return process.wait() == -signal.SIGKILL


def rows_at(out: Path, live: bool = False) -> list[Row]:
    table = Table(out, resume=True, live=live)
    return list(table.rows()) if table.part.exists() or out.exists() else []


def check(rows: list[Row], *, in_order: bool) -> None:
    names = [row.path for row in rows]
    expected = [f"{number:04d}.png" for number in range(PICTURES)]
    assert [name for name, n in collections.Counter(names).items() if n > 1] == []
    assert (names if in_order else sorted(names)) == expected
    assert {row.path: row.verdict for row in rows} == {
        f"{number:04d}.png": verdict_of_grey(value_of(number)) for number in range(PICTURES)
    }


@pytest.mark.parametrize(
    ("ending", "how"),
    [("csv", "plain"), ("jsonl", "copy"), ("csv", "move"), ("parquet", "plain")],
)
def test_a_folder_whose_inspection_is_killed(tmp_path: Path, ending: str, how: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    folder, out = tmp_path / "in", tmp_path / f"v.{ending}"
    fill(folder, range(PICTURES))
    dice, grew = random.Random(ending + how), []
    for _ in range(KILLS):
        process = begin(folder, out, how)
        assert kill_after(process, out, dice.randint(0, 12), dice)
        grew.append(lines_in(out))
    assert len(set(grew)) > KILLS // 2  # else this tests nothing
    assert not out.exists()
    process = begin(folder, out, how)
    process.communicate()
    assert process.returncode == 0
    check(rows_at(out), in_order=True)
    assert not out.with_name(f"{out.name}.part").exists()
    if how != "plain":
        every = (tmp_path / "sorted").rglob("*")
        found = {path.name: path.parent.name for path in every if path.is_file()}
        assert found == {row.path: row.verdict for row in rows_at(out)}
        assert len(list(folder.iterdir())) == (PICTURES if how == "copy" else 0)


@pytest.mark.parametrize("how", ["done", "stay"])
def test_a_watch_that_is_killed_while_pictures_come(tmp_path: Path, how: str) -> None:
    folder, out = tmp_path / "drop", tmp_path / "v.csv"
    fill(folder, range(10))
    dice = random.Random(how)
    step = (PICTURES - 10) // KILLS + 1
    for kill in range(KILLS):
        process = begin(folder, out, how)
        start = 10 + kill * step
        fill(folder, range(start, min(PICTURES, start + step)))
        assert kill_after(process, out, dice.randint(0, 8), dice)
    process = begin(folder, out, how)
    end = time.monotonic() + 60
    while len(out.read_bytes().splitlines()) <= PICTURES and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.3)  # for a doubled row to come
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 0
    check(rows_at(out, live=True), in_order=False)
    if how == "done":
        assert not list(folder.glob("*.png"))
        assert len(list((tmp_path / "done").iterdir())) == PICTURES


def test_a_folder_whose_inspection_is_asked_to_stop(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "v.csv"
    fill(folder, range(PICTURES))
    process = begin(folder, out, "plain")
    while not out.with_name("v.csv.part").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not out.exists()
    assert out.with_name("v.csv.part").read_bytes().endswith(b"\n")
    process = begin(folder, out, "plain")
    process.communicate()
    assert process.returncode == 0
    check(rows_at(out), in_order=True)
