"""The manifest: one row a picture, read from a table or from folders, checked and written."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Final

from casting_inspect.data import folders
from casting_inspect.data.archive import Entry, FolderSource
from casting_inspect.data.header import DecodeError, read_header
from casting_inspect.errors import UserError, suggestion
from casting_inspect.files import replace_text, sha256_of_file
from casting_inspect.labels import CLASS_NAMES

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: Final = ("path", "label", "group", "split", "source", "sha256", "width", "height")
OPTIONAL: Final = ("group_wide", "part", "lot", "capture", "kind", "defect_size")
SPLITS: Final = ("", "train", "val", "test")
_NUMBERS: Final = ("width", "height")
_log = logging.getLogger(__name__)


def read_manifest(path: Path) -> pd.DataFrame:
    """Read and check a manifest.

    Only ``path`` and ``label`` are required. UTF-8, with or without a byte order mark; commas, or
    semicolons as some spreadsheets write them. Rows are counted as a spreadsheet does: the header
    is row 1.

    Args:
        path: The CSV file.

    Returns:
        ``COLUMNS`` first, missing ones empty, then what else the file has. Texts are str, empty
        where missing; width and height are Int64, NA where unknown. RangeIndex.

    Raises:
        UserError: With file and row, for a missing column, a wrong label or split, an empty or
            repeated path, a width that is no number, or a file that cannot be read.
    """
    header, rows = _read_table(path)
    for column in ("path", "label"):
        if column not in header:
            raise UserError(f"{path}: no column '{column}'.{suggestion(column, header)}")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(f"{path}: column '{repeated[0]}' stands there twice")
    columns = {name: [cells[at] for _, cells in rows] for at, name in enumerate(header)}
    numbers = [number for number, _ in rows]
    _check_columns(path, numbers, columns)
    return _frame(columns)


def _read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and (spreadsheet row, cells) of every row that is not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            delimiter = ";" if first.count(";") > first.count(",") else ","
            table = list(csv.reader(stream, delimiter=delimiter, strict=True))
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; save it as 'CSV UTF-8'") from None
    except csv.Error as error:
        raise UserError(f"{path}: not a table with commas ({error})") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    header = [name.strip() for name in table[0]] if table else []
    if not any(header):
        raise UserError(f"{path}: empty; the first row must name the columns path and label")
    rows = [(at, cells) for at, cells in enumerate(table[1:], start=2) if any(cells)]
    for at, cells in rows:
        if len(cells) > len(header) and any(cells[len(header) :]):
            raise UserError(
                f"{path}, row {at}: {len(cells)} cells under {len(header)} columns; a path with a "
                "comma must stand in double quotes"
            )
        cells.extend([""] * (len(header) - len(cells)))
    if not rows:
        raise UserError(f"{path}: has no rows")
    return header, rows


def _check_columns(path: Path, numbers: Sequence[int], columns: Mapping[str, list[str]]) -> None:
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
                f"{suggestion(label, CLASS_NAMES)}"
            )
    for at, split in zip(numbers, columns.get("split", [""] * len(numbers)), strict=True):
        if split not in SPLITS:
            raise UserError(
                f"{path}, row {at}: split '{split}' must be train, val, test or empty."
                f"{suggestion(split, SPLITS[1:])}"
            )
    for column in _NUMBERS:
        for at, value in zip(numbers, columns.get(column, [""] * len(numbers)), strict=True):
            if value and not (value.isascii() and value.isdigit()):
                raise UserError(f"{path}, row {at}: {column} '{value}' is not a whole number")


def _frame(columns: Mapping[str, Iterable[Any]]) -> pd.DataFrame:
    import pandas as pd

    size = len(list(columns["path"]))
    ordered = [*COLUMNS, *(name for name in columns if name not in COLUMNS)]
    series = {}
    for name in ordered:
        values = list(columns.get(name, [""] * size))
        if name in _NUMBERS:
            whole = [int(value) if value not in ("", None) else None for value in values]
            series[name] = pd.Series(whole, dtype="Int64")
        else:
            series[name] = pd.Series(values, dtype=str)
    return pd.DataFrame(series)


def make_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a manifest table from rows with at least ``path`` and ``label``, sorted by path."""
    ordered = sorted(rows, key=lambda row: str(row["path"]))
    names = dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)])
    return _frame({name: [row.get(name, "") for row in ordered] for name in names})


def write_manifest(frame: pd.DataFrame, path: Path) -> None:
    """Write a manifest in one step: UTF-8, LF, rows as given, known columns first.

    Args:
        frame: A table with at least ``path`` and ``label``.
        path: The CSV file; replaced if it is there.
    """
    known = [name for name in (*COLUMNS, *OPTIONAL) if name in frame.columns]
    names = [*known, *(name for name in frame.columns if name not in known)]
    filled = frame[names].astype(object).where(frame[names].notna(), "")
    lines = [",".join(_cell(str(name)) for name in names)]
    lines += [",".join(_cell(str(value)) for value in row) for row in filled.to_numpy()]
    replace_text(path, "\n".join(lines) + "\n")


