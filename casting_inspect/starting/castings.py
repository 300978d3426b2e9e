"""Which names tell castings apart: the rule that is proposed for ``data.group_from``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from casting_inspect.data.class_names import plain_word
from casting_inspect.data.naming import names_from
from casting_inspect.errors import UserError
from casting_inspect.labels import CLASS_NAMES

_CASTINGS: Final = (
    "group casting part partid serial serialnumber serialno sn teil teilid teilenummer teilenr "
    "gussteil gussteilid seriennummer seriennr nummer"
)
_LOTS: Final = "lot batch charge los chargennummer chargennr heat schmelze"
_RULES: Final = (
    "folder:-1",
    "folder:-2",
    r"path:([^/]+)[_ -][^/_ -]*$",  # all but the last piece: T0012_top of T0012_top_2
    r"path:([^/_ -]+)[_ -][^/]*$",  # its first piece: T0012 of T0012_top_2
)
_FEWEST: Final = 8
_FEWEST_OF_CLASS: Final = _FEWEST // 2
"""Fewer names in a class are its folder, or its kinds of defect, and no castings."""
_LARGEST: Final = 12
"""Pictures of one casting that half of a class's castings may have at most: more is a day or a
lot."""


def _column(header: Sequence[str], words: str) -> str | None:
    known = words.split()
    return next((name for name in header if plain_word(name).replace("_", "") in known), None)


def casting_column(header: Sequence[str]) -> str | None:
    """Return the column that names castings, going by its own name."""
    return _column(header, _CASTINGS)


def lot_column(header: Sequence[str]) -> str | None:
    """Return the column that names lots, going by its own name."""
    return _column(header, _LOTS)


def proposed_rule(paths: Sequence[str], labels: Sequence[str]) -> str | None:
    """Return the rule by which paths tell castings apart, or None where none is convincing.

    Args:
        paths: Of the pictures.
        labels: Of each, ``normal`` or ``defective``.
    """
    return next((rule for rule in _RULES if is_convincing(rule, paths, labels)), None)


def is_convincing(rule: str, paths: Sequence[str], labels: Sequence[str]) -> bool:
    """Say whether a rule gives names that look like castings.

    Most pictures share their name with another one; in each class there are several names, and few
    pictures of each; hardly any casting is both good and defective.

    Args:
        rule: See `naming.names_from`.
        paths: Of the pictures.
        labels: Of each, ``normal`` or ``defective``.
    """
    try:
        names = names_from(rule, paths, None, "data.group_from")
    except UserError:
        return False
    sizes = Counter(name for name in names if name)
    together = sum(size for size in sizes.values() if size > 1)
    if len(sizes) < _FEWEST or together < 0.8 * len(paths):
        return False
    classes: dict[str, set[str]] = defaultdict(set)
    for name, label in zip(names, labels, strict=True):
        if name:
            classes[name].add(label)
    for label in CLASS_NAMES:
        of_class = sorted(sizes[name] for name, found in classes.items() if label in found)
        if len(of_class) < _FEWEST_OF_CLASS or of_class[len(of_class) // 2] > _LARGEST:
            return False
    return sum(len(found) > 1 for found in classes.values()) <= 0.05 * len(sizes)
