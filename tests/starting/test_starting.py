from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from casting_inspect import start as command
from casting_inspect.data.manifest import make_frame, write_manifest
from casting_inspect.errors import UserError
from casting_inspect.starting import start as steps
from casting_inspect.starting.agreement import agreed
from casting_inspect.starting.enough import Bounds, Limits
from casting_inspect.starting.proposal import Words
from casting_inspect.starting.questions import Person
from casting_inspect.starting.wish import Wish, place_for
from casting_inspect.sweep_runs import refusal


def pictures(root: Path, castings: int = 12, folders: tuple[str, ...] = ("io", "nio")) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for casting in range(castings):
            for shot in (1, 2):
                (root / folder / f"{folder}{casting:02d}_{shot}.jpg").write_bytes(b"")
    return root


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    source = pictures(tmp_path / "in")
    return Wish(source, tmp_path / "out", Words(), "none", None, Limits(0.05, 0.05), 5.0)


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def person(heard: list[str]) -> Person:
    return Person(heard.append, yes=True, hears=False)


def test_what_was_agreed_on_is_kept_and_not_asked_again(
    wish: Wish, person: Person, heard: list[str]
) -> None:
    first = agreed(wish, person)
    assert first["words"]["group_from"] == r"path:([^/]+)[_ -][^/_ -]*$"
    assert any(
        "24 castings: io/io00_1.jpg is of casting 'io00' (data.group_from=path:" in line
        for line in heard
    )
    shutil.rmtree(wish.source)
    nobody = replace(person, yes=False)
    assert agreed(wish, nobody) == first
    other = replace(wish, words=Words(normal=("nio",)))
    with pytest.raises(UserError, match=r"had normal=\[\], now \['nio'\]; give .*out=.*out_2"):
        agreed(other, nobody)
    wish.record.write_text("[]")
    with pytest.raises(UserError, match="not what a start has written"):
        agreed(wish, nobody)


def test_nobody_to_ask_is_one_line_and_leaves_nothing(wish: Wish, person: Person) -> None:
    with pytest.raises(UserError, match="add yes=true"):
        agreed(wish, replace(person, yes=False))
    assert not wish.out.exists()


def test_twelve_pictures_are_too_few(wish: Wish, person: Person, tmp_path: Path) -> None:
    few = replace(wish, source=pictures(tmp_path / "few", castings=3))
    with pytest.raises(UserError, match="6 defective and 6 good castings are too few") as caught:
        agreed(few, person)
    assert "Photograph at least 10 different castings of each class" in str(caught.value)
    assert not few.out.exists()


def test_lots_that_are_named_are_counted(wish: Wish, person: Person, heard: list[str]) -> None:
    agreed(replace(wish, words=Words(lot_from="folder:1")), person)
    assert any(line.strip() == "2 lots (data.lot_from=folder:1)" for line in heard)


def test_parts_in_folders_of_their_own_are_warned_of(
    wish: Wish, person: Person, heard: list[str], tmp_path: Path
) -> None:
    for part in ("Deckel", "Flansch", "Haube"):
        pictures(tmp_path / "parts" / part)
    agreed(replace(wish, source=tmp_path / "parts"), person)
    assert any("careful: 3 folders (Deckel, Flansch, Haube)" in line for line in heard)


def ran(monkeypatch: pytest.MonkeyPatch, wish: Wish, good: int) -> list[list[str]]:
    """Replace the steps by what they leave; return the commands that were run."""
    commands: list[list[str]] = []

    def run_step(number: int, of: int, title: str, words: list[str], *more: object) -> None:
        commands.append(list(words))
        if words[0] == "audit":
            rows = [
                {"path": f"{n}.png", "label": "normal" if n < good else "defective",
                 "group": f"g{n}", "width": 640, "height": 480}
                for n in range(good + 12)
            ]  # fmt: skip
            wish.audit.mkdir(parents=True, exist_ok=True)
            write_manifest(make_frame(rows), wish.audit / "manifest.csv")
            (wish.audit / "audit.json").write_text(json.dumps({"findings": {}}))
        if words[0] == "train":
            rate = {"value": 0.0, "low": 0.0, "high": 0.265}
            test = {"n_groups_defective": 12, "n_groups_normal": good,
                    "escape_rate_by_group": rate, "overkill_rate_by_group": rate,
                    "headline": {"grouping": "group"}}  # fmt: skip
            wish.run.mkdir(parents=True, exist_ok=True)
            config = {"decide": {"max_escape": 0.05}, "report": {"max_overkill": 0.05}}
            (wish.run / "config.yaml").write_text(yaml.safe_dump(config))
            (wish.run / "metrics.json").write_text(json.dumps({"test": test}))

    monkeypatch.setattr(steps, "bounds_of", lambda _: Bounds(0.221, 0.221))
    course = {"words": ["model=cnn"], "image_size": 128, "time": "2 minutes"}
    monkeypatch.setattr(steps, "run_step", run_step)
    monkeypatch.setattr("casting_inspect.starting.course.chosen_course", lambda *_: course)
    return commands


