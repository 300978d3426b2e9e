from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casting_inspect.data.scale import SEEN_FROM, image_size_for, scale_words, source_pixels


def test_a_pixel_of_the_network_covers_so_many() -> None:
    assert source_pixels(4032, 224) == 18.0


@given(st.floats(8, 4000), st.integers(300, 12_000))
def test_the_size_is_the_smallest_that_shows_the_defect(defect: float, side: int) -> None:
    size = image_size_for(defect, side)
    assert size % 32 == 0
    assert defect * size / side >= SEEN_FROM - 1e-6
    assert size == 32 or defect * (size - 32) / side < SEEN_FROM + 1e-6


def test_large_pictures_are_worth_a_word() -> None:
    words = scale_words(4000, 224)
    assert words is not None
    assert "covers 17.9 of theirs" in words
    assert "here 143 px" in words
    # 8 network pixels of 4000/100 each, and of 4000/50
    assert "one of 100 px model.image_size=320, one of 50 px model.image_size=640" in words
    assert "one of 200 px" not in words
    assert "larger pictures; or cut" in (scale_words(4000, 3200) or "")


@pytest.mark.parametrize("side", [224, 2000])
def test_others_are_not(side: int) -> None:
    assert scale_words(side, 224) is None
