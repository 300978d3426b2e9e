"""How one picture lies on another: an affine map from matched keypoints, mirrored or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from casting_inspect.data.grouping.fingerprint import FEW_POINTS, MIRROR, Fingerprint

Affine = NDArray[np.float64]
Floats = NDArray[np.float32]

_MOST_MATCHES: Final = 200
_FEWEST_MATCHES: Final = 6
_DIRECTION = float(np.cos(np.radians(30.0)))
_SIZE = float(np.log(1.6))
_NARROWEST, _WIDEST, _LONGEST = 0.35, 2.85, 2.2  # singular values of a plausible map, their ratio


@dataclass(frozen=True)
class Registration:
    """A map from the second picture onto the first.

    Attributes:
        affine: (2, 3), pixels of the second picture to pixels of the first.
        matches: Keypoints that agree with it, after a second search guided by it.
        at: float32 (matches, 2), where they lie in the first picture.
    """

    affine: Affine
    matches: int
    at: Floats


def register(first: Fingerprint, second: Fingerprint) -> Registration | None:
    """Find the affine map that most keypoints agree with, for either mirror parity.

    Mutual nearest descriptors, RANSAC (Fischler and Bolles 1981), then twice a search for further
    matches near their predicted place.

    Returns:
        None when no plausible map has more than a handful of matches.
    """
    if min(len(first.points), len(second.points)) < FEW_POINTS:
        return None
    rows, columns = first.unit_rows(), second.unit_rows()
    best: tuple[int, Affine, Floats] | None = None
    for flipped in (False, True):
        likeness = rows @ (columns[:, MIRROR] if flipped else columns).T
        own, other = _mutual(likeness)
        strongest = np.argsort(-likeness[own, other], kind="stable")[:_MOST_MATCHES]
        own, other = own[strongest], other[strongest]
        affine, inside = _affine(second.points[other, :2], first.points[own, :2], 3.0, 1500)
        count = int(inside.sum())
        if affine is not None and (best is None or count > best[0]):
            best = count, affine, likeness
    if best is None or best[0] < _FEWEST_MATCHES:
        return None
    result = Registration(best[1], 0, np.zeros((0, 2), np.float32))
    for reach in (6.0, 4.0):
        guided = _guided(best[2], first.points, second.points, result.affine, reach)
        if guided is None or guided.matches < result.matches:
            break
        result = guided
    return result if result.matches >= _FEWEST_MATCHES else None


def _mutual(likeness: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    forth, back = likeness.argmax(1), likeness.argmax(0)
    own = np.flatnonzero(back[forth] == np.arange(len(forth)))
    return own, forth[own]


def _affine(
    source: Floats, target: Floats, reach: float, draws: int
) -> tuple[Affine | None, NDArray[np.bool_]]:
    """Return the map with most matches within ``reach`` pixels, and which those are."""
    nothing = np.zeros(len(source), np.bool_)
    if len(source) < _FEWEST_MATCHES:
        return None, nothing
    found: Any
    found, inside = cv2.estimateAffine2D(
        source,
        target,
        method=cv2.RANSAC,
        ransacReprojThreshold=reach,
        maxIters=draws,
        confidence=0.995,
        refineIters=10,
    )
    if found is None or not _plausible(found):
        return None, nothing
    return found, np.asarray(inside).ravel() > 0


def _plausible(affine: Affine) -> bool:
    long, short = np.linalg.svd(affine[:, :2], compute_uv=False)
    return bool(short > _NARROWEST and long < _WIDEST and long < _LONGEST * short)


def _usual(likeness: Floats, axis: int) -> Floats:
    """Return the likeness that a few percent of all keypoints exceed by chance."""
    level: Floats = likeness.mean(axis) + np.float32(2.0) * likeness.std(axis)
    return level


def _guided(
    likeness: Floats, first: Floats, second: Floats, affine: Affine, reach: float
) -> Registration | None:
    """Match again, each keypoint only with those near its predicted place, and fit again."""
    near = np.where(_fitting(first, second, affine, reach), likeness, np.float32(0.0))
    own, other = _mutual(near)
    alike = near[own, other] > np.maximum(_usual(likeness, 1)[own], _usual(likeness, 0)[other])
    own, other = own[alike], other[alike]
    refined, inside = _affine(second[other, :2], first[own, :2], 2.0, 300)
    if refined is None:
        return None
    return Registration(refined, int(inside.sum()), first[own[inside], :2])


def _fitting(first: Floats, second: Floats, affine: Affine, reach: float) -> NDArray[np.bool_]:
    """Return which keypoints lie where the map says, as large and turned as it says."""
    linear = affine[:, :2].astype(np.float32)
    predicted = second[:, :2] @ linear.T + affine[:, 2].astype(np.float32)
    own = first[:, :2]
    squared = (own * own).sum(1)[:, None] + (predicted * predicted).sum(1)
    squared -= 2.0 * (own @ predicted.T)
    turned = _directions(second[:, 3]) @ linear.T
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    growth = 0.5 * np.log(abs(np.linalg.det(affine[:, :2])))
    sizes = np.log(first[:, 2])[:, None] - (np.log(second[:, 2]) + np.float32(growth))
    fits: NDArray[np.bool_] = squared < reach * reach
    fits &= _directions(first[:, 3]) @ turned.T > _DIRECTION
    fits &= np.abs(sizes) < _SIZE
    return fits


def _directions(degrees: Floats) -> Floats:
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)
