"""What a folder's own names seem to mean: classes, castings, lots, with a reason for each."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from casting_inspect.data import folders
from casting_inspect.data.class_names import ClassNames, class_names, counted_words
from casting_inspect.data.delivered_table import plan_table
from casting_inspect.data.manifest import read_manifest
from casting_inspect.errors import UserError
from casting_inspect.labels import CLASS_NAMES
from casting_inspect.shell import typed
from casting_inspect.starting.castings import casting_column, lot_column, proposed_rule
from casting_inspect.starting.look import Look, Table, table_of


@dataclass(frozen=True)
class Words:
    """How names are read, as ``prepare`` takes it; None and empty where nothing is said.

    Attributes:
        manifest: A table with file names and classes.
        normal: Words for good castings; every other one is a kind of defect.
        aliases: Word -> class.
        group_from: What names the casting.
        lot_from: What names the lot.
    """

    manifest: str | None = None
    normal: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    group_from: str | None = None
    lot_from: str | None = None

    def overrides(self) -> list[str]:
        """Return them as they are typed after ``casting-inspect prepare``."""
        typed = [f"data.manifest={self.manifest}"] if self.manifest else []
        typed += [folders.normal_words(self.normal).strip('"')] if self.normal else []
        typed += [f"aliases={{{', '.join(f'{k}: {v}' for k, v in self.aliases.items())}}}"] * bool(
            self.aliases
        )
        typed += [f"data.group_from={self.group_from}"] if self.group_from else []
        typed += [f"data.lot_from={self.lot_from}"] if self.lot_from else []
        return typed

    def plain(self) -> dict[str, Any]:
        """Return plain data."""
        return {**vars(self), "normal": list(self.normal), "aliases": dict(self.aliases)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Words:
        """Return what ``plain`` has given."""
        return cls(**{**plain, "normal": tuple(plain["normal"])})


@dataclass(frozen=True)
class Reading:
    """Pictures with their classes under some words.

    Attributes:
        counts: Pictures by class.
        found: Lines for the screen: which folder or word is which class.
        paths: Of the pictures whose class is known.
        labels: Of each of them.
        left: What becomes of the others; empty where there are none.
        columns: What the table says of each of them, empty columns left out; None without one.
    """

    counts: Mapping[str, int]
    found: list[str]
    paths: list[str]
    labels: list[str]
    left: str = ""
    columns: pd.DataFrame | None = None

    @property
    def header(self) -> list[str]:
        """Names of the table's columns; none without one."""
        return [] if self.columns is None else [str(name) for name in self.columns]


class UndecidedError(Exception):
    """Nobody but the user knows which of some words means good.

    Attributes:
        words: Each word with its number of pictures.
        given: What is known otherwise; the good ones among ``words`` become its ``normal``.
        error: What to say where nobody can be asked.
    """

    def __init__(self, words: Counter[str], given: Words, error: UserError) -> None:
        super().__init__(str(error))
        self.words = words
        self.given = given
        self.error = error


def proposed(look: Look, given: Words) -> Words:
    """Return what the user gave, completed by what names seem to mean.

    Args:
        look: What lies in the folder.
        given: What the user has said; it wins.

    Raises:
        UndecidedError: If nothing tells which castings are the good ones.
        UserError: If there is no way to know.
    """
    words = given if given.manifest or given.normal or given.aliases else _classes(look, given)
    reading = read(look, words)
    if not words.group_from:
        rule = casting_column(reading.header) or proposed_rule(reading.paths, reading.labels)
        words = replace(words, group_from=rule)
    if not words.lot_from:
        words = replace(words, lot_from=lot_column(reading.header))
    return words


def read(look: Look, words: Words) -> Reading:
    """Return the pictures' classes under some words.

    Raises:
        UserError: If a table is wrong, or pictures of one class alone are found.
    """
    names = class_names(words.aliases, words.normal)
    if words.manifest:
        reading = _by_table(look, Path(words.manifest), names)
    else:
        reading = _by_folder(look, folders.fitted_names(look.pictures, names))
    if not reading.paths:
        raise folders.no_class_folder(str(look.where), look.pictures, names)
    for label, other in (CLASS_NAMES, CLASS_NAMES[::-1]):
        if reading.counts.get(label) and not reading.counts.get(other):
            raise _one_class(look, label, reading)
    return reading


