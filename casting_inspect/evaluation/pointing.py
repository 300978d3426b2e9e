"""Does a heatmap point at the defect? Peaks, the pointing game, and the share of heat inside."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from casting_inspect.data.decode import place_in_square

TOLERANCE: Final = 8 / 300
"""How far from the defect a peak may lie, as a share of the picture's longer side."""

Heat = NDArray[np.float32]
Mask = NDArray[np.bool_]


def in_original(heat: Heat, height: int, width: int, fit: str) -> Heat:
    """Return the part of a square map that shows the picture, without what filled it up.

    Args:
        heat: (S, S).
        height: Of the picture in pixels.
        width: Of the picture in pixels.
        fit: How it was made square (see ``decode.resize_square``).

    Returns:
        (h, w): all of the picture and nothing else, whatever its size.
    """
    rows, columns = place_in_square(height, width, heat.shape[0], fit)
    return heat[rows, columns]


def peak(heat: Heat) -> tuple[float, float]:
    """Return where a map (h, w) is largest: x and y as fractions of width and height, 0 to 1.

    The middle of the place; of equal ones the first, row by row.
    """
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    return (column + 0.5) / heat.shape[1], (row + 0.5) / heat.shape[0]


def points_at(mask: Mask, x: float, y: float, tolerance: float = TOLERANCE) -> bool:
    """Say whether a point lies on a mask or close to it.

    The pointing game of Zhang et al. 2016, "Top-down neural attention by excitation backprop",
    sec. 4.2, which allows 15 pixels; ours allows 8 at 300 pixels.

    Args:
        mask: (H, W), true on the defect, at any size.
        x: Fraction of the width.
        y: Fraction of the height.
        tolerance: The largest distance as a share of the longer side.

    Returns:
        False where the mask is empty.
    """
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    away = np.hypot(columns + 0.5 - x * width, rows + 0.5 - y * height)
    # half a pixel's diagonal: a point in a pixel of the mask is on the mask
    return bool((away <= tolerance * max(height, width) + 0.5**0.5).any())


def share_inside(heat: Heat, mask: Mask) -> float:
    """Return the share of a map's positive values that lies inside a mask, 0 to 1.

    The energy-based pointing game of Wang et al. 2020, "Score-CAM", sec. 4.3, without tolerance.

    Args:
        heat: (h, w), over the whole picture.
        mask: (H, W), true on the defect, over the whole picture; sizes may differ.

    Returns:
        0 where nothing is positive.
    """
    import cv2

    positive = np.clip(heat, 0, None)
    total = float(positive.sum())
    if total == 0:
        return 0.0
    height, width = heat.shape
    finer = mask.shape[0] > height
    method = cv2.INTER_AREA if finer else cv2.INTER_LINEAR
    cover = cv2.resize(mask.astype(np.float32), (width, height), interpolation=method)
    return float((positive * cover).sum() / total)
