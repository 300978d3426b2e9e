"""Tables as people save them: Excel's marks, semicolons, Windows's letters, decimal commas."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Final, NamedTuple

from casting_inspect.errors import UserError

_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?")


class Cells(NamedTuple):
    """A table's text.

    Attributes:
        header: The first row, without blanks around the names.
        rows: (row as a spreadsheet counts, the header being row 1, cells) of every row that is
            not blank.
        delimiter: What separates the cells.
    """

    header: list[str]
    rows: list[tuple[int, list[str]]]


def read_cells(path: Path) -> Cells:
    """Read a table of text.

    UTF-8 with or without a byte order mark, UTF-16 with one, and else Windows-1252, as Excel
    saves "CSV" in western Europe; commas, semicolons or tabs; a first line ``sep=;`` is Excel's
    and is passed over.

    Raises:
        UserError: If the file cannot be read, or is no table.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    text = _text(data, path)
    skipped = 0
    first, _, rest = text.partition("\n")
    if told := re.fullmatch(r"sep=(.)\r?", first):
        text, skipped = rest, 1
    delimiter = told[1] if told else _delimiter(text.partition("\n")[0])
    try:
        table = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise UserError(f"{path}: not a table ({error}); save it as 'CSV UTF-8'") from None
    header = [name.strip() for name in table[0]] if table else []
    rows = [
        (at, cells)
        for at, cells in enumerate(table[1:], start=2 + skipped)
        if any(map(str.strip, cells))
    ]
    return Cells(header, rows)


def _text(data: bytes, path: Path) -> str:
    if data.startswith(_UTF16):
        encoding = "utf-16"
    elif b"\0" in data:
        raise UserError(f"{path}: no text but a spreadsheet's own file; save it as 'CSV UTF-8'")
    else:
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        # five of Windows-1252's bytes mean nothing; they are no letters of any language
        return data.decode("cp1252", "replace")


def _delimiter(header: str) -> str:
    return max(",;\t", key=lambda mark: (header.count(mark), -",;\t".index(mark)))


def decimal_point(cell: str) -> str:
    """Return a number written with a decimal comma with a point; anything else as it is."""
    return cell.replace(",", ".") if _DECIMAL.fullmatch(cell.strip()) else cell
