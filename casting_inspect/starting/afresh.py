"""The command for a start from the beginning: as it was typed, with a folder that is free."""

from __future__ import annotations

import os
import re
from pathlib import Path

from casting_inspect.overrides import key_of
from casting_inspect.shell import typed
from casting_inspect.starting.wish import Wish


def free_place(out: Path) -> Path:
    """Return a folder beside ``out`` that is not there: NAME_2, after NAME_2 NAME_3."""
    whole = out if out.name not in ("", "..") else out.resolve()
    counted = re.fullmatch(r"(.+)_([1-9]\d?)", whole.name)
    name, number = (counted[1], int(counted[2]) + 1) if counted else (whole.name, 2)
    while os.path.lexists(place := whole.parent / f"{name}_{number}"):
        number += 1
    return place


def command_afresh(wish: Wish) -> str:
    """Return the user's command with another ``out=``, as it is typed in this system's shell."""
    words = [word for word in wish.typed if key_of(word) != "out"] or [f"source={wish.source}"]
    return f"casting-inspect {typed(['start', *words, f'out={free_place(wish.out)}'])}"
