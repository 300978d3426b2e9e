from __future__ import annotations

import csv
import io
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from stubs import FakeCapture, StubScorer, grey_png, write_grey

from casting_inspect import predict
from casting_inspect.deployment import inspect as inspection
from casting_inspect.deployment import load
from casting_inspect.deployment.camera import open_camera
from casting_inspect.deployment.stream import Pace

Run = Callable[..., int]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for value in (0, 120, 255):
        write_grey(tmp_path / "in" / f"{value}.png", value)
    return tmp_path / "in"


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return the command with the stub for every model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(load, "scorer_of", lambda *_, **__: StubScorer())
    return lambda *words: predict.main(["model=any", *words])


def rows(out: str) -> list[dict[str, str]]:
    with Path(out).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_and_its_exit_codes(
    command: Run, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("source=in", "out=v.csv") == 0
    assert [row["verdict"] for row in rows("v.csv")] == ["defective", "review", "normal"]
    out = capsys.readouterr().out
    assert "1 passed, 1 rejected, 1 doubtful, 0 errors" in out
    assert "verdicts: v.csv" in out
    assert command("source=in", "out=w.csv", "fail_on=defective") == 1
    (pictures / "broken.png").write_bytes(grey_png(9)[:-7])
    assert command("source=in", "out=x.csv") == 3
    assert "not judged, and so not passed: broken.png (truncated" in capsys.readouterr().out
    assert command("source=in", "out=x.csv") == 2
    assert "resume=true" in capsys.readouterr().err


def test_a_list_on_standard_input(
    command: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"in/0.png\nin/255.png\nin/0.png\n")
    os.close(writer)
    with os.fdopen(reader) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert command("source=-", "out=v.jsonl") == 0
    found = [json.loads(line) for line in Path("v.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["path"] for row in found] == ["in/0.png", "in/255.png"]


def test_a_drop_folder_moved_and_sorted(command: Run, pictures: Path) -> None:
    words = ["watch=true", "drop.poll=0.02", "limit=3", "drop.done=taken", "sort.to=by_verdict"]
    assert command("source=in", "out=v.csv", *words) == 0
    assert len(list(Path("taken").iterdir())) == 3
    assert Path("by_verdict/normal/255.png").is_file()
    assert not any(pictures.iterdir())


def test_of_a_camera_the_newest_picture_alone_is_wanted(
    command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    paces: list[Pace] = []
    whole = inspection.inspect

    def watched(items, scorer_of, wanted, pace, *rest, **more):  # type: ignore[no-untyped-def]
        paces.append(pace)
        return whole(items, scorer_of, wanted, pace, *rest, **more)

    fake = FakeCapture(itertools.repeat(np.full((32, 32, 3), 255, np.uint8)))
    monkeypatch.setattr(inspection, "inspect", watched)
    opened = partial(open_camera, capture=lambda _: fake)
    monkeypatch.setattr("casting_inspect.deployment.station.open_camera", opened)
    assert command("source=camera:0", "out=v.csv", "limit=3") == 0
    assert [row["verdict"] for row in rows("v.csv")] == ["normal"] * 3
    assert [pace.newest for pace in paces] == [True]


def test_a_folder_that_was_moved_away_before_a_kill_is_finished(
    command: Run, pictures: Path
) -> None:
    words = ["source=in", "out=v.csv", "sort.to=sorted", "sort.how=move"]
    assert command(*words) == 0
    Path("v.csv").rename("v.csv.part")
    assert command(*words, "resume=true") == 0
    assert len(rows("v.csv")) == 3
    assert command("source=in", "out=w.csv") == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["source=missing"], "no such file or folder"),
        (["source=empty"], "the folder is empty"),
        (["source=*.tif"], "no picture has such a name"),
        (["source=missing", "watch=true"], "no such folder to watch"),
        (["source=-", "watch=true"], "watch=true watches a folder"),
        (["source=in", "drop.done=x"], "drop.done belongs to watch=true"),
        (["source=in", "watch=true", "drop.done=x", "sort.to=y", "sort.how=move"], "move each"),
        (["source=camera:0", "sort.to=y", "sort.how=link"], "sort.how=copy"),
        (["source=camera:x"], "a camera has a number"),
        (["source=in", "sort.to=in"], "must not go to the folder"),
        (["source=in", "watch=true", "sort.to=."], "must not go to the folder"),
        (["source=in", "watch=true", "drop.done=in"], "must not go to the folder"),
        (["source=in", "sort.how=burn"], "must be one of copy, link, move"),
        (["source=in", "out=v.xlsx"], "must be a file that ends in .csv, .jsonl or .parquet"),
        (["source=in", "bach=3"], "batch"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    command: Run,
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    says: str,
) -> None:
    Path("empty").mkdir()
    assert command("out=v.csv", *words) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["empty", "in"]


def test_a_model_that_is_none_is_one_line(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert predict.main(["model=missing", "source=in", "out=v.csv"]) == 2
    assert "no such folder; name a bundle or a run folder" in capsys.readouterr().err
    assert predict.main(["source=in", "out=v.csv"]) == 2
    assert "model" in capsys.readouterr().err


def test_a_run_and_its_bundle_say_the_same(
    castings: Path, bundle: Path, run: Path, tmp_path: Path
) -> None:
    judged = []
    for number, model in enumerate((bundle, run)):
        out = tmp_path / f"v{number}.csv"
        words = [f"model={model}", f"source={castings / 'normal'}", f"out={out}", "heatmaps.of=all"]
        assert predict.main([*words, f"heatmaps.to={tmp_path / 'heat'}"]) == 0
        judged.append([(row["path"], row["verdict"]) for row in rows(str(out))])
    assert judged[0] == judged[1]
    assert len(judged[0]) > 5


def loaded_by(*words: str) -> set[str]:
    """Return which modules the command loads, run in a process of its own."""
    code = (
        "import sys, json; from casting_inspect.predict import main; code = main(sys.argv[1:]); "
        "print(); print(json.dumps([code, [m for m in sys.modules if '.' not in m]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    _, modules = json.loads(done.stdout.splitlines()[-1])
    return set(modules)


def test_a_bundle_is_run_without_torch(bundle: Path, castings: Path, tmp_path: Path) -> None:
    source = castings / "manifest.csv"
    found = loaded_by(f"model={bundle}", f"source={source}", f"out={tmp_path / 'v.csv'}")
    assert len(rows(str(tmp_path / "v.csv"))) == 48
    assert found.isdisjoint({"torch", "torchvision", "lightning", "sklearn", "matplotlib"})


@pytest.mark.parametrize("words", [["--help"], ["--cfg", "job"], ["out=v.xlsx"]])
def test_help_and_mistakes_load_nothing_heavy(words: list[str]) -> None:
    assert loaded_by(*words).isdisjoint({"torch", "numpy", "cv2", "pandas", "onnxruntime"})


def test_the_bar_shows_counts_and_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    from casting_inspect.deployment import tally

    screen = io.StringIO()
    monkeypatch.setattr(
        tally,
        "Console",
        lambda **_: __import__("rich.console").console.Console(
            file=screen, force_terminal=True, width=120
        ),
    )
    with tally.Tally(3) as counts:
        for verdict in ("normal", "defective", "error"):
            counts.add(verdict, "a.png", "cut" if verdict == "error" else "")
    assert "images/s  1 passed, 1 rejected, 0 doubtful, 1 error" in screen.getvalue()
