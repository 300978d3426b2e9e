from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casting_inspect import prepare, start
from casting_inspect.starting.afresh import command_afresh, free_place
from casting_inspect.starting.agreement import agreed
from casting_inspect.starting.enough import Limits
from casting_inspect.starting.proposal import Words
from casting_inspect.starting.questions import Person
from casting_inspect.starting.start import prepare_words
from casting_inspect.starting.wish import Wish


def wished(tmp_path: Path, *typed: str) -> Wish:
    source, out = tmp_path / "in", tmp_path / "in_inspected"
    return Wish(source, out, Words(), "none", None, Limits(0.05, 0.05), 5.0, typed=typed)


def photographed(root: Path, castings: int) -> None:
    for number in range(castings):
        for folder, grey in (("io", 200), ("nio", 90)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            picture = np.full((30, 40), grey, np.uint8)
            picture[number] = number
            Image.fromarray(picture).save(root / folder / f"{number}.png")


@pytest.mark.parametrize(
    ("out", "there", "free"),
    [
        ("a", [], "a_2"),
        ("a", ["a_2", "a_3"], "a_4"),
        ("a_2", [], "a_3"),
        ("lot_2026", [], "lot_2026_2"),
        ("deep/a", [], "deep/a_2"),
    ],
)
def test_the_free_place_is_beside_and_is_not_there(
    out: str, there: list[str], free: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in there:
        (tmp_path / name).mkdir()
    assert free_place(Path(out)) == Path(free)


def test_the_place_may_be_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert free_place(Path()) == tmp_path / "here_2"


def test_the_command_is_the_users_own_with_another_place(tmp_path: Path) -> None:
    wish = wished(tmp_path, "source=in", "out=x", "yes=true", "data.normal=[gut]")
    place = tmp_path / "in_inspected_2"
    words = shlex.split(command_afresh(wish).replace(os.sep, "/"))
    assert words[:2] == ["casting-inspect", "start"]
    assert words[2:] == ["source=in", "yes=true", "data.normal=[gut]", f"out={place.as_posix()}"]
    assert f"source={wish.source}" in command_afresh(wished(tmp_path))


def test_more_castings_are_a_start_of_their_own_and_the_command_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photographed(Path("in"), 10)
    place = Path("in_inspected")
    wish = replace(wished(tmp_path), source=Path("in"), out=place)
    record = agreed(wish, Person(lambda _: None, yes=True, hears=False))
    assert prepare.main(prepare_words(wish, Words.of(record["words"]))[1:]) == 0
    photographed(Path("in"), 12)
    capfd.readouterr()
    assert start.main(["in", "yes=true", "model.weights=none"]) == 2
    shown, said = capfd.readouterr()
    assert "Step 1 of 3" in shown
    assert "give a new folder" not in shown
    assert said.count("\n") == 1
    assert "in: has other pictures" in said
    anew = "start source=in yes=true model.weights=none out=in_inspected_2"
    assert said.endswith(f"type casting-inspect {anew}\n")
    assert sorted(path.name for path in place.iterdir()) == ["pictures", "start.json", "start.log"]