def test_three_commands_and_two_sentences(
    wish: Wish, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = ran(monkeypatch, wish, good=12)
    sentences = steps.start(wish, yes=True)
    assert [words[0] for words in commands] == ["prepare", "audit", "train"]
    prepare, _, train = commands
    assert prepare[1:4] == [f"source={wish.source}", f"out={wish.out / 'pictures'}", "on_bad=skip"]
    assert {"model=cnn", "data.fold=final", "resume=auto", "decide.max_escape=0.05"} < {*train}
    shown = capsys.readouterr().out
    assert "24 pictures of 12 defective and 12 good castings" in shown
    assert "Learning will take about 2 minutes on this machine" in shown
    assert all(sentence in shown for sentence in sentences)
    assert "12 defective castings are too few to know" in sentences[1]
    assert json.loads(wish.record.read_text())["course"]["time"] == "2 minutes"


def test_weights_that_came_later_are_said_before_the_answer(
    wish: Wish, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("casting_inspect.starting.course.why_no_weights", lambda *_, **__: None)
    ran(monkeypatch, wish, good=12)
    wanting = replace(wish, weights="imagenet")
    steps.start(wanting, yes=True)
    shown = capsys.readouterr().out
    assert "careful" not in shown
    assert "Learning will take" in shown
    (wish.run / "run.json").write_text(json.dumps({"status": "finished"}))
    steps.start(wanting, yes=True)
    shown = capsys.readouterr().out
    assert "Learning will take" not in shown
    assert "Now there are weights: to learn with VGG-19" in shown
    assert shown.index("Now there are weights") < shown.index("Of 100 defective castings")


def test_other_weights_under_the_same_name_are_one_line_with_the_command(
    wish: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(monkeypatch, wish, good=12)
    others = steps.run_step

    def run_step(number: int, *words: Any) -> None:
        if number < 3:
            return others(number, *words)
        said = str(refusal(wish.run, OmegaConf.create({})))
        raise UserError(words[-1](said) or said)

    monkeypatch.setattr(steps, "run_step", run_step)
    with pytest.raises(UserError, match="learnt from other weights, groups or settings") as caught:
        steps.start(wish, yes=True)
    assert str(caught.value).endswith(f"out={wish.out}_2")
    assert "hydra" not in str(caught.value)


def test_the_pages_are_written_anew_for_another_limit(
    wish: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(monkeypatch, wish, good=12)
    written: list[dict[str, float]] = []
    monkeypatch.setattr(
        "casting_inspect.evaluation.report.write.write_report",
        lambda _, limits: written.append(limits),
    )
    steps.start(wish, yes=True)
    assert not written
    stricter = replace(wish, limits=Limits(0.05, 0.01))
    for now in (stricter, stricter, wish, wish):
        assert steps.start(now, yes=True)
    assert [limits["max_overkill"] for limits in written] == [0.01, 0.05]
    assert json.loads(wish.record.read_text())["course"]["time"] == "2 minutes"


def test_castings_are_counted_again_when_they_are_known(
    wish: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = ran(monkeypatch, wish, good=5)
    with pytest.raises(UserError, match="17 pictures, but 12 defective and 5 good castings are"):
        steps.start(wish, yes=True)
    assert [words[0] for words in commands] == ["prepare", "audit"]


@pytest.mark.parametrize(
    ("here", "typed", "place"),
    [
        (".", "in", "in_inspected"),
        ("in", ".", "in_inspected"),
        ("in/io", "..", "in_inspected"),
        ("elsewhere", "../in", "elsewhere/in_inspected"),
    ],
)
def test_the_default_place_is_never_among_the_pictures(
    here: str, typed: str, place: str, wish: Wish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / here)
    assert place_for(Path(typed)).absolute() == tmp_path / place


def test_a_start_in_the_folder_of_pictures_itself(
    wish: Wish, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "in_inspected"
    commands = ran(monkeypatch, replace(wish, out=place), good=12)
    monkeypatch.chdir(wish.source)
    assert command.main([".", "yes=true", "model.weights=none"]) == 0
    assert commands[0][1:3] == ["source=.", f"out={place / 'pictures'}"]
    assert (place / "start.json").is_file()
    assert sorted(path.name for path in wish.source.iterdir()) == ["io", "nio"]


@pytest.mark.parametrize("out", ["in", "in/out", "in/io"])
def test_a_place_among_the_pictures_is_refused_before_anything_is_written(
    out: str, wish: Wish, tmp_path: Path
) -> None:
    before = sorted(wish.source.rglob("*"))
    with pytest.raises(UserError, match=r"lies in source=.*give an out= outside it"):
        steps.start(replace(wish, out=tmp_path / out), yes=True)
    assert sorted(wish.source.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["D:/x y", "yes=true"], ["source=D:/x y", "yes=true"]),
        (["yes=true", "in", "out=o"], ["yes=true", "source=in", "out=o"]),
        (["yes=true", "a", "b"], ["yes=true", "source=a", "b"]),  # and b is refused
        (["source=a", "b"], ["source=a", "b"]),
        (["--help"], ["--help"]),
        (["--cfg", "job", "in"], ["--cfg", "job", "source=in"]),
        (["out=" + 300 * "x"], ["out=" + 300 * "x"]),  # no file can have such a name
        ([], []),
    ],
)
def test_the_folder_may_stand_anywhere(words: list[str], meant: list[str]) -> None:
    assert command.with_source(words) == meant


def test_a_folder_may_look_like_a_setting(tmp_path: Path) -> None:
    odd = tmp_path / "a=b"
    odd.mkdir()
    assert command.with_source(["yes=true", str(odd)]) == ["yes=true", f"source={odd}"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "source is needed"),
        (["nowhere", "yes=true"], "source=nowhere: there is no such file or folder"),
        (["in", "yes=maybe"], "must be true or false"),
        (["in", "decide.max_escape=5"], "must be"),
        (["in"], "add yes=true"),
        (["yes=true", "nowhere"], "source=nowhere: there is no such file or folder"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pictures(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    assert command.main(words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
