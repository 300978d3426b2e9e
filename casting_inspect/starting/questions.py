"""Questions on a terminal; where there is none, one line that says what to type instead."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from casting_inspect.errors import UserError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Person:
    """Who answers.

    Attributes:
        say: Prints a line.
        yes: Nobody is asked; what is proposed is taken.
        hears: Whether there is somebody at a terminal.
    """

    say: Say
    yes: bool
    hears: bool

    @classmethod
    def at_terminal(cls, say: Say, *, yes: bool) -> Person:
        """Return whoever sits at standard input."""
        return cls(say, yes, sys.stdin is not None and sys.stdin.isatty())

    def confirm(self, question: str) -> None:
        """Ask for a yes; nothing at all, Enter, is one.

        Raises:
            UserError: If the answer is no, or nobody is there to give one.
        """
        if self.yes:
            return
        self._require_somebody()
        if self._asked(f"{question} [Y/n] ").lower() not in ("", "y", "yes", "j", "ja"):
            raise UserError(
                "stopped, nothing was changed: say what is meant with data.normal=[FOLDER], "
                "data.group_from=path:REGEX or data.manifest=FILE, as --help explains"
            )

    def choose(self, question: str, words: Counter[str], otherwise: UserError) -> tuple[str, ...]:
        """Ask which of some words means good castings.

        Args:
            question: What is asked.
            words: To choose from, with their numbers of pictures.
            otherwise: What to raise where nobody can be asked.

        Raises:
            UserError: ``otherwise``, or if all or none are chosen.
        """
        if self.yes or not self.hears:
            raise otherwise
        self.say(question)
        listed = [word for word, _ in words.most_common()]
        for number, word in enumerate(listed, start=1):
            self.say(f"  {number}  {word} ({words[word]:,})")
        answer = self._asked("Good ones (numbers, as in 1 or 1,3): ").replace(",", " ").split()
        numbers = {int(text) for text in answer if text.isdigit()}
        chosen = tuple(word for at, word in enumerate(listed, start=1) if at in numbers)
        if not chosen or len(chosen) == len(listed):
            raise UserError("one or several of them must be good castings, and not all")
        return chosen

    def _require_somebody(self) -> None:
        if not self.hears:
            raise UserError(
                "nobody can be asked here, for standard input is no terminal: add yes=true to take "
                "what is proposed"
            )

    def _asked(self, question: str) -> str:
        try:
            return input(question).strip()
        except EOFError:
            raise UserError("no answer came; add yes=true to take what is proposed") from None
