"""How well two registered pictures agree, place by place: one score a pair of pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from casting_inspect.data.grouping.fingerprint import POINTS, Fingerprint, Grey, normalised
from casting_inspect.data.grouping.registration import Affine, Floats, register

PLAIN: Final = 75
"""From so many matches on, and with agreement everywhere, the map needs no refinement."""
_AGREE_LOW, _AGREE_QUARTER = 0.75, 0.88
_CELL: Final = 24
_FEWEST_CELLS: Final = 8
_TEXTURE: Final = 1.0  # grey levels of band-passed contrast below which a cell shows nothing
_FEW: Final = 64  # with still fewer keypoints, matches count no more
_COVERED: Final = 0.5  # share of what could match that matches must span to count fully
_LENIENCE: Final = 0.2  # a copy's worst places may be lit otherwise, or hidden


@dataclass(frozen=True)
class Agreement:
    """What speaks for two files showing the same.

    Attributes:
        matches: Keypoints that agree with one affine map.
        low: 10 % quantile of the cells' correlations, -1 to 1.
        quarter: 25 % quantile.
        covered: Share of the area common to both pictures, or of that which the first one's
            keypoints span if that is less, that the matches span, 0 to 1.
        points: Keypoints of the picture that has fewer.
    """

    matches: int
    low: float
    quarter: float
    covered: float
    points: int = POINTS

    @property
    def score(self) -> float:
        """Matches, weighed by how well the worst places agree; 0 when they contradict."""
        worst = max(0.0, (self.low + _LENIENCE) / (1.0 + _LENIENCE))
        return self.at_most * worst * max(0.0, self.quarter)

    @property
    def at_most(self) -> float:
        """Score if all places agreed fully.

        A picture with few keypoints can have few matches, and has fewer by chance: its matches
        count more, by the root of what is missing.
        """
        extent = min(1.0, self.covered / _COVERED) ** 2
        return self.matches * math.sqrt(POINTS / max(self.points, _FEW)) * extent


NOTHING: Final = Agreement(0, 0.0, 0.0, 0.0)


def agreement(
    first: Fingerprint, second: Fingerprint, between: tuple[float, float] = (0.0, math.inf)
) -> Agreement:
    """Compare two pictures: register them, then correlate their fine detail cell by cell.

    Castings of one design agree along the edges that they share, so that some keypoints match and
    many cells correlate; their worst places contradict. A picture's copy agrees in all places. A
    fixture that is the same behind two parts agrees in most places, but not on the part.

    Args:
        first: One picture.
        second: The other.
        between: Scores between which precision matters. A pair that cannot reach the lower one,
            or reaches the upper one at once, is spared the refinement, the slowest step.
    """
    found = register(first, second)
    if found is None:
        return NOTHING
    hull = np.asarray(cv2.convexHull(found.at), np.float32).reshape(-1, 2)
    own, other = first.picture(), second.picture()
    possible = min(_common(own, other, found.affine), _area(first.points[:, :2]))
    covered = float(cv2.contourArea(hull)) / max(1.0, possible)
    points = min(len(first.points), len(second.points))
    low, quarter = _quantiles(own, other, found.affine, hull)
    coarse = Agreement(found.matches, low, quarter, covered, points)
    plain = found.matches >= PLAIN and low >= _AGREE_LOW and quarter >= _AGREE_QUARTER
    if plain or coarse.at_most < between[0] or coarse.score >= between[1]:
        return coarse
    affine = _refined(own, other, found.affine)
    if affine is None:
        return coarse
    finer = Agreement(found.matches, *_quantiles(own, other, affine, hull), covered, points)
    return max(coarse, finer, key=lambda one: one.low + one.quarter)


def _refined(first: Grey, second: Grey, affine: Affine) -> Affine | None:
    """Refine a map by all pixels (Evangelidis and Psarakis 2008), or None where that diverges."""
    back: Any = cv2.invertAffineTransform(affine).astype(np.float32)
    anywhere: Any = None
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
    try:
        _, back = cv2.findTransformECC(
            normalised(first), normalised(second), back, cv2.MOTION_AFFINE, stop, anywhere, 3
        )
    except cv2.error:
        return None
    if not np.isfinite(back).all():
        return None
    return np.asarray(cv2.invertAffineTransform(back), np.float64)


def _common(first: Grey, second: Grey, affine: Affine) -> int:
    """Return how many pixels of the first picture the second one covers."""
    size = (first.shape[1], first.shape[0])
    there = cv2.warpAffine(np.ones_like(second), affine, size, flags=cv2.INTER_NEAREST)
    return int(there.sum())


def _area(points: Floats) -> float:
    """Return the area that points span, in squared pixels."""
    return float(cv2.contourArea(cv2.convexHull(np.ascontiguousarray(points))))


def _quantiles(first: Grey, second: Grey, affine: Affine, hull: Floats) -> tuple[float, float]:
    """Return the 10 % and 25 % quantiles of the correlations of cells inside ``hull``."""
    height, width = first.shape
    size = (width, height)
    moved = cv2.warpAffine(_band(second), affine, size, flags=cv2.INTER_LINEAR)
    inside = np.zeros_like(first)
    cv2.fillConvexPoly(inside, np.rint(hull).astype(np.int32), 1)
    there = cv2.warpAffine(np.ones_like(second), affine, size, flags=cv2.INTER_NEAREST)
    here = _cells(_band(first))
    moved_cells = _cells(moved)
    usable = (_cells(inside).mean(1) > 0.5) & (_cells(there).mean(1) > 0.95)
    correlation, textured = _correlations(here[usable], moved_cells[usable])
    if textured.sum() < min(_FEWEST_CELLS, 0.5 * usable.sum()) or not textured.any():
        return 0.0, 0.0
    low, quarter = np.quantile(correlation[textured], (0.1, 0.25))
    return float(low), float(quarter)


def _band(picture: Grey) -> Floats:
    values = picture.astype(np.float32)
    fine: Floats = cv2.GaussianBlur(values, (0, 0), 1.0) - cv2.GaussianBlur(values, (0, 0), 4.0)
    return fine


def _cells(picture: NDArray[np.generic]) -> Floats:
    """Cut a picture into cells: float32 (cells, pixels); a rest at right and bottom is left out."""
    side = min(_CELL, *picture.shape)
    rows, columns = picture.shape[0] // side, picture.shape[1] // side
    cut = picture[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(cut.swapaxes(1, 2).reshape(rows * columns, -1), np.float32)


def _correlations(first: Floats, second: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return each cell's correlation, and which cells show something in both pictures."""
    first = first - first.mean(1, keepdims=True)
    second = second - second.mean(1, keepdims=True)
    spread_first = np.sqrt((first * first).mean(1))
    spread_second = np.sqrt((second * second).mean(1))
    textured = (spread_first > _TEXTURE) & (spread_second > _TEXTURE)
    return (first * second).mean(1) / (spread_first * spread_second + 1e-6), textured
