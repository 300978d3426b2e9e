"""The manifest: one row a picture, read from a table or from folders, checked and written."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Final

from casting_inspect.data import folders
from casting_inspect.data.archive import Entry, FolderSource
from casting_inspect.data.class_names import ClassNames, class_names
from casting_inspect.data.header import DecodeError, read_header
from casting_inspect.data.manifest_cells import (
    NUMBERS,
    check_columns,
    known_header,
    read_labels,
    read_rows,
)
from casting_inspect.data.naming import with_names
from casting_inspect.data.spreadsheet import decimal_point
from casting_inspect.errors import UserError, suggestion
from casting_inspect.files import replace_text, sha256_of_file

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: Final = ("path", "label", "group", "split", "source", "sha256", "width", "height")
OPTIONAL: Final = ("group_wide", "part", "lot", "capture", "kind", "defect_size")
_DECIMALS: Final = frozenset(("defect_size",))
_log = logging.getLogger(__name__)


def read_manifest(path: Path, names: ClassNames | None = None) -> pd.DataFrame:
    """Read and check a manifest.

    Only ``path`` and ``label`` are required, or what people call them (``Datei``, ``Klasse``, ...).
    Any table that `spreadsheet.read_cells` reads. Rows are counted as a spreadsheet does: the
    header is row 1.

    Args:
        path: The CSV file.
        names: What words in ``label`` mean; None for the built-in ones. Where ``names.normal`` says
            that all others are defective, their words are kept in the column ``kind``.

    Returns:
        ``COLUMNS`` first, missing ones empty, then what else the file has. Texts are str, empty
        where missing; width and height are Int64, NA where unknown. RangeIndex.

    Raises:
        UserError: With file and row, for a missing column, a wrong label or split, an empty or
            repeated path, a width that is no number, or a file that cannot be read.
    """
    raw, rows = read_rows(path)
    header = known_header(raw)
    for column, holds in (("path", "the pictures' file names"), ("label", "good and defective")):
        if column not in header:
            shown = ", ".join(name for name in raw if name)
            raise UserError(
                f"{path}: no column '{column}'.{suggestion(column, header)} Columns found: "
                f"{shown}; call the one with {holds} '{column}'"
            )
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UserError(f"{path}: column '{repeated[0]}' stands there twice")
    columns = {name: [cells[at] for _, cells in rows] for at, name in enumerate(header)}
    numbers = [number for number, _ in rows]
    read_labels(columns, names or class_names())
    for name in _DECIMALS & set(columns):
        columns[name] = list(map(decimal_point, columns[name]))
    check_columns(path, numbers, columns)
    return _frame(columns)


def _frame(columns: Mapping[str, Iterable[Any]]) -> pd.DataFrame:
    import pandas as pd

    size = len(list(columns["path"]))
    ordered = [*COLUMNS, *(name for name in columns if name not in COLUMNS)]
    series = {}
    for name in ordered:
        values = list(columns.get(name, [""] * size))
        if name in NUMBERS:
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
    root: Path,
    aliases: Mapping[str, str] | None = None,
    *,
    normal: Sequence[str] | None = None,
    keep_unreadable: bool = False,
) -> pd.DataFrame:
    """Make a manifest of a tree with normal/defective folders as they are.

    Every file is digested; of pictures only the header is read.

    Args:
        root: The folder; paths in the result are relative to it.
        aliases: Further folder names -> ``normal`` or ``defective``.
        normal: Names of folders with good castings; every other one is a kind of defect then.
        keep_unreadable: Whether a file without a readable header gets a row, without a size,
            instead of stopping.

    Returns:
        A manifest table sorted by path; ``source`` is the folder of each file.

    Raises:
        UserError: If there is no class folder, or a file in one is no readable picture.
    """
    try:
        source = FolderSource(root)
    except OSError as error:
        raise UserError(f"{root}: cannot be read ({error.strerror or error})") from None
    pictures = [
        entry
        for entry in source.entries
        if folders.is_picture(entry.path, partial(source.start, entry.path))
        and not folders.is_mask(entry.path)
    ]
    named = class_names(aliases, normal)
    names = folders.fitted_names([entry.path for entry in pictures], named)
    rows: list[dict[str, Any]] = []
    outside: list[str] = []
    for entry in pictures:
        place = folders.place_of(entry.path, names)
        if place.conflict:
            raise UserError(f"{root / entry.path}: {place.conflict}; rename one of them")
        if place.label:
            rows.append(_scanned(root, entry, place, keep_unreadable))
        else:
            outside.append(entry.path)
    if not rows:
        raise folders.no_class_folder(str(root), [entry.path for entry in source.entries], names)
    if outside:
        _log.warning(
            "%s: %d pictures are in no class folder and take no part (first: %s), %d do; %s",
            root,
            len(outside),
            outside[0],
            len(rows),
            folders.unknown_folders(outside, [row["path"] for row in rows], names),
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
        **({"kind": place.kind} if place.kind else {}),
    }


def find_manifest(
    root: Path,
    manifest: Path | None = None,
    aliases: Mapping[str, str] | None = None,
    *,
    normal: Sequence[str] | None = None,
    group_from: str | None = None,
    lot_from: str | None = None,
    keep_unreadable: bool = False,
) -> pd.DataFrame:
    """Return the manifest of a data root.

    Args:
        root: The folder with the pictures.
        manifest: A table to use instead of the folder's own ``manifest.csv``.
        aliases: Further words for the classes, of folders and in tables.
        normal: Words for good castings; every other one is a kind of defect then.
        group_from: What names the castings of pictures without a group, see `naming.names_from`.
        lot_from: What names the lots of pictures without one.
        keep_unreadable: For ``scan_folder`` too.

    Raises:
        UserError: If the folder is not there, or as ``read_manifest``, ``scan_folder`` and
            ``with_names`` say.
    """
    if not root.is_dir():
        raise UserError(f"data.root={root}: there is no such folder")
    own = root / "manifest.csv"
    if manifest is not None or own.is_file():
        frame = read_manifest(manifest or own, class_names(aliases, normal))
        frame = frame.assign(path=_with_slashes(frame["path"], root))
    else:
        frame = scan_folder(root, aliases, normal=normal, keep_unreadable=keep_unreadable)
    return with_names(frame, group_from, lot_from)


def _with_slashes(paths: pd.Series[str], root: Path) -> pd.Series[str]:
    """Return paths with slashes where Windows's backslashes lead to no file."""

    def one(path: str) -> str:
        return path.replace("\\", "/") if "\\" in path and not (root / path).is_file() else path

    return paths.map(one)


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
