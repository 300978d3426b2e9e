"""What is to be inspected: a file, folder, glob, zip, manifest or list, as names and contents."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import Final

from casting_inspect.data.archive import Source, ZipSource, files_below
from casting_inspect.data.decode import MAX_PIXELS, byte_limit
from casting_inspect.data.folders import is_mask, is_picture
from casting_inspect.data.header import DecodeError
from casting_inspect.deployment.lists import (
    names_in,
    names_in_table,
    names_in_text,
    with_slashes,
)
from casting_inspect.deployment.mounted import Mounted
from casting_inspect.deployment.verdict import Picture
from casting_inspect.errors import UserError

Content = Path | bytes | Picture
"""A file, its bytes, or a picture that is decoded already, as a camera gives it."""
TABLES: Final = (".csv",)
LISTS: Final = (".txt",)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Item:
    """One picture to inspect.

    Attributes:
        name: What its row calls it.
        content: Gives its content; raises `DecodeError` when that cannot be had.
        file: Where it lies as a file of its own, or None.
        mark: What tells it from other pictures of its name; empty where a name is used once.
        again: Called when it cannot be read; says whether to try once more, and raises `UserError`
            where all of the source is gone.
    """

    name: str
    content: Callable[[], Content]
    file: Path | None = None
    mark: str = ""
    again: Callable[[], bool] = lambda: False


@dataclass
class Items:
    """The pictures of a source, in an order that stays the same.

    Attributes:
        where: The source as it was given.
        each: The pictures.
        total: How many there are, or None: nobody knows yet.
        live: Whether they come as time goes by, so that each is wanted at once.
        endless: Whether they come until they are stopped.
        newest: Whether one is to be taken only when the one before is judged: a later one is
            better than one that has waited.
        left_out: Files that are no pictures, and pictures of masks, where defects are.
        repeated: Names that came again; each is inspected once.
        close: Lets go of what is open.
    """

    where: str
    each: Iterable[Item]
    total: int | None = None
    live: bool = False
    endless: bool = False
    newest: bool = False
    left_out: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    close: Callable[[], None] = lambda: None


def shown(name: str) -> str:
    """Return a name as rows hold it: on one line and in UTF-8, odd bytes escaped."""
    text = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return _CONTROL.sub(lambda sign: f"\\x{ord(sign.group()):02x}", text)


def key_of(name: str) -> bytes:
    """Return what a name is remembered by, in little memory."""
    return hashlib.blake2b(shown(name).encode("utf-8"), digest_size=16).digest()


def open_items(
    source: str,
    *,
    root: Path | None = None,
    outputs: Iterable[Path] = (),
    lines: Iterable[bytes] = (),
    max_pixels: int = MAX_PIXELS,
    emptied: bool = False,
) -> Items:
    """Return the pictures of a file, folder, glob, zip, manifest, or of a list.

    Args:
        source: What the user gave; ``-`` is a list, one path a line, and so is a ``.txt`` file.
        root: What paths in a manifest or a list are relative to; None: the manifest's folder, and
            for a list, on standard input or in a text file, this process's.
        outputs: Folders that results go to, and that are no source although they may lie in one.
        lines: The list, for ``-``.
        max_pixels: Members of a zip file that cannot be so few pixels are not unpacked.
        emptied: Whether an earlier run may have moved all pictures out of a folder or glob.

    Raises:
        UserError: If there is nothing to inspect there.
    """
    if source == "-":
        found = Items("the list", (), live=True)
        found.each = _listed(lines, root or Path(), found)
        return found
    path = Path(source)
    try:
        if path.is_dir():
            return _folder(path, list(outputs), emptied)
        if path.suffix.lower() == ".zip" and path.is_file():
            return _zip(path, max_pixels)
        if path.suffix.lower() in (*TABLES, *LISTS) and path.is_file():
            return _table(path, root)
        if path.exists():
            return Items(source, [_file_item(source, path, Mounted(path.parent))], 1)
    except OSError as error:
        at = f": {error.filename}" if error.filename not in (None, source) else ""
        reason = f"{error.strerror or error}{at}"
        raise UserError(f"source={source}: cannot be read ({reason})") from None
    if glob.has_magic(source):
        return _glob(source, list(outputs), emptied)
    raise UserError(f"source={source}: there is no such file or folder")


def _file_item(name: str, path: Path, home: Mounted) -> Item:
    return Item(name, lambda: path, path, again=home.check)


def _file_items(names: Iterable[str], root: Path) -> Iterator[Item]:
    """Return files that lie anywhere; where they do is looked at now, unless they are yet to come.

    Args:
        names: Their paths.
        root: What these are relative to.
    """
    known = names if isinstance(names, list) else []
    homes = {folder: Mounted(folder) for folder in {(root / name).parent for name in known}}

    def each() -> Iterator[Item]:
        for name in names:
            path = root / name
            if path.parent not in homes:
                homes[path.parent] = Mounted(path.parent)
            yield _file_item(name, path, homes[path.parent])

    return each()


def _folder(root: Path, outputs: list[Path], emptied: bool) -> Items:
    """Return the pictures below a folder, sorted within each of its folders."""
    within = resolved_outputs(root, outputs)
    found = Items(str(root), ())
    names: list[str] = []
    masks = _masks(root)
    for file in files_below(root):
        if _is_within(file, within):
            continue
        name = file.relative_to(root).as_posix()
        mask = name in masks or is_mask(name)
        kept = not mask and is_picture(name, partial(_start, file))
        (names if kept else found.left_out).append(name)
    if not names and not emptied:
        raise UserError(f"source={root}: {_nothing(found.left_out)}")
    home = Mounted(root)
    found.each = (_file_item(name, root / name, home) for name in names)
    found.total = len(names)
    return found


def resolved_outputs(root: Path, outputs: Iterable[Path]) -> list[Path]:
    """Return the folders of results, resolved; all else below a folder is its pictures.

    Raises:
        UserError: If one is the folder itself or holds it.
    """
    within = [place.resolve() for place in outputs]
    if _is_within(root, within):
        raise UserError(
            f"source={root}: results must not go to the folder that is inspected, nor to one that "
            "it lies in"
        )
    return within


def _masks(root: Path) -> set[str]:
    """Return what a prepared folder's tables name as masks of defects: no pictures of parts."""
    from casting_inspect.data.manifest_cells import known_header, read_rows

    found: set[str] = set()
    for table in ("manifest.csv", "defects.csv"):
        try:
            raw, rows = read_rows(root / table)
            header = known_header(raw)
        except (OSError, UserError):  # none, or a table of another kind
            continue
        if {"path", "mask"} <= set(header):
            at = header.index("mask")
            found |= {Path(cells[at]).as_posix() for _, cells in rows if cells[at]}
    return found


