"""Peaks, the pointing game and heat inside, against what a ruler says."""

from __future__ import annotations

import numpy as np
import pytest

from casting_inspect.data.decode import resize_square
from casting_inspect.evaluation.pointing import in_original, peak, points_at, share_inside


@pytest.mark.parametrize("fit", ["pad", "stretch"])
@pytest.mark.parametrize(("height", "width"), [(300, 300), (200, 500), (500, 200), (90, 31)])
def test_a_peak_is_where_it_was_in_the_picture(height: int, width: int, fit: str) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    row, column = int(0.8 * height), int(0.3 * width)
    picture[max(0, row - 4) : row + 5, max(0, column - 4) : column + 5] = 255
    square = resize_square(picture, 128, fit)
    x, y = peak(in_original(square[..., 0].astype(np.float32), height, width, fit))
    assert abs(x * width - column) <= 8
    assert abs(y * height - row) <= 8


def test_what_fills_a_picture_up_has_no_peak() -> None:
    heat = np.zeros((64, 64), np.float32)
    heat[0, 0] = 9.0  # above a wide picture
    heat[32, 40] = 1.0
    own = in_original(heat, 100, 200, "pad")
    assert own.shape == (32, 64)
    assert peak(own) == ((40 + 0.5) / 64, (16 + 0.5) / 32)


def test_mirroring_mirrors_the_peak() -> None:
    heat = np.random.default_rng(0).random((40, 60), dtype=np.float32)
    x, y = peak(heat)
    assert peak(heat[:, ::-1]) == pytest.approx((1 - x, y))
    assert peak(heat[::-1]) == pytest.approx((x, 1 - y))


def test_eight_pixels_at_three_hundred() -> None:
    mask = np.zeros((300, 300), bool)
    mask[100:120, 200:210] = True
    assert points_at(mask, 205.5 / 300, 110.5 / 300)
    assert points_at(mask, (209 + 0.5 + 8) / 300, 110.5 / 300)
    assert not points_at(mask, (209 + 0.5 + 9) / 300, 110.5 / 300)
    assert points_at(mask, 200.1 / 300, 100.1 / 300, tolerance=0)
    assert not points_at(mask, 198 / 300, 100.1 / 300, tolerance=0)
    assert not points_at(np.zeros((9, 9), bool), 0.5, 0.5)


def test_heat_inside_counts_positive_values_at_any_size() -> None:
    heat = np.full((10, 10), -5.0, np.float32)
    heat[2, 2], heat[7, 7] = 3.0, 1.0
    mask = np.zeros((10, 10), bool)
    mask[2, 2] = True
    assert share_inside(heat, mask) == pytest.approx(0.75)
    assert share_inside(heat, np.kron(mask, np.ones((4, 4), bool))) == pytest.approx(0.75)
    assert share_inside(np.kron(heat, np.ones((4, 4), np.float32)), mask) < 0.76
    assert share_inside(-np.ones((4, 4), np.float32), mask) == 0.0
