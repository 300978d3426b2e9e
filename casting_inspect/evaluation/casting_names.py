"""Which pictures show one casting: whether somebody said so, or only the pictures themselves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from casting_inspect.data.found_names import is_found_name


class CastingNames(NamedTuple):
    """How many pictures (or parts) have a casting named, found, or neither.

    Attributes:
        named: By the user: a group's name, or the part where parts are judged.
        found: By the search for copies of one photograph alone.
        unknown: Neither; each counts as a casting of its own.
    """

    named: int
    found: int
    unknown: int


def casting_names(rows: pd.DataFrame) -> CastingNames:
    """Return where the groups of a table come from.

    An empty group, or one that is called as the picture's own path, as a predictions table fills
    it in, is unknown.

    Args:
        rows: A manifest with groups or a predictions table, a row a picture or a judged part.
    """
    path = rows["path"]
    named = np.zeros(len(rows), dtype=np.bool_)
    found = np.zeros(len(rows), dtype=np.bool_)
    for column in ("group", "group_wide"):
        if column not in rows:
            continue
        cells = rows[column].fillna("").astype(str)
        searched = np.array([is_found_name(cell) for cell in cells], dtype=np.bool_)
        found |= searched
        named |= ((cells != "") & (cells != path)).to_numpy(np.bool_) & ~searched
    if "part" in rows:
        named |= ((rows["part"] != "") & (rows["part"] == path)).to_numpy(np.bool_)
    found &= ~named
    return CastingNames(*(int(np.count_nonzero(each)) for each in (named, found, ~(named | found))))


def casting_note(names: CastingNames, said: str = "these intervals and tests") -> str:
    """Return what is to be said of castings that nobody has named; empty where all are.

    Args:
        names: What `casting_names` returns.
        said: What would be too sure of itself.
    """
    of = sum(names)
    if names.unknown:
        return (
            f"{_share(names.unknown, of)} no casting named: each counts as a casting of its own, "
            f"and nobody looked for copies. Where several show one casting, {said} are far too "
            "sure of themselves: fill the column group, or say group_from."
        )
    if names.found:
        return (
            f"{_share(names.found, of)} no casting named: copies of one photograph were found and "
            "count as one, any other picture as a casting of its own. Where several photographs "
            f"show one casting, {said} are too sure of themselves: fill the column group, "
            "or say group_from."
        )
    return ""


def _share(some: int, of: int) -> str:
    has = "has" if some == 1 else "have"
    return f"The pictures {has}" if some == of else f"{some:,} of the {of:,} pictures {has}"
