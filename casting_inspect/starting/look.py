"""What lies in a folder, by names alone: pictures, masks, and tables that name pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from casting_inspect.data.archive import open_source
from casting_inspect.data.folders import is_mask, is_picture
from casting_inspect.data.manifest_cells import known_header
from casting_inspect.data.spreadsheet import read_cells
from casting_inspect.errors import UserError

_TABLES: Final = (".csv", ".tsv")


@dataclass(frozen=True)
class Table:
    """A table beside the pictures.

    Attributes:
        path: The file.
        header: Its columns, those of file names and classes called ``path`` and ``label``.
        raw: Its columns as they are called.
        labels: The words in ``label`` with their numbers; empty without that column.
    """

    path: Path
    header: list[str]
    raw: list[str]
    labels: Counter[str] = field(default_factory=Counter)

    @property
    def complete(self) -> bool:
        """Whether it names pictures and their classes."""
        return {"path", "label"} <= set(self.header)


@dataclass(frozen=True)
class Look:
    """What there is.

    Attributes:
        where: The folder or zip file.
        pictures: Of castings, POSIX-style relative paths, sorted.
        tables: Not deeper than the folder itself; a zip's are not looked at.
    """

    where: Path
    pictures: list[str]
    tables: list[Table] = field(default_factory=list)


def look_at(source: Path) -> Look:
    """Return what lies in a folder or zip file; no picture is opened.

    Raises:
        UserError: If it cannot be read, or holds no picture.
    """
    found = open_source(source)
    try:
        paths = [entry.path for entry in found.entries]
        pictures = [path for path in paths if is_picture(path, partial(found.start, path))]
    finally:
        found.close()
    castings = [path for path in pictures if not is_mask(path)]
    if not castings:
        kinds = Counter(PurePosixPath(path).suffix.lower() or "no ending" for path in paths)
        shown = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common(5))
        raise UserError(
            f"{source}: there is no picture in it ({shown} files); name the folder with the "
            "pictures of good and of defective castings"
        )
    named = [path for path in paths if "/" not in path and path.lower().endswith(_TABLES)]
    tables = [table_of(source / name) for name in named if source.is_dir()]
    return Look(source, castings, [table for table in tables if table is not None])


def table_of(path: Path) -> Table | None:
    """Return a table's columns and words for classes; None for what is no table at all."""
    try:
        raw, rows = read_cells(path)
    except UserError:
        return None
    header = known_header(raw)
    if "label" not in header:
        return Table(path, header, raw)
    at = header.index("label")
    return Table(path, header, raw, Counter(cells[at] for _, cells in rows if len(cells) > at))
