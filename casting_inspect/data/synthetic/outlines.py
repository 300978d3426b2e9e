"""The outlines of defects as polygons on the part, scaled to the extent that was drawn."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from casting_inspect.data.synthetic.draws import TURN, Defect, seeded

Points = NDArray[np.float64]

_LARGEST_PINHOLE: Final = 0.024
_DEEPEST_CHIP: Final = 0.12
_FARTHEST_FLASH: Final = 0.062


def defect_outlines(defect: Defect) -> list[Points]:
    """Return a defect's polygons, each (n, 2) with x and y in outer radii from the part's centre.

    The largest distance between two points of the result is the defect's size: twice ``size``
    outer radii, which is ``size`` diameters. (Chip and flash reach a little over the part's edge
    towards their middle, which adds nothing to that distance.)
    """
    rng = seeded(defect.shape_seed)
    extent = 2.0 * defect.size
    if defect.kind == "chipped_rim":
        return [_turned(_chip(rng, extent), defect.angle)]
    if defect.kind == "flash":
        return [_turned(_flash(rng, extent), defect.angle)]
    if defect.kind == "scratch":
        shapes = [_scratch(rng, extent)]
    elif defect.kind == "pinholes":
        shapes = _pinholes(rng, extent)
    else:
        shapes = [_scaled(_hole(rng), extent)]
    away = np.array([defect.radius, 0.0])
    return [_turned(shape + away, defect.angle) for shape in shapes]


def largest_distance(points: Points) -> float:
    """Return the largest distance between two of the points (n, 2): their Feret diameter."""
    return float(np.max(np.hypot(*(points[:, None, :] - points[None, :, :]).transpose(2, 0, 1))))


def _scaled(points: Points, extent: float) -> Points:
    """Return points about their middle, with the given largest distance between two."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2.0
    return np.asarray((points - middle) * (extent / largest_distance(points)))


def _turned(points: Points, angle: float) -> Points:
    """Return points turned about the part's centre."""
    c, s = math.cos(angle), math.sin(angle)
    return np.asarray(points @ np.array([[c, s], [-s, c]]))


def _ragged(rng: np.random.Generator, count: int, nodes: int) -> Points:
    """Return ``count`` values of a jagged curve around 0, of about unit size, ends not at 0."""
    places = np.linspace(0.0, nodes - 1.0, count)
    return np.interp(places, np.arange(nodes), rng.uniform(-1.0, 1.0, nodes))


def _hole(rng: np.random.Generator) -> Points:
    """Return the outline of a gas hole: a dented ellipse."""
    angle = np.linspace(0.0, TURN, 36, endpoint=False)
    radius = np.ones_like(angle)
    for order in (2, 3, 5):
        radius += rng.uniform(0.0, 0.22 / order) * np.cos(order * angle + rng.uniform(0.0, TURN))
    outline = np.stack([np.cos(angle), rng.uniform(0.6, 0.95) * np.sin(angle)], axis=1)
    return _turned(outline * radius[:, None], rng.uniform(0.0, TURN))


def _pinholes(rng: np.random.Generator, extent: float) -> list[Points]:
    """Return a cluster of small round holes."""
    count = 3 + round(extent * 18.0) + int(rng.integers(0, 3))
    hole = float(np.clip(0.17 * extent, 0.011, _LARGEST_PINHOLE))
    turn, away = rng.uniform(0.0, TURN, count), np.sqrt(rng.uniform(0.0, 1.0, count))
    centres = np.stack([away * np.cos(turn), away * np.sin(turn)], axis=1)
    centres = _scaled(centres, extent - 2.0 * hole)
    angle = np.linspace(0.0, TURN, 12, endpoint=False)
    circle = hole * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    factors = rng.uniform(0.7, 1.0, count)
    shapes = [centre + factor * circle for centre, factor in zip(centres, factors, strict=True)]
    factor = extent / largest_distance(np.concatenate(shapes))
    return [shape * factor for shape in shapes]


def _scratch(rng: np.random.Generator, extent: float) -> Points:
    """Return a crack or scratch that runs across the turning marks and thins out at its ends."""
    count = 24
    along = np.linspace(-0.5, 0.5, count)
    bend = 0.05 * _ragged(rng, count, 4) + 0.025 * _ragged(rng, count, 10)
    bend -= np.linspace(bend[0], bend[-1], count)
    width = (0.013 + 0.03 * extent) * rng.uniform(0.8, 1.25)
    half = 0.5 * width * np.sqrt(np.clip(1.0 - (2.0 * along) ** 2, 0.02, 1.0))
    upper = np.stack([along * extent, bend * extent + half], axis=1)
    lower = np.stack([along * extent, bend * extent - half], axis=1)
    # 0 is along the radius: at most 55 degrees from it, so never along the marks
    turn = math.radians(rng.uniform(-55.0, 55.0))
    return _turned(_scaled(np.concatenate([upper, lower[::-1]]), extent), turn)


def _chip(rng: np.random.Generator, extent: float) -> Points:
    """Return what is broken out of the outer edge, with the chord as its extent."""
    half = math.asin(extent / 2.0)
    count = 25
    way = np.linspace(-1.0, 1.0, count)
    depth = min(_DEEPEST_CHIP, rng.uniform(0.45, 0.7) * extent)
    bite = np.clip(1.0 - np.abs(way) ** rng.uniform(1.5, 3.0), 0.0, 1.0)
    bite *= 1.0 + 0.28 * _ragged(rng, count, 9)
    # never deeper than wide: the chord is the extent
    inner = 1.0 - np.clip(depth * bite, 0.0, 0.65 * extent)
    beyond = min(0.03, 0.25 * extent) * (1.0 - way**2)
    return _arc_pair(half * way, inner, 1.0 + beyond)


def _flash(rng: np.random.Generator, extent: float) -> Points:
    """Return thin metal that was squeezed out over the outer edge, with the chord as its extent."""
    half = math.asin(extent / 2.0)
    count = 41
    way = np.linspace(-1.0, 1.0, count)
    height = float(np.clip(rng.uniform(0.45, 0.65) * extent, 0.026, _FARTHEST_FLASH))
    fringe = (1.0 - way**4) * (0.6 + 0.4 * _ragged(rng, count, 7 + round(extent * 30.0)))
    return _arc_pair(half * way, 1.0 - 0.012 * (1.0 - way**2), 1.0 + height * fringe)


def _arc_pair(angle: Points, inner: Points, outer: Points) -> Points:
    """Return the polygon between two curves given in polar coordinates about the part's centre."""
    there = np.stack([inner * np.cos(angle), inner * np.sin(angle)], axis=1)
    back = np.stack([outer * np.cos(angle), outer * np.sin(angle)], axis=1)
    return np.concatenate([there, back[::-1]])
