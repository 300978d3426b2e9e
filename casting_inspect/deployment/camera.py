"""Pictures from a camera, through OpenCV."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import cv2
import numpy as np

from casting_inspect.deployment.sources import Item, Items
from casting_inspect.errors import UserError

PREFIX: Final = "camera:"
MISSED: Final = 20
"""Pictures in a row that a camera may fail to give before it counts as gone."""


def open_camera(
    source: str,
    stop: threading.Event,
    interval: float = 0.0,
    capture: Callable[[int], Any] = cv2.VideoCapture,
) -> Items:
    """Return the pictures of a camera, without end.

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
    return Items(
        source,
        _pictures(source, camera, stop, interval),
        live=True,
        endless=True,
        close=camera.release,
    )


def _pictures(source: str, camera: Any, stop: threading.Event, interval: float) -> Iterator[Item]:
    missed = 0
    while not stop.is_set():
        taken, frame = camera.read()
        if not taken or frame is None:
            missed += 1
            if missed == MISSED:
                raise UserError(f"source={source}: the camera gives no pictures any more")
            stop.wait(0.05)
            continue
        missed = 0
        flag = cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB
        picture = np.asarray(cv2.cvtColor(frame, flag))
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
        yield Item(f"{source.replace(':', '')}_{now}.png", partial(np.asarray, picture))
        if interval:
            stop.wait(interval)
