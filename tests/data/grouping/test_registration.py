from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from casting_inspect.data.grouping.fingerprint import fingerprint
from casting_inspect.data.grouping.registration import register


def _turned(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize(
    "linear",
    [
        _turned(37.0),
        _turned(200.0) @ np.diag([-1.0, 1.0]),
        np.array([[1.0, 0.2], [0.0, 1.0]]),
        np.diag([1.2, 0.85]),
        0.7 * np.eye(2),
        np.diag([1.0, -1.15]) @ _turned(81.0),
    ],
    ids=["turned", "mirrored", "sheared", "stretched", "smaller", "all"],
)
def test_a_known_map_is_found(linear: np.ndarray, surface: Callable[..., np.ndarray]) -> None:
    side = 288
    picture = surface(11, side)
    centre = np.full(2, (side - 1) / 2)
    affine = np.concatenate([linear, (centre - linear @ centre + [4, -6])[:, None]], axis=1)
    moved = cv2.warpAffine(picture, affine, (side, side), borderMode=cv2.BORDER_REFLECT)
    found = register(fingerprint(moved), fingerprint(picture))
    assert found is not None
    middle = centre + np.array([[0, 0], [40, 0], [0, 40], [-40, -40]])
    expected = middle @ affine[:, :2].T + affine[:, 2]
    got = middle @ found.affine[:, :2].T + found.affine[:, 2]
    assert np.linalg.norm(got - expected, axis=1).max() < 1.5
    assert found.matches > 50
    assert found.at.shape == (found.matches, 2)


def test_different_surfaces_have_no_map(surface: Callable[..., np.ndarray]) -> None:
    found = register(fingerprint(surface(1, 200)), fingerprint(surface(2, 200)))
    assert found is None or found.matches < 15


def test_a_blank_picture_has_no_map(surface: Callable[..., np.ndarray]) -> None:
    blank = fingerprint(np.full((96, 96, 3), 99, np.uint8))
    assert register(blank, fingerprint(surface(1, 96))) is None
    assert register(blank, blank) is None