def _nothing(left_out: list[str]) -> str:
    if not left_out:
        return "the folder is empty"
    masks = [name for name in left_out if is_mask(name)]
    hint = "; folders named mask, masks or ground_truth show defects, no parts" if masks else ""
    example = shown((masks or left_out)[0])
    return f"no picture is in it ({len(left_out)} other files, such as {example}{hint})"


def _start(file: Path) -> bytes:
    """Return a file's first bytes; nothing of what is no regular file, which might block."""
    try:
        if not file.is_file():
            return b""
        with file.open("rb") as stream:
            return stream.read(16)
    except OSError:
        return b""


def _glob(pattern: str, outputs: list[Path], emptied: bool) -> Items:
    """Return the pictures of a pattern, sorted; results of this command's are none of them."""
    found = Items(pattern, ())
    within = [place.resolve() for place in outputs]
    above = _fixed_part(pattern)
    found_names = glob.iglob(pattern, recursive=True)  # noqa: PTH207 - Path takes no absolute one
    files = sorted({name for name in found_names if not Path(name).is_dir()})
    inspected = [name for name in files if not _is_within(Path(name), within)]
    if files and not inspected and not emptied:
        raise UserError(f"source={pattern}: results must not go to the folder that is inspected")
    names: list[str] = []
    for name in inspected:
        mask = is_mask(PurePath(*PurePath(name).parts[above:]).as_posix())
        kept = not mask and is_picture(Path(name).as_posix(), partial(_start, Path(name)))
        (names if kept else found.left_out).append(name)
    if not names and not emptied:
        reason = _nothing(found.left_out) if found.left_out else "no picture has such a name"
        raise UserError(f"source={pattern}: {reason}")
    found.each = _file_items(names, Path())
    found.total = len(names)
    return found


def _fixed_part(pattern: str) -> int:
    """Return how many parts of a pattern, as given, stand before its first wildcard."""
    parts = PurePath(pattern).parts
    return next(at for at, part in enumerate(parts) if glob.has_magic(part))


def _is_within(file: Path, places: list[Path]) -> bool:
    """Say whether a file or folder is one of some resolved folders, or lies in one."""
    return bool(places) and any(file.resolve().is_relative_to(place) for place in places)


def _zip(path: Path, max_pixels: int) -> Items:
    archive: Source = ZipSource(path)
    found = Items(str(path), (), close=archive.close)
    names: list[str] = []
    for entry in archive.entries:
        start = partial(archive.start, entry.path)
        kept = not is_mask(entry.path) and is_picture(entry.path, start)
        (names if kept else found.left_out).append(entry.path)
    if not names:
        archive.close()
        raise UserError(f"source={path}: {_nothing(found.left_out)}")
    limit = byte_limit(max_pixels)
    home = Mounted(path.parent)
    found.each = (
        Item(name, partial(archive.read, name, limit), again=home.check) for name in names
    )
    found.total = len(names)
    return found


def _table(path: Path, root: Path | None) -> Items:
    """Return the pictures that a manifest, or a text file with a path a line, names."""
    text = path.suffix.lower() in LISTS
    base = root or (Path() if text else path.parent)
    listed = names_in_text(path) if text else names_in_table(path)
    found = Items(str(path), ())
    names = list(_once((with_slashes(name, base) for name in listed), found))
    if not names:
        raise UserError(f"source={path}: the list is empty: give a path a line")
    found.each = _file_items(names, base)
    found.total = len(names)
    return found


def _once(names: Iterable[str], found: Items) -> Iterator[str]:
    """Yield names, each one once; those that come again are noted."""
    seen: set[bytes] = set()
    for name in names:
        key = key_of(name)
        if key in seen:
            found.repeated.append(name)
        else:
            seen.add(key)
            yield name


def _listed(lines: Iterable[bytes], root: Path, found: Items) -> Iterator[Item]:
    """Yield the pictures of a list, read as it comes; an empty list is a mistake."""
    names = (with_slashes(name, root) for name in names_in(lines))
    empty = True
    for item in _file_items(_once(names, found), root):
        empty = False
        yield item
    if empty:
        raise UserError("source=-: the list on standard input is empty: give a path a line")


__all__ = [
    "Content",
    "DecodeError",
    "Item",
    "Items",
    "key_of",
    "open_items",
    "resolved_outputs",
    "shown",
]
