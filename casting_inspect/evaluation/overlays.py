"""A picture with the map of evidence laid over it, the peak marked, as a JPEG."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from casting_inspect.errors import UserError
from casting_inspect.evaluation.pointing import Heat

SIDE: Final = 512
"""Pixels of the longer side of an overlay."""
_STRONGEST: Final = 0.55
"""Share of the colour where the map is largest; the casting must stay visible under it."""
_QUALITY: Final = 88

Picture = NDArray[np.uint8]


def overlay(picture: Picture, heat: Heat, x: float, y: float, *, side: int = SIDE) -> Picture:
    """Return a picture beside itself with heat and peak on it, RGB uint8 (h, 2 w, 3).

    Colours go from the map's zero, where nothing is laid over, to its largest value, so they
    compare places within a picture and not pictures with each other. What speaks for normal is left
    as it is; where all does, no peak is marked.

    Args:
        picture: RGB (H, W, 3).
        heat: (h, w), over the whole picture.
        x: The peak's fraction of the width.
        y: The peak's fraction of the height.
        side: Pixels of the longer side of either half.
    """
    scale = side / max(picture.shape[:2])
    height, width = (max(1, round(length * scale)) for length in picture.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    plain = np.asarray(cv2.resize(picture, (width, height), interpolation=method))
    share = strength(heat)
    share = np.clip(cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    colours = (255 * colormaps["inferno"](share)[..., :3]).astype(np.float32)
    cover = (_STRONGEST * np.sqrt(share))[..., None]
    mixed: Any = np.rint(plain * (1 - cover) + colours * cover).astype(np.uint8)
    if not (heat > 0).any():
        return np.concatenate([plain, mixed], axis=1)
    centre = (int(x * width), int(y * height))
    for radius, colour in ((13, (0, 0, 0)), (11, (86, 180, 233))):  # seen on dark and on bright
        cv2.circle(mixed, centre, radius, colour, 2, cv2.LINE_AA)
    return np.concatenate([plain, mixed], axis=1)


def strength(heat: Heat) -> Heat:
    """Return a map (h, w) from 0 (no evidence of a defect) to 1 (its largest value)."""
    positive = np.clip(heat, 0, None)
    largest = float(positive.max())
    return np.asarray(positive / largest if largest > 0 else positive, dtype=np.float32)


def jpeg(picture: Picture) -> bytes:
    """Return an RGB picture as the bytes of a JPEG.

    Raises:
        UserError: If it cannot be encoded.
    """
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise UserError(f"an overlay of {picture.shape[1]} x {picture.shape[0]} cannot be encoded")
    return data.tobytes()
