"""Which casting and which lot a picture is of: from its path, a folder above it, or a column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from casting_inspect.errors import UserError, suggestion

if TYPE_CHECKING:
    import pandas as pd

_PATTERN: Final = "path:"
_FOLDER: Final = "folder:"
_WAYS: Final = (
    "a column, path:REGEX with one bracket as in path:part_([0-9]+), or folder:NUMBER (1 is the "
    "outermost folder, -1 the one that the picture lies in)"
)


def names_from(
    rule: str, paths: Sequence[str], columns: pd.DataFrame | None, key: str
) -> list[str]:
    """Return the name that a rule gives each picture; empty where it gives none.

    Args:
        rule: ``path:REGEX``, a regular expression with one bracket that is searched in the path;
            ``folder:NUMBER``; or a column's name.
        paths: POSIX-style, relative to the folder that was given.
        columns: A row a picture; None where there is no table.
        key: What is called so, ``data.group_from`` or ``data.lot_from``.

    Raises:
        UserError: If there is no such column, the rule is wrong, or it names nothing at all.
    """
    if rule.startswith(_PATTERN):
        names = _by_pattern(rule, paths, key)
    elif rule.startswith(_FOLDER):
        names = _by_folder(rule, paths, key)
    elif columns is not None and rule in columns:
        names = columns[rule].fillna("").astype(str).str.strip().to_list()
    else:
        known = [] if columns is None else [str(name) for name in columns.columns]
        there = f"there is no such column.{suggestion(rule, known)}" if known else "has no table."
        raise UserError(f"{key}={rule}: {there} It is {_WAYS}")
    if not any(names):
        example = f", such as {paths[0]!r}" if len(paths) else ""
        raise UserError(f"{key}={rule}: names none of {len(paths):,} pictures{example}")
    return names


def with_names(
    frame: pd.DataFrame, group_from: str | None = None, lot_from: str | None = None
) -> pd.DataFrame:
    """Return a manifest with ``group`` and ``lot`` filled where they were empty.

    Args:
        frame: A manifest table.
        group_from: What names the casting, see `names_from`; None leaves the column.
        lot_from: What names the lot.

    Raises:
        UserError: As `names_from`.
    """
    import pandas as pd

    for column, rule in (("group", group_from), ("lot", lot_from)):
        if rule is None:
            continue
        names = names_from(rule, frame["path"].to_list(), frame, f"data.{column}_from")
        found = pd.Series(names, index=frame.index, dtype=str)
        given = frame[column].fillna("") if column in frame else pd.Series("", index=frame.index)
        frame = frame.assign(**{column: given.where(given != "", found)})
    return frame


def _by_pattern(rule: str, paths: Sequence[str], key: str) -> list[str]:
    try:
        pattern = re.compile(rule.removeprefix(_PATTERN))
    except re.error as error:
        raise UserError(f"{key}={rule}: no regular expression ({error})") from None
    if pattern.groups != 1:
        raise UserError(
            f"{key}={rule}: needs one bracket around what is the name, as in path:part_([0-9]+)"
        )
    found = [pattern.search(path) for path in paths]
    return [match.group(1) or "" if match else "" for match in found]


def _by_folder(rule: str, paths: Sequence[str], key: str) -> list[str]:
    text = rule.removeprefix(_FOLDER)
    if re.fullmatch(r"-?[1-9][0-9]?", text) is None:
        raise UserError(f"{key}={rule}: must be {_WAYS}")
    number = int(text)
    names = []
    for path in paths:
        folders = PurePosixPath(path).parts[:-1]
        place = number - 1 if number > 0 else len(folders) + number
        names.append(folders[place] if 0 <= place < len(folders) else "")
    return names
