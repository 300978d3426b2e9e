"""Safe reading of delivered pictures: a folder or a zip file, neither of which is trusted."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final, Protocol

from casting_inspect.data.header import DecodeError
from casting_inspect.errors import UserError
from casting_inspect.files import is_gone, pulled

# Deflate reaches 1,032 to 1 on zeros; pictures stay far below, even uncompressed ones.
MAX_RATIO: Final = 200
_RATIO_MATTERS_FROM: Final = 2**20  # bytes unpacked; below that a ratio harms nobody


@dataclass(frozen=True)
class Entry:
    """A delivered file.

    Attributes:
        path: POSIX-style, relative to the source.
        size: Bytes, unpacked.
        problem: Why it cannot be taken; empty when it can.
    """

    path: str
    size: int
    problem: str = ""


class Source(Protocol):
    """What pictures are taken from; safe to read from several threads."""

    where: str
    entries: tuple[Entry, ...]

    def read(self, path: str, limit: int) -> bytes:
        """Return a file's bytes; DecodeError when they cannot be had or are more than limit."""
        ...

    def start(self, path: str) -> bytes:
        """Return the first 16 bytes, fewer or none when they cannot be had."""
        ...

    def close(self) -> None:
        """Close the archive."""
        ...


def open_source(source: Path | None) -> Source:
    """Open a folder or zip file of pictures and list it.

    Args:
        source: What the user gave.

    Returns:
        The source with its entries sorted by path.

    Raises:
        UserError: If it is missing, empty, not readable, no zip file, or not safe to unpack.
    """
    if source is None or not str(source):
        raise UserError("source is not given: name a zip file or a folder of pictures")
    try:
        if not source.exists():
            raise UserError(f"source={source}: there is no such file or folder")
        found: Source = FolderSource(source) if source.is_dir() else ZipSource(source)
    except OSError as error:
        at = f": {error.filename}" if error.filename not in (None, str(source)) else ""
        reason = f"{error.strerror or error}{at}"
        raise UserError(f"source={source}: cannot be read ({reason})") from None
    if not found.entries:
        found.close()
        raise UserError(f"source={source}: is empty")
    return found


class FolderSource:
    """A folder and all below it; links to files and folders are followed, loops are not."""

    def __init__(self, root: Path) -> None:
        self.where = str(root)
        self._root = root
        found = [_folder_entry(file, root) for file in files_below(root)]
        self.entries = tuple(sorted(found, key=lambda entry: entry.path))
        self._unreadable = {entry.path for entry in found if entry.problem}

    def read(self, path: str, limit: int) -> bytes:
        """Return a file's bytes (see ``Source``)."""
        try:
            with (self._root / path).open("rb") as stream:
                data = stream.read(limit + 1)
        except OSError as error:
            if is_gone(error) or not self._is_there():
                raise pulled(self._root / path, error) from None
            raise DecodeError(f"cannot be opened ({error.strerror or error})") from None
        if len(data) > limit:
            raise DecodeError(f"absurdly large: more than {limit} bytes")
        return data

    def _is_there(self) -> bool:
        """Say whether the folder can still be listed: an I/O error alone may be one bad file's."""
        try:
            with os.scandir(self._root) as entries:
                next(entries, None)
        except OSError:
            return False
        return True

    def start(self, path: str) -> bytes:
        """Return the first bytes (see ``Source``)."""
        if path in self._unreadable:  # a pipe would be waited for
            return b""
        try:
            with (self._root / path).open("rb") as stream:
                return stream.read(16)
        except OSError:
            return b""

    def close(self) -> None:
        """Do nothing: no file stays open."""


def files_below(root: Path) -> Iterator[Path]:
    """Yield every file below a folder, following links; a link back to its own parents is not.

    Raises:
        OSError: If a folder cannot be listed.
    """
    yield from _files_below(root, frozenset())


