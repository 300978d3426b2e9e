"""Groups for a whole manifest: a user's own are kept, those that pictures show are added."""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.data.audit import kept_answers
from casting_inspect.data.folds import units_of
from casting_inspect.data.found_names import found_name
from casting_inspect.files import cache_root, sha256_of_file

if TYPE_CHECKING:
    from casting_inspect.data.grouping import Grouping

VERSION: Final = 1
"""Raised whenever the same pictures would give other groups for a reason in this module."""


@dataclass(frozen=True)
class Grouped:
    """A manifest with groups and what was found on the way.

    Attributes:
        frame: The manifest with ``sha256``, ``group`` and ``group_wide`` filled for every row.
        links: ``first``, ``second`` (row numbers), ``score``, ``sure``: which pictures show the
            same photograph, as far as two were compared.
        embedding: (n, d), what the search for copies compares.
        facts: See `with_groups`.
    """

    frame: pd.DataFrame
    links: pd.DataFrame
    embedding: NDArray[np.float32]
    facts: dict[str, Any]


def with_groups(
    frame: pd.DataFrame, root: Path, *, cache: Path | None = None, progress: bool = True
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a manifest in which every row has ``group`` and ``group_wide``.

    Groups that are there are kept: a file without one joins the group whose photograph it shows.
    Given groups that the pictures say are one keep their names in ``group`` and are joined in
    ``group_wide``. A group that is new is called "g" and the first 12 digits of the smallest digest
    in it, a wide one "w" and so on: names depend on the files alone.

    Args:
        frame: A manifest; missing digests are filled in.
        root: What its paths are relative to.
        cache: Folder of the caches; by default the user's.
        progress: Whether bars are shown.

    Returns:
        A copy of the table, and facts: ``files``, ``groups``, ``groups_wide``, ``given`` (files
        that came with a group), ``added`` (files that joined a given group), ``joined`` (sets of
        given groups that the pictures say are one), ``unlike`` (given groups whose files the
        pictures do not connect), ``from_cache``, and ``search`` (the search's own facts).
    """
    found = find_all_groups(frame, root, cache=cache, progress=progress)
    return found.frame, found.facts


def find_all_groups(
    frame: pd.DataFrame, root: Path, *, cache: Path | None = None, progress: bool = True
) -> Grouped:
    """Return what `with_groups` does, with links and embedding."""
    table = _completed(frame, root)
    order = np.lexsort((table["path"].to_numpy(), table["sha256"].to_numpy()))
    folder = cache_root() if cache is None else cache
    ordered = table.iloc[order].reset_index(drop=True)
    found, from_cache = _searched(ordered, root, folder, progress)
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    named, facts = _named(ordered, found)
    links = found.links.copy()
    for column in ("first", "second"):
        links[column] = order[links[column].to_numpy(dtype=np.intp)]
    for column in ("sha256", "group", "group_wide"):
        table[column] = named[column].to_numpy()[place]
    facts = {**facts, "from_cache": from_cache, "search": found.facts}
    return Grouped(table, links, found.embedding[place], facts)


def _completed(frame: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Return a copy in which no digest is missing and both columns of groups are text."""
    table = frame.copy()
    for column in ("sha256", "group", "group_wide"):
        given = table[column] if column in table else pd.Series("", index=table.index)
        table[column] = given.fillna("").astype(str)
    missing = (table["sha256"] == "").to_numpy()
    if missing.any():
        digests = [sha256_of_file(root / path) for path in table.loc[missing, "path"]]
        table.loc[missing, "sha256"] = digests
    return table


def _searched(
    ordered: pd.DataFrame, root: Path, folder: Path, progress: bool
) -> tuple[Grouping, bool]:
    """Return the search's answer for a table in canonical order, and whether it was kept."""
    engine = importlib.import_module("casting_inspect.data.grouping")
    columns = ["path", "sha256", "group", "group_wide"]
    question = [VERSION, getattr(engine, "VERSION", 0), ordered[columns].to_numpy().tolist()]
    key = hashlib.sha256(json.dumps(question).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    kept = folder / "audit" / "groups" / f"{key}.npz"
    answer = kept_answers.read_arrays(kept)
    if answer is not None:
        return _unpacked(engine, answer), True
    found: Grouping = engine.find_groups(
        [root / path for path in ordered["path"]],
        ordered["sha256"].to_list(),
        cache=folder / "fingerprints",
        given=ordered["group"].to_list(),
        progress=progress,
    )
    kept_answers.write_arrays(kept, _packed(found))
    return found, False


def _packed(found: Grouping) -> dict[str, NDArray[Any]]:
    facts = json.dumps(found.facts, default=float).encode()
    return {
        "group": found.group,
        "group_wide": found.group_wide,
        "embedding": found.embedding.astype(np.float16),
        "first": found.links["first"].to_numpy(dtype=np.int32),
        "second": found.links["second"].to_numpy(dtype=np.int32),
        "score": found.links["score"].to_numpy(dtype=np.float32),
        "sure": found.links["sure"].to_numpy(dtype=bool),
        "facts": np.frombuffer(facts, dtype=np.uint8),
    }


def _unpacked(engine: Any, answer: dict[str, NDArray[Any]]) -> Grouping:
    links = {name: answer[name] for name in ("first", "second", "score", "sure")}
    found: Grouping = engine.Grouping(
        group=answer["group"].astype(np.intp),
        group_wide=answer["group_wide"].astype(np.intp),
        links=pd.DataFrame(links).astype({"first": np.intp, "second": np.intp}),
        embedding=answer["embedding"].astype(np.float32),
        facts=json.loads(answer["facts"].tobytes()),
    )
    return found


def _named(ordered: pd.DataFrame, found: Grouping) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return ``sha256``, ``group``, ``group_wide`` of each row, and facts about given groups."""
    given = ordered["group"].to_numpy(dtype=object)
    group = given.copy()
    added = 0
    for rows in _members(found.group):
        names = pd.Series(given[rows][given[rows] != ""])
        new = rows[given[rows] == ""]
        if names.empty:
            group[rows] = found_name(ordered["sha256"].iloc[rows].min())
        elif len(new):
            counts = names.value_counts()
            group[new] = min(counts.index[counts == counts.max()])
            added += len(new)
    wide = _wide(ordered, group, found.group_wide)
    table = pd.DataFrame({"sha256": ordered["sha256"], "group": group, "group_wide": wide})
    facts = {
        "files": len(table),
        "groups": int(table["group"].nunique()),
        "groups_wide": int(table["group_wide"].nunique()),
        "given": int((given != "").sum()),
        "added": added,
        "joined": _joined(given, table),
        "unlike": _unlike(given, found.links),
    }
    return table, facts


def _members(numbers: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return the rows of each group, groups in the order of their numbers."""
    order = np.argsort(numbers, kind="stable")
    cuts = np.flatnonzero(np.diff(numbers[order])) + 1
    return np.split(order, cuts)


def _wide(
    ordered: pd.DataFrame, group: NDArray[Any], possible: NDArray[np.intp]
) -> NDArray[np.object_]:
    """Return the wide group's name of each row: possible links, groups and given wide ones."""
    units = units_of(
        pd.DataFrame({"group": group, "group_wide": [str(number) for number in possible]})
    )
    both = {"group": [str(unit) for unit in units], "group_wide": ordered["group_wide"]}
    units = units_of(pd.DataFrame(both))
    smallest = ordered["sha256"].groupby(units).transform("min")
    names: NDArray[np.object_] = np.array(
        [found_name(digest, wide=True) for digest in smallest], dtype=object
    )
    return names


def _joined(given: NDArray[Any], table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the sets of given groups that share a wide group, the largest first."""
    known = pd.DataFrame({"given": given, "wide": table["group_wide"]})
    known = known[known["given"] != ""]
    sets = [
        {"group_wide": wide, "groups": sorted(set(rows["given"])), "files": len(rows)}
        for wide, rows in known.groupby("wide")
        if rows["given"].nunique() > 1
    ]
    return sorted(sets, key=lambda each: (-int(each["files"]), str(each["group_wide"])))


def _unlike(given: NDArray[Any], links: pd.DataFrame) -> list[str]:
    """Return the given groups of several files of which no two are linked by their pictures.

    Photographs of one casting need not look alike, so this is no complaint.
    """
    first = given[links["first"].to_numpy(dtype=np.intp)]
    second = given[links["second"].to_numpy(dtype=np.intp)]
    linked = set(first[first == second])
    names, counts = np.unique(given[given != ""].astype(str), return_counts=True)
    return [str(name) for name in names[counts > 1] if name not in linked]
