"""Pictures from a camera, through OpenCV: each is the newest, whatever waits in the driver."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import cv2
import numpy as np

from casting_inspect.deployment.sources import Item, Items
from casting_inspect.deployment.stream import GLANCE
from casting_inspect.errors import UserError

PREFIX: Final = "camera:"
MISSED: Final = 20
"""Pictures in a row that a camera may fail to give before it counts as gone."""
BREATH: Final = 0.005
"""Seconds between two pictures that nobody asked for: some drivers give them without waiting."""
LAST_GRAB: Final = 2.0
"""Seconds that a camera has for the picture under way when it is let go."""


def open_camera(
    source: str,
    stop: threading.Event,
    interval: float = 0.0,
    capture: Callable[[int], Any] = cv2.VideoCapture,
) -> Items:
    """Return the pictures of a camera, without end; each is new when it is asked for.

    Args:
        source: ``camera:N``, the N-th of the system's cameras, from 0.
        stop: Ends it.
        interval: Seconds between two pictures; 0: as fast as they are judged.
        capture: Opens one, as OpenCV does.

    Raises:
        UserError: If there is no such camera.
    """
    number = source.removeprefix(PREFIX)
    if not number.isdecimal():
        raise UserError(f"source={source}: a camera has a number, as in camera:0")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # one line is ours
    camera = capture(int(number))
    if not camera.isOpened():
        raise UserError(f"source={source}: there is no such camera, or another program holds it")
    camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # not every driver heeds it
    newest = _Newest(camera)
    return Items(
        source,
        _pictures(source, newest, stop, interval),
        live=True,
        endless=True,
        newest=True,
        close=newest.close,
    )


def _pictures(
    source: str, newest: _Newest, stop: threading.Event, interval: float
) -> Iterator[Item]:
    while not stop.is_set():
        frame = newest.next(stop)
        due = time.monotonic() + interval
        if frame is None:
            if stop.is_set():
                return
            raise UserError(f"source={source}: the camera gives no pictures any more")
        flag = cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB
        picture = np.asarray(cv2.cvtColor(frame, flag))
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        yield Item(f"{source.replace(':', '')}_{now}.png", partial(np.asarray, picture))
        stop.wait(max(0.0, due - time.monotonic()))  # judging it has taken some of that time


class _Newest:
    """Takes every picture of a camera and decodes those asked for, so that none waits in between.

    A driver holds some pictures back; one that is fetched only now and then gives old ones.
    """

    def __init__(self, camera: Any) -> None:
        self._camera = camera
        self._asked, self._closed = threading.Event(), threading.Event()
        self._given: queue.SimpleQueue[Any] = queue.SimpleQueue()
        # a daemon, because a camera may keep it waiting for ever
        self._thread = threading.Thread(target=self._grab_all, name="camera", daemon=True)

    def next(self, stop: threading.Event) -> Any:
        """Return a frame that comes from now on; None: there are no more, or it stopped."""
        self._asked.set()
        if not self._thread.ident:
            self._thread.start()
        while not stop.is_set():
            try:
                return self._given.get(timeout=GLANCE)
            except queue.Empty:
                continue
        return None

    def close(self) -> None:
        """Let go of the camera, but not under a thread that is still at it."""
        self._closed.set()
        if self._thread.ident:
            self._thread.join(LAST_GRAB)
        if not self._thread.is_alive():
            self._camera.release()

    def _grab_all(self) -> None:
        missed = 0
        try:
            while missed < MISSED and not self._closed.is_set():
                if self._grab():
                    missed = 0
                    self._asked.wait(BREATH)
                else:
                    missed += 1
                    self._closed.wait(0.05)
        finally:
            self._given.put(None)

    def _grab(self) -> bool:
        """Take the next picture, and give it out if one is asked for; False if it failed."""
        try:
            if not self._camera.grab():
                return False
            if not self._asked.is_set():
                return True
            taken, frame = self._camera.retrieve()
        except cv2.error:
            return False
        if not taken or frame is None:
            return False
        self._asked.clear()
        self._given.put(frame)
        return True
