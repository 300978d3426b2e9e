from __future__ import annotations

import itertools
import threading
import time

import cv2
import numpy as np
import pytest
from stubs import FakeCapture, StubScorer

from casting_inspect.deployment.camera import MISSED, open_camera
from casting_inspect.deployment.stream import Pace, inspect_items
from casting_inspect.errors import UserError

BLUE = np.zeros((20, 30, 3), np.uint8)
BLUE[..., 0] = 255
GREY = np.full((20, 30), 9, np.uint8)


def test_pictures_are_rgb_and_have_names_of_their_own() -> None:
    asked = []
    fake = FakeCapture(itertools.cycle([BLUE, None, GREY]))

    def capture(number: int) -> FakeCapture:
        asked.append(number)
        return fake

    items = open_camera("camera:3", threading.Event(), capture=capture)
    found = list(itertools.islice(items.each, 20))
    pictures = [item.content() for item in found]
    assert asked == [3]
    assert {picture.shape for picture in pictures} == {(20, 30, 3)}  # type: ignore[union-attr]
    corners = {tuple(picture[0, 0].tolist()) for picture in pictures}  # type: ignore[index]
    assert corners == {(0, 0, 255), (9, 9, 9)}
    assert len({item.name for item in found}) == 20
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
        open_camera(
            "camera:0", stop, capture=lambda _: FakeCapture(itertools.repeat(BLUE)), interval=60
        ).each
    )
    next(each)
    stop.set()
    assert next(each, None) is None


def test_the_interval_runs_while_a_picture_is_judged() -> None:
    items = open_camera(
        "camera:0",
        threading.Event(),
        capture=lambda _: FakeCapture(itertools.repeat(BLUE)),
        interval=0.6,
    )
    each = iter(items.each)
    next(each)
    time.sleep(0.6)  # it is judged
    started = time.monotonic()
    next(each)
    assert time.monotonic() - started < 0.5  # not 0.6 more
    items.close()


def test_every_picture_is_newer_than_the_verdict_before_it() -> None:
    """However long a verdict takes, and however many pictures come meanwhile."""

    def numbered(number: int) -> np.ndarray:
        return np.full((20, 30, 3), (number % 256, number // 256, 0), np.uint8)

    fake, stop = FakeCapture(map(numbered, itertools.count(1))), threading.Event()
    items = open_camera("camera:0", stop, capture=lambda _: fake)
    taken_before: list[int] = []

    class Slow(StubScorer):
        def __call__(self, pictures, heatmaps=False):  # type: ignore[no-untyped-def]
            assert len(pictures) == 1
            _, high, low = map(int, pictures[0][0, 0])
            assert 256 * high + low > (taken_before or [0])[-1]
            found = super().__call__(pictures, heatmaps)
            taken_before.append(fake.grabbed)
            return found

    pace = Pace(batch=8, live=items.live, newest=items.newest)
    some = itertools.islice(items.each, 5)
    judged = list(inspect_items(some, Slow(seconds=0.05), pace, stop))
    items.close()
    assert len(judged) == 5
    assert taken_before[-1] > 8
    assert fake.settings == {cv2.CAP_PROP_BUFFERSIZE: 1}
    assert fake.released


def test_a_camera_is_not_let_go_under_a_thread_that_is_at_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("casting_inspect.deployment.camera.LAST_GRAB", 0.1)
    released, stop = threading.Event(), threading.Event()

    class Hangs(FakeCapture):
        def grab(self) -> bool:
            released.wait(20)
            return super().grab()

    fake = Hangs(itertools.repeat(BLUE))
    items = open_camera("camera:0", stop, capture=lambda _: fake)
    threading.Timer(0.1, stop.set).start()
    assert list(items.each) == []
    items.close()
    assert not fake.released
    released.set()
