from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from casting_inspect.deployment.camera import MISSED, open_camera
from casting_inspect.errors import UserError


class FakeCapture:
    """A camera as OpenCV gives it: blue pictures, None for one that it failed to take."""

    def __init__(self, frames: list[Any], is_open: bool = True) -> None:
        self.frames: Iterator[Any] = iter(frames)
        self.is_open = is_open
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.is_open

    def read(self) -> tuple[bool, Any]:
        frame = next(self.frames, None)
        return frame is not None, frame

    def release(self) -> None:
        self.released = True


BLUE = np.zeros((20, 30, 3), np.uint8)
BLUE[..., 0] = 255
GREY = np.full((20, 30), 9, np.uint8)


def test_pictures_are_rgb_and_have_names_of_their_own() -> None:
    asked = []
    fake = FakeCapture([BLUE, None, GREY])

    def capture(number: int) -> FakeCapture:
        asked.append(number)
        return fake

    items = open_camera("camera:3", threading.Event(), capture=capture)
    found = list(itertools.islice(items.each, 2))
    pictures = [item.content() for item in found]
    assert asked == [3]
    assert pictures[0][0, 0].tolist() == [0, 0, 255]  # type: ignore[index]
    assert pictures[1].shape == (20, 30, 3)  # type: ignore[union-attr]
    assert len({item.name for item in found}) == 2
    assert all(item.name.startswith("camera3_") for item in found)
    items.close()
    assert fake.released


def test_a_camera_that_fails_is_one_line() -> None:
    stop = threading.Event()
    with pytest.raises(UserError, match="no such camera"):
        open_camera("camera:0", stop, capture=lambda _: FakeCapture([], is_open=False))
    with pytest.raises(UserError, match="has a number"):
        open_camera("camera:left", stop)
    dead = open_camera("camera:0", stop, capture=lambda _: FakeCapture([None] * MISSED))
    with pytest.raises(UserError, match="no pictures any more"):
        list(dead.each)


def test_it_stops_when_asked() -> None:
    stop = threading.Event()
    each = iter(
        open_camera("camera:0", stop, capture=lambda _: FakeCapture([BLUE] * 5), interval=60).each
    )
    next(each)
    stop.set()
    assert next(each, None) is None
