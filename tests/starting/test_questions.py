from __future__ import annotations

from collections import Counter

import pytest

from casting_inspect.errors import UserError
from casting_inspect.starting.questions import Person

WORDS = Counter({"A": 5, "B": 9, "C": 1})
OTHERWISE = UserError("say data.normal=[A]")


def person(monkeypatch: pytest.MonkeyPatch, answer: str | None, *, yes: bool = False) -> Person:
    """Return somebody who gives one answer; None: nobody is there."""

    def answered(_: str) -> str:
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", answered)
    return Person(lambda _: None, yes, hears=answer is not None)


@pytest.mark.parametrize("answer", ["", "y", " Ja ", "YES"])
def test_enter_is_yes(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    person(monkeypatch, answer).confirm("?")


def test_no_stops_and_nobody_is_told_of_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="nothing was changed"):
        person(monkeypatch, "n").confirm("?")
    with pytest.raises(UserError, match="add yes=true"):
        person(monkeypatch, None).confirm("?")
    person(monkeypatch, None, yes=True).confirm("?")


def test_good_ones_are_chosen_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert person(monkeypatch, "1, 3").choose("?", WORDS, OTHERWISE) == ("B", "C")
    for answer in ("", "7", "1 2 3", "B"):
        with pytest.raises(UserError, match="not all"):
            person(monkeypatch, answer).choose("?", WORDS, OTHERWISE)


@pytest.mark.parametrize(("answer", "yes"), [(None, False), ("1", True)])
def test_where_nobody_chooses_the_command_is_said(
    monkeypatch: pytest.MonkeyPatch, answer: str | None, yes: bool
) -> None:
    with pytest.raises(UserError, match=r"data\.normal=\[A\]"):
        person(monkeypatch, answer, yes=yes).choose("?", WORDS, OTHERWISE)


def test_an_end_of_input_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = person(monkeypatch, None)
    with pytest.raises(UserError, match="no answer came"):
        Person(nobody.say, False, hears=True).confirm("?")
