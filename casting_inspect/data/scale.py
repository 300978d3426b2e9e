"""What is left of a defect when a large picture is made as small as a network takes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

LARGE: Final = 2_000
"""Pixels of a picture's longer side above which it is worth a word."""
SEEN_FROM: Final = 8
"""Network pixels that a defect should be long: one place of VGG-19's third grid of features, the
finest one that a head here looks at, covers 8 x 8."""
_STEP: Final = 32
"""VGG-19 halves a picture five times: other sizes lose their rim."""


def source_pixels(longer_side: int, image_size: int) -> float:
    """Return how many of a picture's pixels one pixel of the network covers, along one side.

    Args:
        longer_side: Of the picture, in pixels.
        image_size: Pixels a side that the network sees; a picture that is not square is padded, so
            that the longer side counts.
    """
    return longer_side / image_size


def image_size_for(defect: float, longer_side: int, seen_from: int = SEEN_FROM) -> int:
    """Return the smallest picture size at which a defect is long enough to be seen.

    Args:
        defect: The defect's largest extent in pixels of the picture, above 0.
        longer_side: Of the picture, in pixels.
        seen_from: Network pixels that it should be long.

    Returns:
        A multiple of 32; more than ``longer_side`` for a defect of fewer than ``seen_from`` pixels,
        which no size brings out.
    """
    return _STEP * math.ceil(longer_side * seen_from / defect / _STEP - 1e-9)


def scale_words(
    longer_side: int, image_size: int, defects: Sequence[int] = (200, 100, 50)
) -> str | None:
    """Return what a large picture loses on its way into the network; None for smaller ones.

    Args:
        longer_side: Of the largest picture, in pixels.
        image_size: Pixels a side that the network sees.
        defects: Sizes of defects in pixels of the picture, for which the picture size is named.
    """
    if longer_side <= LARGE:
        return None
    covered = source_pixels(longer_side, image_size)
    needs = [
        f"one of {defect} px model.image_size={image_size_for(defect, longer_side)}"
        for defect in defects
        if image_size_for(defect, longer_side) > image_size
    ]
    more = f": {', '.join(needs)}" if needs else ""
    return (
        f"pictures of up to {longer_side:,} px a side: at model.image_size={image_size} one pixel "
        f"of the network covers {covered:.1f} of theirs. A defect should be {SEEN_FROM} network "
        f"pixels long, here {math.ceil(SEEN_FROM * covered):,} px; smaller ones need larger "
        f"pictures{more}; or cut the pictures to the casting first"
    )
