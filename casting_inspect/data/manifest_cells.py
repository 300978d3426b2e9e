"""Cells of a manifest: rows of a whole table, headers as people write them, labels, checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from casting_inspect.data.class_names import ClassNames, plain_word
from casting_inspect.data.spreadsheet import Cells, read_cells
from casting_inspect.errors import UserError, suggestion
from casting_inspect.labels import CLASS_NAMES

SPLITS: Final = ("", "train", "val", "test")
NUMBERS: Final = ("width", "height")
_FILES: Final = (
    "file filename filepath image imagename imagefile picture datei dateiname bild bilddatei "
    "bildname foto"
)
_VERDICTS: Final = "class klasse result ergebnis befund urteil bewertung verdict"
_CALLED: Final = {"path": frozenset(_FILES.split()), "label": frozenset(_VERDICTS.split())}
"""What people call the two columns that are needed, without case, dots, blanks and underscores."""


def read_rows(path: Path) -> Cells:
    """Return the header and (spreadsheet row, cells) of every row that is not blank."""
    header, rows = read_cells(path)
    if not any(header):
        raise UserError(f"{path}: empty; the first row must name the columns path and label")
    for at, cells in rows:
        if len(cells) > len(header) and any(cells[len(header) :]):
            raise UserError(
                f"{path}, row {at}: {len(cells)} cells under {len(header)} columns; a path with a "
                "comma must stand in double quotes"
            )
        cells.extend([""] * (len(header) - len(cells)))
    if not rows:
        raise UserError(f"{path}: has no rows")
    return Cells(header, rows)


def known_header(header: list[str]) -> list[str]:
    """Return the header with path and label for what people call them, where one column is."""
    for column, words in _CALLED.items():
        alike = [at for at, name in enumerate(header) if plain_word(name).replace("_", "") in words]
        if column not in header and len(alike) == 1:
            header = [column if at == alike[0] else name for at, name in enumerate(header)]
    return header


def read_labels(columns: dict[str, list[str]], names: ClassNames) -> None:
    """Put classes in the place of the words for them; kinds of defects go into ``kind``.

    Args:
        columns: The table's, changed in place.
        names: What words mean.
    """
    words = columns["label"]
    if names.normal and "kind" not in columns:
        kinds = [word if names.label_of(word) == CLASS_NAMES[0] else "" for word in words]
        columns["kind"] = kinds
    own = [word if word in CLASS_NAMES and not names.normal else "" for word in words]
    columns["label"] = [
        one or names.label_of(word) or word for one, word in zip(own, words, strict=True)
    ]


def check_columns(path: Path, numbers: Sequence[int], columns: Mapping[str, list[str]]) -> None:
    """Check every cell of the known columns.

    Raises:
        UserError: With file and row, for the first one that is wrong.
    """
    seen: dict[str, int] = {}
    for at, name in zip(numbers, columns["path"], strict=True):
        if not name:
            raise UserError(f"{path}, row {at}: the path is empty")
        if name in seen:
            raise UserError(f"{path}, row {at}: path '{name}' stands in row {seen[name]} already")
        seen[name] = at
    for at, label in zip(numbers, columns["label"], strict=True):
        if label not in CLASS_NAMES:
            raise UserError(
                f"{path}, row {at}: label '{label}' must be 'normal' or 'defective'."
                f"{suggestion(label, CLASS_NAMES)} If all but one are kinds of defects, name that "
                "one: data.normal=[NAME]"
            )
    for at, split in zip(numbers, columns.get("split", [""] * len(numbers)), strict=True):
        if split not in SPLITS:
            raise UserError(
                f"{path}, row {at}: split '{split}' must be train, val, test or empty."
                f"{suggestion(split, SPLITS[1:])}"
            )
    for column in NUMBERS:
        for at, value in zip(numbers, columns.get(column, [""] * len(numbers)), strict=True):
            if value and not (value.isascii() and value.isdigit()):
                raise UserError(f"{path}, row {at}: {column} '{value}' is not a whole number")
