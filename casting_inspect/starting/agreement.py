"""What is agreed on before anything is done: proposed, asked about, and kept for the next time."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any, Final

from casting_inspect.data.naming import names_from
from casting_inspect.errors import UserError
from casting_inspect.files import replace_json
from casting_inspect.starting.afresh import command_afresh
from casting_inspect.starting.encoding import require_unicode_words
from casting_inspect.starting.enough import too_few
from casting_inspect.starting.look import Look, look_at
from casting_inspect.starting.mixture import mixed_folders
from casting_inspect.starting.proposal import Reading, UndecidedError, Words, proposed, read
from casting_inspect.starting.questions import Person
from casting_inspect.starting.wish import Wish

LEAST: Final = 10
"""Castings of a class below which nothing can be learnt or said."""


def agreed(wish: Wish, person: Person) -> dict[str, Any]:
    """Return what was agreed on: an earlier start's in the same folder, or asked for now.

    Args:
        wish: What the user wants.
        person: Who answers.

    Returns:
        ``asked``, ``words`` and, once they are known, ``course`` and ``reported``.

    Raises:
        UserError: If names cannot be understood or written down, nobody agrees, there are too few
            pictures, or the folder holds another start.
    """
    found = _earlier(wish)
    if found is not None:
        person.say(f"{wish.out}: going on with what was agreed on before")
        return found
    look = look_at(wish.source)
    words = _proposed(look, wish.words, person)
    require_unicode_words(words)
    reading = read(look, words)
    person.say(f"{wish.source}: {len(look.pictures):,} pictures")
    for line in _lines(reading, words):
        person.say(f"  {line}")
    refusal = too_few(reading.counts["defective"], reading.counts["normal"], LEAST)
    if refusal:
        raise UserError(f"{wish.source}: {refusal}")
    person.confirm("Is that right?")
    record = {"asked": wish.asked(), "words": words.plain()}
    replace_json(wish.record, record)
    return record


def keep(wish: Wish, record: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Keep what has come to be known, such as the ``course``, for the next start; return all."""
    whole = {**record, **more}
    replace_json(wish.record, whole)
    return whole


def _earlier(wish: Wish) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(wish.record.read_text(encoding="utf-8"))
        known = record["asked"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{wish.record}: not what a start has written; give another out=") from None
    now = wish.asked()
    other = [key for key in now if known.get(key) != now[key]]
    if other:
        raise UserError(
            f"out={wish.out}: an earlier start there had {other[0]}={known.get(other[0])}, now "
            f"{now[other[0]]}; give another out=, as in {command_afresh(wish)}"
        )
    return record


def _proposed(look: Look, given: Words, person: Person) -> Words:
    try:
        return proposed(look, given)
    except UndecidedError as undecided:
        question = f"{look.where}: which of these are good castings? All others are defective then."
        chosen = person.choose(question, undecided.words, undecided.error)
        return proposed(look, replace(undecided.given, normal=chosen))


def _lines(reading: Reading, words: Words) -> list[str]:
    """Return what is proposed, in lines for the screen."""
    lines = list(reading.found)
    if reading.left:
        lines.append(reading.left)
    if words.group_from:
        names = names_from(words.group_from, reading.paths, reading.columns, "data.group_from")
        sizes = Counter(name for name in names if name)
        example = next(at for at, name in enumerate(names) if name)
        lines.append(
            f"{len(sizes):,} castings: {reading.paths[example]} is of casting {names[example]!r} "
            f"(data.group_from={words.group_from})"
        )
    else:
        lines.append(
            "which pictures show one casting the names do not say: pictures that are copies of "
            "each other are found, every other one counts as a casting of its own. If you took "
            "several of each casting, say how to tell: data.group_from=..."
        )
    if words.lot_from:
        lots = names_from(words.lot_from, reading.paths, reading.columns, "data.lot_from")
        number = len({name for name in lots if name})
        lines.append(f"{number:,} lots (data.lot_from={words.lot_from})")
    elif warning := mixed_folders(reading.paths, reading.labels):
        lines.append(f"careful: {warning}")
    return lines
