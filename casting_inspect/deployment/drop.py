"""A drop folder: pictures that a camera or a copying program leaves, taken when complete."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from casting_inspect.data.archive import files_below
from casting_inspect.data.folders import SUFFIXES, UNREAD_SUFFIXES
from casting_inspect.data.header import (
    END_SHOWN,
    DecodeError,
    check_complete,
    format_of,
    read_header,
)
from casting_inspect.deployment.marks import mark_of
from casting_inspect.deployment.mounted import Mounted
from casting_inspect.deployment.sources import Item, Items, resolved_outputs
from casting_inspect.errors import UserError

_WRITING: Final = ".tmp .temp .part .partial .crdownload .download .filepart .writing .swp .lock"
TEMPORARY: Final = frozenset(_WRITING.split())
"""Endings of files that their writer renames when they are complete."""
SECOND_LOOK: Final = 0.05
"""Seconds between two looks after the system has told of a change."""
QUIET: Final = 2.0
"""Seconds without a change after which a file is complete whose format cannot show that it is."""
KEPT: Final = 1000
"""Files that are no pictures which are remembered by name."""


@dataclass(frozen=True)
class Drop:
    """How a drop folder is watched.

    Attributes:
        folder: Watched with all folders below it.
        poll: Seconds between two looks.
        settle: Seconds without a change after which an incomplete file is an error.
        patience: Seconds to wait for the folder when it is gone.
        outputs: Folders below it that are not watched.
        events: Whether to be told of changes by the system.
    """

    folder: Path
    poll: float = 0.5
    settle: float = 5.0
    patience: float = 60.0
    outputs: tuple[Path, ...] = ()
    events: bool = False


@dataclass(frozen=True)
class _Look:
    mark: str
    changed: int  # nanoseconds
    since: float  # when it was first seen so


def watch(drop: Drop, stop: threading.Event, say: Callable[[str], None]) -> Items:
    """Return the pictures of a drop folder, without end, in the order in which they came.

    A file is taken when two looks find the same size and time and it is complete to its end
    marker, or when it has not changed for ``settle`` seconds. A BMP, TIFF, WebP or HEIC may have
    its full length before its pixels, so it must not have changed for ``QUIET`` seconds either.
    Temporary names are passed over.

    Args:
        drop: The folder and how to watch it.
        stop: Ends it.
        say: Prints a line.

    Raises:
        UserError: If the folder is not there, or gone for longer than ``patience``, or results
            would lie around it.
    """
    if not drop.folder.is_dir():
        raise UserError(f"source={drop.folder}: there is no such folder to watch")
    drop = replace(drop, outputs=tuple(resolved_outputs(drop.folder, drop.outputs)))
    found = Items(str(drop.folder), (), live=True, endless=True)
    found.each = _Watcher(drop, stop, found, say).items()
    return found


class _Watcher:
    """Looks at a drop folder again and again, and gives out what has become complete."""

    def __init__(
        self, drop: Drop, stop: threading.Event, found: Items, say: Callable[[str], None]
    ) -> None:
        self._drop, self._stop, self._found, self._say = drop, stop, found, say
        self._last: dict[Path, _Look] = {}
        self._taken: dict[Path, str] = {}
        self._passed_over: set[Path] = set()
        self._failing_since: float | None = None
        self._home = Mounted(drop.folder)

    def items(self) -> Iterator[Item]:
        """Yield pictures until stopped; see `watch`."""
        changed = threading.Event()
        unhook = _told_of_changes(self._drop.folder, changed, self._say, self._drop.events)
        try:
            while not self._stop.is_set():
                yield from self._ready()
                quick = changed.is_set()
                changed.clear()
                _pause(self._stop, changed, SECOND_LOOK if quick else self._drop.poll)
        finally:
            unhook()

    def _ready(self) -> Iterator[Item]:
        """Look once, and yield what is complete, the oldest first."""
        try:
            present = _present(self._drop)
        except OSError as error:
            self._wait_for_folder(error)
            return
        if self._failing_since is not None:
            self._say(f"{self._drop.folder}: is there again")
            self._failing_since = None
        self._taken = {path: mark for path, mark in self._taken.items() if path in present}
        self._passed_over &= present.keys()
        looks: dict[Path, _Look] = {}
        for path in sorted(present, key=lambda path: (present[path].changed, path)):
            if self._stop.is_set():
                return
            now = present[path]
            if self._taken.get(path) == now.mark or not self._is_wanted(path):
                continue
            last = self._last.get(path)
            if last is None or last.mark != now.mark:
                looks[path] = now
            elif _is_ready(path, last, self._drop.settle):
                self._taken[path] = now.mark
                name = path.relative_to(self._drop.folder).as_posix()
                yield Item(name, partial(Path, path), path, now.mark, partial(self._again, path))
            else:
                looks[path] = last
        self._last = looks

    def _is_wanted(self, path: Path) -> bool:
        if path.name.startswith((".", "~")) or path.suffix.lower() in TEMPORARY:
            return False
        if path.suffix.lower() in SUFFIXES | UNREAD_SUFFIXES:
            return True
        if path not in self._passed_over:
            self._passed_over.add(path)
            if len(self._found.left_out) < KEPT:
                self._found.left_out.append(path.relative_to(self._drop.folder).as_posix())
        return False

    def _wait_for_folder(self, error: OSError) -> None:
        """Wait for a folder that is gone.

        Raises:
            UserError: After ``patience`` seconds.
        """
        folder, patience = self._drop.folder, self._drop.patience
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
            if folder.is_dir():  # a folder below it was removed between two steps of the look
                return
            self._say(f"{folder}: is gone; waiting {patience:g} s for it")
        if now - self._failing_since >= patience:
            raise self._lost(error)

    def _lost(self, error: OSError) -> UserError:
        return UserError(
            f"source={self._drop.folder}: the drop folder cannot be read "
            f"({error.strerror or error}), for {self._drop.patience:g} s now (drop.patience); what "
            "was taken has its row, and resume=true goes on"
        )

    def _again(self, path: Path) -> bool:
        """Wait for a folder that went while a picture was read; say whether that is there again.

        Raises:
            UserError: After ``patience`` seconds, or when stopped: the picture has no row then.
        """
        error = self._home.problem()
        if error is None:
            return False
        end = time.monotonic() + self._drop.patience
        while time.monotonic() < end and not self._stop.wait(self._drop.poll):
            if _shows_files(self._drop.folder):
                self._home = Mounted(self._drop.folder)
                return path.is_file()
        raise self._lost(error)


def _shows_files(folder: Path) -> bool:
    """Say whether there is something in a folder: what a drive was mounted on is empty."""
    try:
        return next(folder.iterdir(), None) is not None
    except OSError:
        return False


def _pause(stop: threading.Event, changed: threading.Event, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not stop.is_set() and time.monotonic() < end:
        if changed.wait(min(0.1, max(0.0, end - time.monotonic()))):
            stop.wait(SECOND_LOOK)
            return


def _present(drop: Drop) -> dict[Path, _Look]:
    """Return the regular files below the folder, but not those of results (resolved folders).

    Raises:
        OSError: If the folder is not there.
    """
    next(drop.folder.iterdir(), None)
    now = time.monotonic()
    of_results: dict[Path, bool] = {}
    found = {}
    for path in files_below(drop.folder):
        if path.parent not in of_results:
            parent = path.parent.resolve()
            of_results[path.parent] = any(map(parent.is_relative_to, drop.outputs))
        if of_results[path.parent]:
            continue
        try:
            status = path.stat()
        except OSError:
            continue  # renamed meanwhile
        if stat.S_ISREG(status.st_mode):
            found[path] = _Look(mark_of(status), status.st_mtime_ns, now)
    return found


def _is_ready(path: Path, look: _Look, settle: float) -> bool:
    """Say whether a file that has not changed is complete, or will not become so."""
    unchanged = time.monotonic() - look.since
    if unchanged >= settle:
        return True
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
        if format_of(start) not in END_SHOWN and unchanged < QUIET:
            return False
        data = path.read_bytes()
        check_complete(data, read_header(data))
    except (DecodeError, OSError):  # still being written, or held by its writer
        return False
    return True


def _told_of_changes(
    folder: Path, changed: threading.Event, say: Callable[[str], None], wanted: bool
) -> Callable[[], None]:
    """Let the system set an event at changes below a folder; looks go on all the same."""
    if not wanted:
        return lambda: None
    try:
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer
    except ImportError:
        say('drop.events=true needs watchdog (pip install "casting-inspect[watch]"): polling alone')
        return lambda: None

    class Handler(FileSystemEventHandler):  # type: ignore[misc]
        def on_any_event(self, event: Any) -> None:
            if event.event_type in ("created", "modified", "moved", "closed"):
                changed.set()

    observer = Observer()
    try:
        observer.schedule(Handler(), str(folder), recursive=True)
        observer.start()
    except OSError as error:  # no watches left, or a file system that has none
        say(f"{folder}: the system does not tell of changes ({error.strerror}): polling alone")
        return lambda: None

    def unhook() -> None:
        observer.stop()
        observer.join()

    return unhook
