"""Pictures decoded ahead of the scoring in threads, scored in batches, judged in order."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import cv2
import numpy as np

from casting_inspect.data.decode import (
    MAX_PIXELS,
    DecodeError,
    Window,
    apply_window,
    decode,
)
from casting_inspect.deployment.marks import is_written_over
from casting_inspect.deployment.rows import Row
from casting_inspect.deployment.sources import Item, shown
from casting_inspect.deployment.verdict import Picture, PictureScorer, Verdict
from casting_inspect.errors import UserError, first_line

LEAST_SIDE: Final = 16
"""Pixels of the shorter side below which nothing can be seen of a casting."""
AHEAD: Final = 256 * 2**20
"""Bytes of decoded pictures that may wait for the scorer."""
SCORING: Final = (ValueError, RuntimeError, MemoryError, cv2.error)
"""What a scorer may raise about pictures; all else is a fault of ours."""
GLANCE: Final = 0.1
"""Seconds after which a thread that waits looks whether it is to stop."""


@dataclass(frozen=True)
class Pace:
    """How pictures are taken through.

    Attributes:
        batch: Pictures that are scored at once, at most.
        decoders: Threads that decode.
        max_pixels: Pictures of more are errors.
        live: Whether a picture is scored at once rather than with a full batch.
        newest: Whether a picture is taken from the source only when the one before is done with,
            so that it is as new as can be.
    """

    batch: int = 8
    decoders: int = 2
    max_pixels: int = MAX_PIXELS
    live: bool = False
    newest: bool = False


@dataclass(frozen=True)
class Judged:
    """One picture's end.

    Attributes:
        item: What it was.
        row: What is said of it.
        picture: Decoded, or None: it could not be.
        verdict: The scorer's, or None.
    """

    item: Item
    row: Row
    picture: Picture | None
    verdict: Verdict | None


@dataclass(frozen=True)
class _Decoded:
    item: Item
    picture: Picture | None
    error: str
    seconds: float


class _Room:
    """How many pictures may be between the source and the scorer; grows with what they take."""

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most
        self._limit, self._taken = least, 0
        self._largest = 1
        self._changed = threading.Condition()

    def enter(self, stop: threading.Event) -> bool:
        """Wait for a place; False when everything stops."""
        with self._changed:
            while self._taken >= self._limit and not stop.is_set():
                self._changed.wait(GLANCE)
            self._taken += 1
            return not stop.is_set()

    def share(self, batch: int) -> int:
        """Return how many make a batch, so that others can be decoded meanwhile."""
        return min(batch, max(1, self._limit // 2))

    def leave(self, size: int) -> None:
        """Give a place back, of a picture of this many bytes."""
        with self._changed:
            self._taken -= 1
            self._largest = max(self._largest, size)
            self._limit = max(self._least, min(self._most, AHEAD // self._largest))
            self._changed.notify()


def inspect_items(
    items: Iterable[Item],
    scorer: PictureScorer,
    pace: Pace,
    stop: threading.Event,
    heatmaps: bool = False,
) -> Iterator[list[Judged]]:
    """Yield batches of judged pictures, in the order of the source.

    Whatever the batches and threads, there is one for each picture. When `stop` is set no further
    picture is taken, and those under way are judged.

    Args:
        items: The pictures; taken by a thread of their own.
        scorer: Judges them.
        pace: Batches and threads.
        stop: Ends it.
        heatmaps: Whether to ask the scorer for maps.

    Raises:
        UserError: If the source is gone, after the pictures before that.
        Exception: What `items` raises, after the pictures before it.
    """
    room = _Room(max(2, pace.decoders), max(2 * pace.batch, pace.decoders + 1))
    if pace.newest:
        room = _Room(1, 1)
    line: queue.Queue[Future[_Decoded] | BaseException | None] = queue.Queue()
    closed = threading.Event()
    window = getattr(scorer, "window", None)  # a stand-in of 8-bit pictures alone needs none
    pool = ThreadPoolExecutor(pace.decoders, thread_name_prefix="decode")

    def feed() -> None:
        last: BaseException | None = None
        try:
            source = iter(items)
            while room.enter(closed) and not stop.is_set():
                item = next(source, None)
                if item is None or stop.is_set():
                    break
                line.put(pool.submit(_decode, item, window, pace.max_pixels))
        except BaseException as error:
            last = error
        line.put(last)

    # a daemon, because a camera or a pipe may keep it waiting for ever
    threading.Thread(target=feed, name="source", daemon=True).start()
    try:
        for batch in _batches(line, room, pace, stop):
            yield _judge(batch, scorer, heatmaps)
            for one in batch:
                room.leave(0 if one.picture is None else one.picture.nbytes)
    finally:
        closed.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(
    line: queue.Queue[Any], room: _Room, pace: Pace, stop: threading.Event
) -> Iterator[list[_Decoded]]:
    batch: list[_Decoded] = []
    waited_since_stop = 0.0
    while True:
        try:
            found = line.get(timeout=GLANCE)
        except queue.Empty:
            if batch:
                yield batch
                batch = []
            # a source that hangs is left behind; one that is fine says so at its next picture
            waited_since_stop += GLANCE if stop.is_set() else 0.0
            if waited_since_stop > 5 * GLANCE:
                return
            continue
        if found is None or isinstance(found, BaseException):
            if batch:
                yield batch
            if found is not None:
                raise found
            return
        try:
            batch.append(found.result())
        except UserError:  # the source is gone: what was read before has its rows
            if batch:
                yield batch
            raise
        if len(batch) >= room.share(pace.batch) or (pace.live and line.empty()):
            yield batch
            batch = []


def _decode(item: Item, window: Window | None, max_pixels: int) -> _Decoded:
    """Return a picture or why there is none.

    Raises:
        UserError: If all of its source is gone.
    """
    start = time.perf_counter()
    while True:
        picture, reason = _read(item, window, max_pixels)
        if picture is not None or not item.again():
            return _Decoded(item, picture, reason, time.perf_counter() - start)


def _read(item: Item, window: Window | None, max_pixels: int) -> tuple[Picture | None, str]:
    try:
        content = item.content()
        if isinstance(content, np.ndarray):
            picture = content
        else:
            picture = apply_window(decode(content, max_pixels), window)
        if is_written_over(item):
            raise DecodeError("another picture was written over it before it was read")
        height, width = picture.shape[:2]
        if min(height, width) < LEAST_SIDE:
            raise DecodeError(f"too small to show a casting: {width} x {height} pixels")
        return picture, ""
    except DecodeError as error:
        return None, first_line(error)
    except (OSError, ValueError, MemoryError) as error:  # a name that no file can have, say
        return None, f"cannot be read ({first_line(error)})"


def _judge(batch: Sequence[_Decoded], scorer: PictureScorer, heatmaps: bool) -> list[Judged]:
    start = time.perf_counter()
    good = [one for one in batch if one.picture is not None]
    said = iter(_scores([one.picture for one in good if one.picture is not None], scorer, heatmaps))
    share = (time.perf_counter() - start) / max(1, len(good))
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    judged = []
    for one in batch:
        found = next(said) if one.picture is not None else one.error
        row = Row(
            path=shown(one.item.name),
            verdict=found.verdict if isinstance(found, Verdict) else "error",
            p_normal=found.p_normal if isinstance(found, Verdict) else None,
            threshold=scorer.limits.high,
            threshold_low=scorer.limits.low,
            model=scorer.digest,
            milliseconds=round(1000 * (one.seconds + (share if one.picture is not None else 0)), 3),
            time=now,
            error="" if isinstance(found, Verdict) else shown(found),
        )
        judged.append(
            Judged(one.item, row, one.picture, found if isinstance(found, Verdict) else None)
        )
    return judged


def _scores(
    pictures: Sequence[Picture], scorer: PictureScorer, heatmaps: bool
) -> list[Verdict | str]:
    """Return verdicts; of a batch that cannot be scored each by itself, or why not.

    Raises:
        UserError: If it is not the picture's fault: no other can be scored either.
    """
    if not pictures:
        return []
    try:
        return list(scorer(pictures, heatmaps))
    except SCORING as error:
        if len(pictures) > 1:
            return [_scores([picture], scorer, heatmaps)[0] for picture in pictures]
        reason = first_line(error)
    try:
        scorer([_any_picture()], heatmaps)
    except SCORING:
        raise UserError(
            f"no picture can be scored any more ({reason}); those judged before have their rows, "
            "and resume=true goes on"
        ) from None
    return [f"could not be scored ({reason})"]


def _any_picture() -> Picture:
    """Return noise, which every model that works has a score for."""
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
