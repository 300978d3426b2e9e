"""A table of file names and classes that came with pictures: which row is which picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from casting_inspect.data.naming import with_names
from casting_inspect.data.recipes import Pick, Plan
from casting_inspect.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

NOT_LISTED: Final = "not in the table"
NOT_THERE: Final = "in the table, but there is no such picture"
_OURS: Final = ("path", "label", "split", "source", "sha256", "width", "height")


def plan_table(pictures: Sequence[str], table: pd.DataFrame, where: str) -> Plan:
    """Take the pictures that a table names, with the classes that it gives.

    Args:
        pictures: Delivered pictures, POSIX-style relative paths.
        table: From ``read_manifest``: its paths may be relative, a Windows PC's whole ones, or
            file names alone.
        where: The table, for messages.

    Returns:
        The plan; ``more`` has the table's other columns.

    Raises:
        UserError: If the table names none of the pictures, or one of them twice.
    """
    places = _Places(pictures)
    plan = Plan()
    rows = table.to_dict("records")
    taken: dict[str, str] = {}
    for row in rows:
        name = str(row["path"])
        found = places.find(name)
        if not found:
            plan.refused.append((name, NOT_THERE))
            continue
        if found in taken:
            raise UserError(
                f"{where}: '{taken[found]}' and '{name}' are one picture, '{found}'; leave one row"
            )
        taken[found] = name
        parent = PurePosixPath(found).parent.as_posix()
        plan.picks.append(Pick(found, found, str(row["label"]), str(row["split"]), parent))
        plan.more[found] = _others(row)
    if not plan.picks:
        raise UserError(
            f"{where}: none of its {len(rows):,} rows names a picture that is here: "
            f"'{rows[0]['path']}' in the table, '{pictures[0] if pictures else 'no picture'}' in "
            "the folder; paths start at the folder of the pictures, or are file names alone"
        )
    plan.refused += [(path, NOT_LISTED) for path in pictures if path not in taken]
    return plan


def with_castings(plan: Plan, group_from: str | None, lot_from: str | None) -> Plan:
    """Return a plan whose ``more`` names each picture's casting and lot where a rule is given.

    Args:
        plan: What becomes of the pictures; columns in ``more`` can be named.
        group_from: What names the casting: see `naming.names_from`, paths as they were delivered.
        lot_from: What names the lot.

    Raises:
        UserError: If a rule is wrong or names nothing.
    """
    import pandas as pd

    if group_from is None and lot_from is None:
        return plan
    rows = [{**plan.more.get(pick.source, {}), "path": pick.source} for pick in plan.picks]
    named = with_names(pd.DataFrame(rows).fillna(""), group_from, lot_from)
    more = {path: dict(known) for path, known in plan.more.items()}
    for column, rule in (("group", group_from), ("lot", lot_from)):
        if rule is None:
            continue
        for path, name in zip(named["path"], named[column], strict=True):
            if name:
                more.setdefault(path, {})[column] = name
    return replace(plan, more=more)


class _Places:
    """Finds pictures by what a table calls them."""

    def __init__(self, pictures: Sequence[str]) -> None:
        self._exact = {path.casefold(): path for path in pictures}
        by_name: dict[str, list[str]] = defaultdict(list)
        for path in pictures:
            by_name[PurePosixPath(path).name.casefold()].append(path)
        self._by_name: Mapping[str, list[str]] = by_name

    def find(self, name: str) -> str:
        """Return the picture of the longest common end, or an empty string if none or several."""
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        for start in range(len(parts)):
            path = "/".join(parts[start:]).casefold()
            if path in self._exact:
                return self._exact[path]
        same = self._by_name.get(parts[-1].casefold(), []) if parts else []
        return same[0] if len(same) == 1 and len(parts) == 1 else ""


def _others(row: Mapping[Hashable, object]) -> dict[str, str]:
    """Return what a row says beside path and class; empty cells say nothing."""
    others = {str(key): value for key, value in row.items() if key not in _OURS}
    return {key: str(value) for key, value in others.items() if value != ""}