def _files_below(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _files_below(path, above | {here})
        else:
            yield path


def _folder_entry(file: Path, root: Path) -> Entry:
    path = file.relative_to(root).as_posix()
    try:
        status = file.stat()
    except OSError as error:
        broken = "a link to nothing" if file.is_symlink() else error.strerror or str(error)
        return Entry(path, 0, broken)
    if not stat.S_ISREG(status.st_mode):
        return Entry(path, 0, "not a regular file")
    return Entry(path, status.st_size, _bad_name(path))


def _bad_name(path: str) -> str:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return "its name is not valid UTF-8"
    if any(ord(character) < 32 or ord(character) == 127 for character in path):
        return "its name has a control character"
    return ""


class ZipSource:
    """A zip file, checked as a whole before anything is unpacked."""

    def __init__(self, archive: Path) -> None:
        self.where = str(archive)
        try:
            self._zip = zipfile.ZipFile(archive)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
            raise UserError(
                f"source={archive}: not a complete zip file ({error}); unpack other kinds first"
            ) from None
        try:
            self._members = _checked_members(self._zip, archive)
        except UserError:
            self._zip.close()
            raise
        entries = (Entry(path, info.file_size, _bad_name(path)) for path, info in self._members)
        self.entries = tuple(sorted(entries, key=lambda entry: entry.path))
        self._by_path = dict(self._members)

    def read(self, path: str, limit: int) -> bytes:
        """Return a file's bytes (see ``Source``)."""
        info = self._by_path[path]
        if info.file_size > limit:
            raise DecodeError(f"absurdly large: {info.file_size} bytes")
        # Asked for a number of bytes, zipfile never unpacks more than that: a member that unpacks
        # to more than its header says ends there, with a wrong checksum.
        return self._unpacked(info, info.file_size + 1)

    def start(self, path: str) -> bytes:
        """Return the first bytes (see ``Source``)."""
        try:
            return self._unpacked(self._by_path[path], 16)
        except DecodeError:
            return b""

    def _unpacked(self, info: zipfile.ZipInfo, size: int) -> bytes:
        try:
            with self._zip.open(info) as stream:
                return stream.read(size)
        except OSError as error:
            if is_gone(error):
                raise pulled(self.where, error) from None
            raise DecodeError(f"damaged in the zip file ({error})") from None
        except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
            raise DecodeError(f"damaged in the zip file ({error})") from None

    def close(self) -> None:
        """Close the zip file."""
        self._zip.close()


def _checked_members(archive: zipfile.ZipFile, where: Path) -> list[tuple[str, zipfile.ZipInfo]]:
    """Return (path, member) of every file, refusing the whole archive for one unsafe member."""
    members: list[tuple[str, zipfile.ZipInfo]] = []
    seen: set[str] = set()
    for info in archive.infolist():
        path = _member_path(info, where)
        if info.flag_bits & 1:
            raise UserError(f"source={where}: encrypted ('{path}'); unpack it with its password")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UserError(f"source={where}: refused, '{path}' is a link or a device")
        if info.is_dir():
            continue
        if info.file_size > max(_RATIO_MATTERS_FROM, MAX_RATIO * info.compress_size):
            raise UserError(
                f"source={where}: refused, '{path}' unpacks {info.compress_size} bytes to "
                f"{info.file_size}; if that is meant, unpack it yourself and give the folder"
            )
        if path in seen:
            raise UserError(f"source={where}: refused, it holds '{path}' twice")
        seen.add(path)
        members.append((path, info))
    packed, unpacked = where.stat().st_size, sum(info.file_size for _, info in members)
    if unpacked > max(_RATIO_MATTERS_FROM, MAX_RATIO * packed):
        raise UserError(f"source={where}: refused, {packed} bytes unpack to {unpacked}")
    return members


def _member_path(info: zipfile.ZipInfo, where: Path) -> str:
    """Return a member's path with '/', refusing one that leads out of the target folder."""
    path = _member_name(info).replace("\\", "/")  # as some Windows tools write it
    windows = PureWindowsPath(path)
    if path.startswith("/") or windows.drive or ".." in PurePosixPath(path).parts:
        raise UserError(f"source={where}: refused, its entry '{path}' leads out of the target")
    return PurePosixPath(path).as_posix()


def _member_name(info: zipfile.ZipInfo) -> str:
    """Return the name: UTF-8 if it says so or can only be that, else code page 437."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    try:  # many tools write UTF-8 without saying so, and zipfile reads that as code page 437
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def check_room(folder: Path, needed: int) -> None:
    """Check that the disk has room.

    Args:
        folder: An existing folder on it.
        needed: Bytes.

    Raises:
        UserError: If there is less free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free"
        )


def is_within(inner: Path, outer: Path) -> bool:
    """Return whether ``inner`` is ``outer`` or lies below it, links resolved."""
    return Path(os.path.realpath(inner)).is_relative_to(os.path.realpath(outer))
