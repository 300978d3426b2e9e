"""The square grid that is fixed to a part, in Cartesian and polar coordinates."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SUPERSAMPLING: Final = 2
"""Grid points of the part frame to a pixel of the picture, along each side."""
NOMINAL_RADIUS: Final = 0.42
"""Outer radius of a part at scale 1, as a share of the picture's side."""
RADIAL_STEPS: Final = 2048
"""Entries of a radial profile, which covers 0 to ``RADIAL_END`` outer radii."""
RADIAL_END: Final = 1.28
ANGULAR_STEPS: Final = 1024
"""Entries of an angular profile, which covers a full turn."""


@dataclass(frozen=True)
class Frame:
    """Coordinates of every grid point; x to the right, y down, angles from x towards y.

    Attributes:
        side: Grid points a side.
        radius: Outer radius of a part in grid points.
        centre: Position of the part's centre along both axes.
        r: Distance from the centre in outer radii, (side, side).
        angle_index: Entry of an angular profile for each grid point, (side, side).
        cos: Cosine of the angle, (side, side).
        sin: Sine of the angle, (side, side).
    """

    side: int
    radius: float
    centre: float
    r: Floats
    angle_index: NDArray[np.intp]
    cos: Floats
    sin: Floats


@functools.lru_cache(maxsize=4)
def frame_of(size: int) -> Frame:
    """Return the part frame for pictures of ``size`` pixels a side."""
    side = SUPERSAMPLING * size
    radius = NOMINAL_RADIUS * side
    centre = (side - 1) / 2.0
    axis = (np.arange(side, dtype=np.float32) - np.float32(centre)) / np.float32(radius)
    x, y = np.meshgrid(axis, axis)
    r = np.sqrt(x * x + y * y)
    angle = np.arctan2(y, x) % (2.0 * np.pi)
    index = (angle * (ANGULAR_STEPS / (2.0 * np.pi))).astype(np.intp) % ANGULAR_STEPS
    safe = np.maximum(r, 1e-6)
    return Frame(side, radius, centre, r, index, x / safe, y / safe)


def angular_positions() -> NDArray[np.float64]:
    """Return the angles of an angular profile's entries in radians."""
    return (np.arange(ANGULAR_STEPS, dtype=np.float64) + 0.5) * (2.0 * np.pi / ANGULAR_STEPS)


def radial_positions() -> NDArray[np.float64]:
    """Return the distances of a radial profile's entries in outer radii."""
    return (np.arange(RADIAL_STEPS, dtype=np.float64) + 0.5) * (RADIAL_END / RADIAL_STEPS)


def smooth_noise(rng: np.random.Generator, side: int, cells: int) -> Floats:
    """Return a noise field whose features are ``side / cells`` wide, of unit variance at its nodes.

    Args:
        rng: Where it is drawn from.
        side: Points a side of the result.
        cells: Nodes a side, at least 2.
    """
    nodes = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(nodes, (side, side), interpolation=cv2.INTER_CUBIC))


def patch_of(frame: Frame, x: float, y: float, reach: float) -> tuple[slice, slice]:
    """Return rows and columns of the grid within ``reach`` of a place, all in outer radii."""
    middle = np.array([y, x]) * frame.radius + frame.centre
    low = np.clip(np.floor(middle - reach * frame.radius), 0, frame.side - 1).astype(int)
    high = np.clip(np.ceil(middle + reach * frame.radius) + 1, low + 1, frame.side).astype(int)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def patch_coordinates(
    frame: Frame, rows: slice, columns: slice, x: float, y: float
) -> tuple[Floats, Floats]:
    """Return x (a row) and y (a column) of a patch's points from a place, in outer radii."""
    px = (np.arange(columns.start, columns.stop) - frame.centre) / frame.radius - x
    py = (np.arange(rows.start, rows.stop) - frame.centre) / frame.radius - y
    return px.astype(np.float32)[None, :], py.astype(np.float32)[:, None]
