"""Procedural surfaces and copies of them, as an augmentation tool or a second camera makes them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def draw_surface(seed: int, side: int = 160) -> Picture:
    """A rough surface: noise of several grains and a few scratches; (side, side, 3)."""
    rng = np.random.default_rng(seed)
    surface = np.zeros((side, side), np.float32)
    for grain, strength in ((1.2, 10.0), (3.0, 16.0), (8.0, 22.0)):
        noise = cv2.GaussianBlur(
            rng.standard_normal((side, side)).astype(np.float32), (0, 0), grain
        )
        surface += strength * noise / noise.std()
    for _ in range(6):
        ends = [tuple(int(value) for value in rng.integers(0, side, 2)) for _ in range(2)]
        cv2.line(surface, ends[0], ends[1], float(rng.uniform(-60, 60)), 1, cv2.LINE_AA)
    grey = np.clip(128 + surface, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def draw_copy(picture: Picture, seed: int) -> Picture:
    """Turned by any angle, perhaps mirrored, stretched, sheared, shifted, re-lit, resized, JPEG."""
    rng = np.random.default_rng(seed)
    side = picture.shape[0]
    if rng.random() < 0.5:
        picture = cv2.flip(picture, 1)
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1.0, rng.uniform(-0.15, 0.15)], [0.0, 1.0]])
    linear = np.diag(rng.uniform(0.85, 1.15, 2)) @ shear @ turn
    centre = np.full(2, (side - 1) / 2)
    offset = centre - linear @ centre + rng.uniform(-0.05, 0.05, 2) * side
    affine = np.concatenate([linear, offset[:, None]], axis=1)
    moved = cv2.warpAffine(picture, affine, (side, side), borderMode=cv2.BORDER_REPLICATE)
    lit = np.clip(moved * rng.uniform(0.75, 1.2) + rng.uniform(-20, 20), 0, 255).astype(np.uint8)
    size = round(side * rng.uniform(0.85, 1.3))
    lit = cv2.resize(lit, (size, size), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", lit, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 95))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


@pytest.fixture(scope="session")
def surface() -> Callable[..., Picture]:
    return draw_surface


@pytest.fixture(scope="session")
def copied() -> Callable[[Picture, int], Picture]:
    return draw_copy