def _cell(value: str) -> str:
    # the csv module leaves a lone carriage return unquoted, and then cannot read it back
    if any(character in value for character in ',;"\r\n'):
        return '"' + value.replace('"', '""') + '"'
    return value


def scan_folder(
    root: Path, aliases: Mapping[str, str] | None = None, *, keep_unreadable: bool = False
) -> pd.DataFrame:
    """Make a manifest of a tree with normal/defective folders as they are.

    Every file is digested; of pictures only the header is read.

    Args:
        root: The folder; paths in the result are relative to it.
        aliases: Further folder names -> ``normal`` or ``defective``.
        keep_unreadable: Whether a file without a readable header gets a row, without a size,
            instead of stopping.

    Returns:
        A manifest table sorted by path; ``source`` is the folder of each file.

    Raises:
        UserError: If there is no class folder, or a file in one is no readable picture.
    """
    class_names = folders.class_aliases(aliases)
    try:
        source = FolderSource(root)
    except OSError as error:
        raise UserError(f"{root}: cannot be read ({error.strerror or error})") from None
    rows: list[dict[str, Any]] = []
    outside: list[str] = []
    for entry in source.entries:
        if not folders.is_picture(entry.path, partial(source.start, entry.path)):
            continue
        place = folders.place_of(entry.path, class_names)
        if place.conflict:
            raise UserError(f"{root / entry.path}: {place.conflict}; rename one of them")
        if place.label:
            rows.append(_scanned(root, entry, place, keep_unreadable))
        else:
            outside.append(entry.path)
    if not rows:
        raise folders.no_class_folder(str(root), [entry.path for entry in source.entries])
    if outside:
        _log.warning(
            "%s: %d pictures are in no class folder and take no part (first: %s); %d do",
            root,
            len(outside),
            outside[0],
            len(rows),
        )
    return make_frame(rows)


def _scanned(
    root: Path, entry: Entry, place: folders.Place, keep_unreadable: bool
) -> dict[str, Any]:
    size: dict[str, Any] = {}
    try:
        if entry.problem:
            raise DecodeError(entry.problem)
        header = read_header(root / entry.path)
        size = {"width": header.width, "height": header.height}
    except DecodeError as error:
        if not (keep_unreadable and (root / entry.path).is_file()):
            raise UserError(
                f"{root / entry.path}: {error}; remove it, or run prepare with on_bad=skip first"
            ) from None
    return {
        "path": entry.path,
        "label": place.label,
        "split": place.split,
        "source": PurePosixPath(entry.path).parent.as_posix(),
        "sha256": sha256_of_file(root / entry.path),
        **size,
    }


def find_manifest(
    root: Path,
    manifest: Path | None = None,
    aliases: Mapping[str, str] | None = None,
    *,
    keep_unreadable: bool = False,
) -> pd.DataFrame:
    """Return the manifest of a data root.

    Args:
        root: The folder with the pictures.
        manifest: A table to use instead of the folder's own ``manifest.csv``.
        aliases: For ``scan_folder``, when there is neither.
        keep_unreadable: For ``scan_folder`` too.

    Raises:
        UserError: If the folder is not there, or as ``read_manifest`` and ``scan_folder`` say.
    """
    if not root.is_dir():
        raise UserError(f"data.root={root}: there is no such folder")
    if manifest is not None:
        return read_manifest(manifest)
    if (root / "manifest.csv").is_file():
        return read_manifest(root / "manifest.csv")
    return scan_folder(root, aliases, keep_unreadable=keep_unreadable)


def check_files(frame: pd.DataFrame, root: Path) -> None:
    """Check that every path of a manifest is a file inside the data root.

    Args:
        frame: A manifest table.
        root: What its paths are relative to.

    Raises:
        UserError: If a path is absolute or climbs out of the root, or files are missing: how many,
            and the first.
    """
    missing = []
    for name in frame["path"]:
        windows = PureWindowsPath(name)
        if windows.drive or windows.root or ".." in PurePosixPath(name).parts:
            raise UserError(f"manifest path '{name}': must be relative and stay inside {root}")
        if not (root / name).is_file():
            missing.append(name)
    if missing:
        raise UserError(
            f"{root}: {len(missing)} of {len(frame)} files of the manifest are missing, first "
            f"'{missing[0]}'; is this the folder that the paths are relative to (with '/')?"
        )


def dataset_digest(frame: pd.DataFrame) -> str:
    """Return the SHA-256 of a data set: of the sorted (path, label, sha256) of its rows.

    Independent of the order of rows; a changed, added, removed, renamed or relabelled picture
    changes it.
    """
    rows = sorted(zip(frame["path"], frame["label"], frame["sha256"], strict=True))
    digest = hashlib.sha256()
    for row in rows:
        digest.update("\0".join(map(str, row)).encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()