def _classes(look: Look, given: Words) -> Words:
    """Return words under which both classes are found."""
    names = folders.fitted_names(look.pictures, class_names())
    labels = [folders.place_of(path, names).label for path in look.pictures]
    strange = [path for path, label in zip(look.pictures, labels, strict=True) if not label]
    known = set(labels) - {""}
    tables = [table for table in look.tables if table.complete]
    if not known and tables:
        return _by_words(given, tables[0])
    for table in tables:
        if casting_column(table.header):  # it says more than folders do
            with contextlib.suppress(UndecidedError):
                return _by_words(given, table)
    if len(known) == len(CLASS_NAMES):
        return given
    good = {
        folder
        for path in look.pictures
        for folder in PurePosixPath(path).parts[:-1]
        if names.known(folder) == CLASS_NAMES[1]
    }
    if good and strange:
        return replace(given, normal=tuple(sorted(good)))
    if not strange:
        return given  # one class, and `read` says so
    hint = f" {look.tables[0].path.name} {_no_columns(look.tables[0])}." if look.tables else ""
    if not any("/" in path for path in look.pictures):
        raise UserError(f"{folders.no_class_folder(str(look.where), look.pictures, names)}{hint}")
    own = Counter(map(_folder, look.pictures))
    first = min(map(_folder, strange))
    raise UndecidedError(
        own,
        given,
        UserError(
            f"{look.where}: which folder holds the good castings is not known: "
            f"{counted_words(own.elements(), names)}. If it is {first!r}, and all others are "
            f"defects, type casting-inspect start {typed([str(look.where)])} "
            f"{folders.normal_words([first])}.{hint}"
        ),
    )


def _by_words(given: Words, table: Table) -> Words:
    """Return the words with which a table's labels become classes."""
    words = replace(given, manifest=str(table.path))
    names = class_names()
    unknown = [word for word in table.labels if word and not names.known(word)]
    good = tuple(sorted(word for word in table.labels if names.known(word) == CLASS_NAMES[1]))
    if not unknown:
        return words
    if good:
        return replace(words, normal=good)
    raise UndecidedError(
        table.labels,
        words,
        UserError(
            f"{table.path}: which of its words means a good casting is not known: "
            f"{counted_words(table.labels.elements(), names)}; add "
            f"{folders.normal_words(unknown[:1])} if that one does and all others are defects"
        ),
    )


def _by_table(look: Look, path: Path, names: ClassNames) -> Reading:
    plan = plan_table(look.pictures, read_manifest(path, names), str(path))
    counts = Counter(pick.label for pick in plan.picks)
    table = table_of(path)
    words = Counter() if table is None else table.labels
    found = []
    for label in CLASS_NAMES:
        own = [word for word in words if word and names.label_of(word) == label]
        said = ", ".join(f"{word!r} {words[word]:,}" for word in own)
        found.append(f"{path.name}: {counts[label]:,} pictures {_word(label)} ({said})")
    left = f"{len(plan.refused):,} pictures or rows without their other half are left out"
    columns = pd.DataFrame([plan.more[pick.source] for pick in plan.picks]).fillna("")
    paths = [pick.path for pick in plan.picks]
    labels = [pick.label for pick in plan.picks]
    return Reading(counts, found, paths, labels, left if plan.refused else "", columns)


def _by_folder(look: Look, names: ClassNames) -> Reading:
    places = [folders.place_of(path, names) for path in look.pictures]
    known = [
        (path, place) for path, place in zip(look.pictures, places, strict=True) if place.label
    ]
    of_folder: Counter[tuple[str, str]] = Counter(
        (_class_folder(path, place, names), place.label) for path, place in known
    )
    found = [
        f"folder {folder!r}: {number:,} pictures {_word(label)}"
        for (folder, label), number in sorted(of_folder.items(), key=lambda each: each[0][1])
    ]
    others = [path for path, place in zip(look.pictures, places, strict=True) if not place.label]
    shown = counted_words([_folder(path) for path in others], names)
    left = f"{len(others):,} pictures in other folders are left out: {shown}" if others else ""
    counts = Counter(place.label for _, place in known)
    return Reading(counts, found, [path for path, _ in known], [p.label for _, p in known], left)


def _word(label: str) -> str:
    return "good" if label == CLASS_NAMES[1] else label


def _class_folder(path: str, place: folders.Place, names: ClassNames) -> str:
    if place.kind:
        return place.kind
    parts = PurePosixPath(path).parts[:-1]
    return next(folder for folder in parts if names.known(folder) == place.label)


def _folder(path: str) -> str:
    return PurePosixPath(path).parent.name or "no folder"


def _no_columns(table: Table) -> str:
    lacking = [name for name in ("path", "label") if name not in table.header]
    says = {"path": "the file names", "label": "good or defective"}
    words = " and ".join(f"with {says[name]} (call it '{name}')" for name in lacking)
    return f"has no column {words}; its columns are {', '.join(table.raw)}"


def _one_class(look: Look, label: str, reading: Reading) -> UserError:
    have, lack = ("good", "defective") if label == CLASS_NAMES[1] else ("defective", "good")
    example = "nio" if lack == "defective" else "io"
    return UserError(
        f"{look.where}: all {reading.counts[label]:,} pictures are of {have} castings "
        f"({'; '.join(reading.found[:3])}); an inspector learns from both: put pictures of {lack} "
        f"castings into a folder beside them, named {example}, and type the same command"
    )
