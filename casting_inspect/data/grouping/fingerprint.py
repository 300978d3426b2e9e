"""What is kept of a picture to find its copies: local descriptors and a small grey picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from casting_inspect.data.decode import decode
from casting_inspect.data.header import DecodeError
from casting_inspect.data.pixels import Pixels

VERSION: Final = 1
"""Raised whenever the same picture would give another fingerprint: it is part of the cache key."""

SIDE: Final = 288
"""Longer side of the working picture in pixels."""
POINTS: Final = 512
"""Most keypoints kept of a picture."""
FEW_POINTS: Final = 12
"""A picture with fewer keypoints shows too little to be recognised."""

_LARGEST_ENLARGEMENT: Final = 4
_CELLS: Final = 8
_DESCRIPTOR_SCALE: Final = 512.0

# A descriptor is 4 x 4 cells of 8 directions. In a mirrored picture the rows of cells are swapped
# and the directions run the other way round: a permutation, so that nothing is extracted twice.
MIRROR: Final[NDArray[np.intp]] = (
    np.arange(128).reshape(4, 4, 8)[::-1, :, (-np.arange(8)) % 8].reshape(-1)
)

Grey = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Local features of one picture.

    Attributes:
        descriptors: uint8 (k, 128), square roots of SIFT histograms, 512 = 1.
        points: float32 (k, 4): x and y in pixels of ``picture``, diameter in pixels, direction in
            degrees, 0 to 360, from x towards y.
        encoded: The working picture as JPEG, uint8 (bytes,).
    """

    descriptors: NDArray[np.uint8]
    points: NDArray[np.float32]
    encoded: NDArray[np.uint8]

    def picture(self) -> Grey:
        """Decode the working picture, uint8 (h, w), grey, its longer side at most ``SIDE``."""
        decoded: Any = cv2.imdecode(self.encoded, cv2.IMREAD_GRAYSCALE)
        return np.asarray(decoded, np.uint8)

    def unit_rows(self) -> NDArray[np.float32]:
        """Return the descriptors as rows of about unit length, float32 (k, 128)."""
        return unit_rows(self.descriptors)


def unit_rows(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return stored descriptors as rows of about unit length."""
    rows: NDArray[np.float32] = descriptors.astype(np.float32)
    rows *= np.float32(1.0 / _DESCRIPTOR_SCALE)
    return rows


def fingerprint_of_file(path: Path) -> Fingerprint | None:
    """Return the fingerprint of a file, or None when it cannot be decoded."""
    try:
        return fingerprint(decode(path))
    except DecodeError:
        return None


def fingerprint(pixels: Pixels) -> Fingerprint:
    """Return the fingerprint of a decoded picture.

    SIFT keypoints (Lowe 2004) of the locally normalised picture, spread evenly over it, with
    descriptors as by Arandjelovic and Zisserman (2012, RootSIFT).

    Args:
        pixels: As ``casting_inspect.data.decode.decode`` returns them.
    """
    picture = working_picture(pixels)
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    encoded = np.asarray(encoded, np.uint8).reshape(-1)
    flat = normalised(picture)
    # upright pictures do not exist here; a low contrast limit is right because contrast is local
    sift: Any = cv2.SIFT_create(contrastThreshold=0.01, edgeThreshold=12)  # type: ignore[attr-defined,unused-ignore]
    found = sift.detect(flat, None)
    found = _spread(list(found), picture.shape)
    found, rows = sift.compute(flat, found) if found else ((), None)
    if rows is None:
        return Fingerprint(np.zeros((0, 128), np.uint8), np.zeros((0, 4), np.float32), encoded)
    rooted = np.sqrt(rows / (rows.sum(1, keepdims=True) + 1e-6))
    stored = np.clip(np.rint(rooted * _DESCRIPTOR_SCALE), 0, 255).astype(np.uint8)
    points = np.array([(*point.pt, point.size, point.angle) for point in found], np.float32)
    return Fingerprint(stored, points, encoded)


def working_picture(pixels: Pixels) -> Grey:
    """Return a picture as grey 8 bits, its longer side ``SIDE`` or at most four times its own."""
    grey: Any = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    scale = min(SIDE / max(height, width), _LARGEST_ENLARGEMENT)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    if size != (width, height):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        grey = cv2.resize(grey, size, interpolation=method)
    if grey.dtype == np.uint16:  # local contrast alone counts later: any straight line will do
        low, high = np.quantile(grey, (0.001, 0.999))
        grey = (grey.astype(np.float32) - low) * (255.0 / max(high - low, 1.0))
    picture: Grey = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return picture


def normalised(picture: Grey) -> Grey:
    """Return the picture with local mean 128 and local contrast 40, so that light counts little."""
    values = picture.astype(np.float32)
    values -= cv2.GaussianBlur(values, (0, 0), 12.0)
    spread = np.sqrt(cv2.GaussianBlur(values * values, (0, 0), 12.0))
    # 6 grey levels: flat regions keep their noise small
    flat: Grey = np.clip(128.0 + 40.0 * values / (spread + 6.0), 0, 255).astype(np.uint8)
    return flat


def _spread(found: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Keep the strongest keypoints cell by cell, so that no busy corner takes them all."""
    if not found:
        return []
    place = np.array([point.pt for point in found])
    strength = np.array([point.response for point in found])
    cell = (place[:, 1] * _CELLS // shape[0]) * _CELLS + place[:, 0] * _CELLS // shape[1]
    # a total order: the detector's own depends on how it shares work among threads
    order = np.lexsort(
        (place[:, 0], place[:, 1], [point.angle for point in found], -strength, cell)
    )
    start = np.r_[True, np.diff(cell[order]) != 0]
    first = np.maximum.accumulate(np.where(start, np.arange(len(order)), 0))
    rank = np.arange(len(order)) - first
    best = np.lexsort((-strength[order], rank))[:POINTS]
    return [found[index] for index in order[best]]
