"""A scorer without a network, pictures on which it is known what it says, and a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from casting_inspect.deployment.sources import Item, Items
from casting_inspect.deployment.verdict import Limits, Picture, Verdict

DIGEST = "ab" * 32


class StubScorer:
    """Says the mean grey value: above 0.6 normal, at most 0.4 defective.

    Args:
        seconds: Slept for each call.
        digest: Of the model that it pretends to be.
        breaks: Grey value of pictures on which the whole batch fails, or None.
        heat: Whether it gives maps.
    """

    def __init__(
        self,
        seconds: float = 0.0,
        digest: str = DIGEST,
        breaks: int | None = None,
        heat: bool = False,
    ) -> None:
        self.limits = Limits(0.6, 0.4)
        self.digest = digest
        self.batches: list[int] = []
        self._seconds, self._breaks, self._heat = seconds, breaks, heat
        self._lock = threading.Lock()

    def __call__(self, pictures: Sequence[Picture], heatmaps: bool = False) -> list[Verdict]:
        with self._lock:
            self.batches.append(len(pictures))
        time.sleep(self._seconds)
        if any(int(picture[0, 0, 0]) == self._breaks for picture in pictures):
            raise ValueError("the model's score of a picture is not a number")
        heat = np.eye(4, dtype=np.float32) if self._heat and heatmaps else None
        scores = [float(picture.mean()) / 255 for picture in pictures]
        return [Verdict(self.limits.judge(score), score, heat) for score in scores]


def write_grey(path: Path, value: int, side: int = 32) -> Path:
    """Write an even picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(grey_png(value, side))
    return path


def grey_png(value: int, side: int = 32) -> bytes:
    """Return an even picture as a PNG."""
    done, data = cv2.imencode(".png", np.full((side, side, 3), value, np.uint8))
    assert done
    return bytes(data.tobytes())


def verdict_of_grey(value: int) -> str:
    """Return what the stub says of an even picture."""
    score = value / 255
    return "normal" if score > 0.6 else "defective" if score <= 0.4 else "review"


def generated(count: int, side: int = 32) -> Items:
    """Return pictures that are made as they are asked for: of grey values 0 to 255, in turn."""

    def each() -> Iterator[Item]:
        for number in range(count):
            picture = np.full((side, side, 3), number % 256, np.uint8)
            yield Item(f"{number:06d}.png", lambda picture=picture: picture)  # type: ignore[misc]

    return Items("generated", each(), count)


class FakeCapture:
    """A camera as OpenCV gives it: None for a picture that it failed to take."""

    def __init__(self, frames: Iterable[Any], is_open: bool = True) -> None:
        self.frames: Iterator[Any] = iter(frames)
        self.is_open = is_open
        self.released = False
        self.settings: dict[int, float] = {}
        self.frame: Any = None
        self.grabbed = 0

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.is_open

    def set(self, setting: int, value: float) -> bool:
        self.settings[setting] = value
        return False

    def grab(self) -> bool:
        assert not self.released
        self.frame = next(self.frames, None)
        self.grabbed += 1
        return self.frame is not None

    def retrieve(self) -> tuple[bool, Any]:
        return self.frame is not None, self.frame

    def release(self) -> None:
        self.released = True
