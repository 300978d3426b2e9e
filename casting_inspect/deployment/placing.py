"""What is done with a picture once it is judged: sorted into folders, its heatmap drawn."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

import numpy as np

from casting_inspect.data.header import DecodeError
from casting_inspect.deployment.marks import is_written_over
from casting_inspect.deployment.sources import Content, Item, shown
from casting_inspect.deployment.stream import Judged
from casting_inspect.deployment.verdict import Picture
from casting_inspect.errors import UserError

WAYS: Final = ("copy", "link", "move")
HELD: Final = 5.0
"""Seconds that another program may hold a file that is to be put away."""
OTHER_DISK: Final = 17
"""Windows' number for a move to another disk."""


@dataclass(frozen=True)
class Sorting:
    """Where judged pictures go.

    Attributes:
        folder: With a folder for each verdict below it.
        way: One of ``WAYS``; ``link`` is a hard link, a symbolic one to another disk.
    """

    folder: Path
    way: str

    def put(self, item: Item, verdict: str) -> None:
        """Put a picture where its verdict says; one that is there already stays as it is.

        Raises:
            UserError: If it cannot be written there.
        """
        target = self.folder / verdict / safe_path(item.name)
        try:
            put(item, target, self.way)
        except OSError as error:
            raise UserError(
                f"sort.to={self.folder}: '{shown(item.name)}' cannot go there "
                f"({error.strerror or error}); resume=true goes on"
            ) from None


def safe_path(name: str) -> PurePosixPath:
    """Return a name as a path that cannot lead out of a folder."""
    parts = PureWindowsPath(name).parts if "\\" in name else PurePosixPath(name).parts
    kept = [part for part in parts if part not in ("..", ".", "/", "\\") and ":" not in part]
    return PurePosixPath(*(kept or ["picture"]))


def put(item: Item, target: Path, way: str) -> None:
    """Copy, link or move a picture to a place of its own; repeating it changes nothing.

    Another picture of that name keeps it, and this one's name gets a number. A file that was
    written over since the picture was judged stays where it is: it is another picture.

    Raises:
        OSError: If that is not possible.
    """
    _patiently(lambda: _put(item, target, way))


def _patiently(action: Callable[[], None]) -> None:
    """Do what may be repeated, again while another program, such as a virus scanner, holds a file.

    Raises:
        OSError: If that is not possible, or not allowed for longer than ``HELD``.
    """
    end = time.monotonic() + HELD
    while True:
        try:
            return action()
        except PermissionError:  # Windows says so of a file that is in use
            if time.monotonic() > end:
                raise
        time.sleep(min(0.1, HELD))


def _put(item: Item, target: Path, way: str) -> None:
    if item.file is not None and not item.file.is_file():
        return  # moved before, or there never was one
    if is_written_over(item):
        return
    try:
        content: Content = item.file if item.file is not None else item.content()
    except DecodeError:
        return  # a damaged member of an archive: there is nothing to put
    free = _place_for(content, target)
    if free is not None:
        free.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, Path):
            _write(free, content if isinstance(content, bytes) else _png(content))
        elif way == "link":
            _link(content, free)
            if is_written_over(item):
                free.unlink(missing_ok=True)
        elif way == "move" and _renamed(content, free):
            return
        else:
            _copy(item, content, free)
    if way == "move" and isinstance(content, Path) and not is_written_over(item):
        content.unlink(missing_ok=True)


def _copy(item: Item, file: Path, place: Path) -> None:
    """Copy a picture in one step, unless it is written over meanwhile."""
    with _made(place) as temporary:
        shutil.copy2(file, temporary)
        if not is_written_over(item):
            os.replace(temporary, place)


def _write(place: Path, content: bytes) -> None:
    """Write a file in one step."""
    with _made(place) as temporary:
        temporary.write_bytes(content)
        os.replace(temporary, place)


@contextmanager
def _made(place: Path) -> Iterator[Path]:
    """Yield a name to write under; what a kill leaves of it is taken up by the next attempt."""
    temporary = place.with_name(f".{place.name}.part")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _place_for(content: Content, target: Path) -> Path | None:
    """Return the first free name from a target's on, or None: the very picture is there."""
    place, number = target, 1
    while os.path.lexists(place):
        if _same(content, place):
            return None
        number += 1
        place = target.with_name(f"{target.stem}-{number}{target.suffix}")
    return place


def _same(content: Content, place: Path) -> bool:
    if not place.is_file():
        return False
    if isinstance(content, Path):
        return filecmp.cmp(content, place, shallow=False)
    return place.read_bytes() == (content if isinstance(content, bytes) else _png(content))


def _link(file: Path, place: Path) -> None:
    try:
        os.link(file, place)
    except OSError:  # another disk, or one that has no such links
        place.symlink_to(file.resolve())


def _renamed(file: Path, place: Path) -> bool:
    """Move within a disk, in one step; False where it is another one.

    Raises:
        OSError: If that is not possible for another reason.
    """
    try:
        file.rename(place)
    except OSError as error:
        if error.errno == errno.EXDEV or getattr(error, "winerror", None) == OTHER_DISK:
            return False
        raise
    return True


def _png(picture: Picture) -> bytes:
    import cv2

    done, data = cv2.imencode(".png", picture[..., ::-1] if picture.ndim == 3 else picture)
    assert done
    return bytes(data.tobytes())


def draw_heatmap(judged: Judged, folder: Path) -> bool:
    """Write a picture beside itself with its map of evidence, as ``NAME.heatmap.jpg``.

    Where names come again, as in a drop folder, it is ``NAME.MARK.heatmap.jpg``, with eight digits
    of the item's mark.

    Returns:
        Whether there is a map.

    Raises:
        UserError: If it cannot be written.
    """
    if judged.verdict is None or judged.verdict.heatmap is None or judged.picture is None:
        return False
    import cv2

    from casting_inspect.evaluation.overlays import jpeg, overlay
    from casting_inspect.evaluation.pointing import peak

    heat, colour = judged.verdict.heatmap, judged.picture
    if colour.ndim == 2:
        colour = np.asarray(cv2.cvtColor(colour, cv2.COLOR_GRAY2RGB), np.uint8)
    drawn = jpeg(overlay(colour, heat, *peak(heat)))
    name = safe_path(judged.item.name)
    mark = judged.item.mark
    of_its_own = f".{hashlib.blake2b(mark.encode(), digest_size=4).hexdigest()}" if mark else ""
    target = folder / judged.row.verdict / name.with_name(f"{name.name}{of_its_own}.heatmap.jpg")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _patiently(lambda: _write(target, drawn))
    except OSError as error:
        raise UserError(
            f"heatmaps.to={folder}: cannot be written ({error.strerror or error}); resume=true "
            "goes on"
        ) from None
    return True
