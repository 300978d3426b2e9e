"""Lists of pictures as people write them: tables, text files, what another program prints."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from casting_inspect.data.folders import is_picture
from casting_inspect.errors import UserError

_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_MARKS: Final = (codecs.BOM_UTF8, *_UTF16)


def names_in_table(path: Path) -> list[str]:
    """Return the paths in a manifest, or in a table of one column without a header.

    Raises:
        UserError: If it is no table, or no column holds paths.
    """
    from casting_inspect.data.manifest_cells import known_header, read_rows

    raw, rows = read_rows(path)
    header = known_header(raw)
    if "path" in header:
        at = header.index("path")
        return [cells[at] for _, cells in rows]
    if len(raw) == 1 and is_picture(Path(raw[0]).as_posix(), bytes):
        return [raw[0], *(cells[0] for _, cells in rows)]
    raise UserError(f"{path}: no column 'path'")


def names_in_text(path: Path) -> list[str]:
    """Return the paths in a text file, one a line.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb", buffering=0) as stream:
        return list(names_in(stream_lines(stream.fileno())))


def names_in(lines: Iterable[bytes]) -> Iterator[str]:
    """Yield the paths in lines as they come, empty ones left out; odd bytes of names are kept."""
    for number, line in enumerate(lines):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 0 else line
        if name := text.rstrip(b"\r\n").decode("utf-8", "surrogateescape"):
            yield name


def with_slashes(name: str, root: Path) -> str:
    """Return a path with slashes where Windows's backslashes lead to no file."""
    if "\\" not in name:
        return name
    try:
        there = (root / name).is_file()
    except (OSError, ValueError):
        there = False
    return name if there else name.replace("\\", "/")


def stream_lines(descriptor: int) -> Iterator[bytes]:
    """Yield the lines of an open file as they come, in UTF-8 where its byte order mark says UTF-16.

    Past Python's own buffers: a thread that waits in one of those keeps the process from ending.
    """
    rest = b""
    for more in _utf8(iter(lambda: os.read(descriptor, 65536), b"")):
        *lines, rest = (rest + more).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _utf8(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield text as it comes; UTF-16, as Windows's shell writes it, is told by its first bytes."""
    start = b""
    for more in chunks:
        start += more
        if not any(mark.startswith(start) for mark in _MARKS) or start in _MARKS:
            break
    if not start.startswith(_UTF16):
        yield start
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    yield decoder.decode(start).encode()
    for more in chunks:
        yield decoder.decode(more).encode()
    yield decoder.decode(b"", final=True).encode()
