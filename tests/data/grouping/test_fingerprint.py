from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from casting_inspect.data.grouping.fingerprint import (
    FEW_POINTS,
    MIRROR,
    POINTS,
    SIDE,
    fingerprint,
    fingerprint_of_file,
    normalised,
    working_picture,
)


def test_a_mirrored_picture_has_the_same_descriptors_in_another_order(
    surface: Callable[..., np.ndarray],
) -> None:
    picture = surface(1, 144)
    plain = fingerprint(picture).unit_rows()
    mirrored = fingerprint(np.ascontiguousarray(picture[:, ::-1])).unit_rows()
    restored = (plain @ mirrored[:, MIRROR].T).max(1)
    assert np.median(restored) > 0.97
    assert np.median(restored) > np.median((plain @ mirrored.T).max(1)) + 0.02


def test_descriptors_have_unit_length_and_points_lie_in_the_picture(
    surface: Callable[..., np.ndarray],
) -> None:
    one = fingerprint(surface(2, 200))
    height, width = one.picture().shape
    assert FEW_POINTS < len(one.points) <= POINTS
    np.testing.assert_allclose(np.linalg.norm(one.unit_rows(), axis=1), 1.0, atol=0.02)
    assert (one.points[:, :2] >= 0).all()
    assert (one.points[:, 0] < width).all()
    assert (one.points[:, 1] < height).all()


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(32, 32, (128, 128)), (600, 300, (288, 144)), (300, 300, (288, 288)), (2048, 64, (288, 9))],
)
def test_the_working_picture_keeps_proportions_and_is_bounded(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    picture = working_picture(np.zeros((height, width, 3), np.uint8))
    assert picture.shape == expected
    assert max(picture.shape) <= SIDE


def test_sixteen_bits_give_the_same_working_picture_as_eight(
    surface: Callable[..., np.ndarray],
) -> None:
    grey = surface(3, 144)[:, :, 0]
    deep = grey.astype(np.uint16) * 40 + 1000
    shallow = normalised(working_picture(np.repeat(grey[:, :, None], 3, axis=2)))
    correlation = np.corrcoef(shallow.ravel(), normalised(working_picture(deep)).ravel())[0, 1]
    assert correlation > 0.99


def test_even_light_changes_the_normalised_picture_little(
    surface: Callable[..., np.ndarray],
) -> None:
    picture = working_picture(surface(4, 144)).astype(np.float32)
    dim = np.clip(0.6 * picture + 10, 0, 255).astype(np.uint8)
    difference = normalised(dim).astype(int) - normalised(picture.astype(np.uint8)).astype(int)
    assert np.abs(difference).mean() < 8


def test_a_blank_picture_has_no_points() -> None:
    one = fingerprint(np.full((96, 96, 3), 120, np.uint8))
    assert one.points.shape == (0, 4)
    assert one.descriptors.shape == (0, 128)


def test_a_file_that_is_no_picture_has_no_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    assert fingerprint_of_file(tmp_path / "broken.jpg") is None
    assert fingerprint_of_file(tmp_path / "missing.png") is None


def test_the_detectors_order_does_not_matter(surface: Callable[..., np.ndarray]) -> None:
    picture = surface(5, 144)
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = fingerprint(picture)
    finally:
        cv2.setNumThreads(threads)
    np.testing.assert_array_equal(alone.descriptors, fingerprint(picture).descriptors)
