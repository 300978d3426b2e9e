"""Defects put onto a casting's surface: holes, chips, flash and cracks change its maps."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from casting_inspect.data.synthetic.draws import Defect, seeded
from casting_inspect.data.synthetic.frame import Floats, Frame
from casting_inspect.data.synthetic.outlines import Points, defect_outlines
from casting_inspect.data.synthetic.surface import Surface

_FAINTEST: Final = 0.024
"""Size, as a share of the diameter, up to which a defect may be as faint as any."""
_NEVER_FAINT: Final = 0.034
"""Size from which no defect is faint."""


def add_defect(surface: Surface, defect: Defect) -> Floats:
    """Change a good casting's surface into a defective one's.

    Args:
        surface: Changed in place.
        defect: What to put there.

    Returns:
        Where the defect is: share of each grid point, float32 (side, side), 0 to 1.
    """
    outlines = defect_outlines(defect)
    rows, columns = _patch_around(surface.frame, outlines)
    mask = _rasterised(surface.frame, outlines, rows, columns)
    patch = Surface(
        frame=surface.frame,
        bore=surface.bore,
        grey=surface.grey[rows, columns],
        cover=surface.cover[rows, columns],
        relief=surface.relief[rows, columns],
        slope=surface.slope[rows, columns],
        gloss=surface.gloss[rows, columns],
    )
    rng = seeded(defect.shape_seed + 1)
    whole_outline = mask
    if defect.kind != "flash":
        mask = mask * patch.cover
    effect = mask * np.float32(_plainness(defect, rng))
    if defect.kind == "chipped_rim":
        _break_out(patch, effect, whole_outline, rng)
    elif defect.kind == "flash":
        _squeeze_out(patch, effect, rng)
    elif defect.kind == "scratch":
        _crack(patch, effect, rng)
    else:
        _sink(patch, effect, rng, defect)
    whole = np.zeros_like(surface.grey)
    whole[rows, columns] = mask
    return whole


def _plainness(defect: Defect, rng: np.random.Generator) -> float:
    """Return how plainly a defect shows, 0 to 1: only the smallest may be faint.

    Without this a network finds all of them, and a table of recall by size says nothing.
    """
    small = min(1.0, max(0.0, (_NEVER_FAINT - defect.size) / (_NEVER_FAINT - _FAINTEST)))
    return 1.0 - small * float(rng.uniform(0.1, 0.7))


def _patch_around(frame: Frame, outlines: list[Points]) -> tuple[slice, slice]:
    """Return rows and columns that hold the outlines and a margin for what they do around them."""
    points = np.concatenate(outlines) * frame.radius + frame.centre
    margin = 6 + round(0.03 * frame.radius)
    low = np.clip(np.floor(points.min(axis=0)) - margin, 0, frame.side - 1).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)) + margin, low + 1, frame.side).astype(int)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _rasterised(frame: Frame, outlines: list[Points], rows: slice, columns: slice) -> Floats:
    """Return the share of each point of a patch that the outlines cover."""
    fine = 4
    shape = ((rows.stop - rows.start) * fine, (columns.stop - columns.start) * fine)
    canvas = np.zeros(shape, np.uint8)
    corner = np.array([columns.start, rows.start])
    for outline in outlines:
        points = (outline * frame.radius + frame.centre - corner + 0.5) * fine - 0.5
        cv2.fillPoly(canvas, [np.round(points * 16.0).astype(np.int32)], 255, shift=4)
    small = cv2.resize(canvas, (shape[1] // fine, shape[0] // fine), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / np.float32(255.0)


def _blurred(field: Floats, width: float) -> Floats:
    """Return a field under a Gaussian of ``width`` grid points."""
    return np.asarray(cv2.GaussianBlur(field, (0, 0), max(0.3, width)))


def _noise(rng: np.random.Generator, like: Floats, width: float) -> Floats:
    """Return noise of about unit size with features of ``width`` grid points."""
    rows, columns = (max(2, round(n / width)) for n in like.shape)
    nodes = rng.standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(cv2.resize(nodes, like.shape[::-1], interpolation=cv2.INTER_CUBIC))


def _sink(patch: Surface, mask: Floats, rng: np.random.Generator, defect: Defect) -> None:
    """Sink holes: a dark bowl with a rim that the light catches on one side."""
    unit = patch.frame.side / 512.0
    extent = 2.0 * defect.size * patch.frame.radius if defect.kind == "blow_hole" else 8.0 * unit
    bowl = _blurred(mask, min(0.10 * extent, 5.0 * unit))
    lip = np.clip(_blurred(mask, 1.6 * unit) - mask, 0.0, 1.0)
    dark = rng.uniform(0.65, 0.88)
    floor = np.clip(0.5 + 0.2 * _noise(rng, mask, 7.0 * unit), 0.0, 1.0) * bowl**4
    patch.grey *= 1.0 - np.float32(dark) * mask * (1.0 - 0.45 * floor)
    patch.grey *= 1.0 + np.float32(rng.uniform(0.3, 0.9)) * lip
    patch.gloss *= 1.0 - 0.8 * mask
    patch.relief -= np.float32(min(0.22 * extent, 7.0 * unit)) * bowl


def _crack(patch: Surface, mask: Floats, rng: np.random.Generator) -> None:
    """Open a crack: a dark line with one bright side."""
    unit = patch.frame.side / 512.0
    patch.grey *= 1.0 - np.float32(rng.uniform(0.75, 0.92)) * mask
    patch.gloss *= 1.0 - 0.8 * mask
    patch.relief -= np.float32(2.2 * unit) * _blurred(mask, 0.9 * unit)


def _break_out(patch: Surface, mask: Floats, outline: Floats, rng: np.random.Generator) -> None:
    """Break a piece out of the edge: the table shows, and a rough dull face where it broke."""
    unit = patch.frame.side / 512.0
    # distance from the break, not from the part's former edge: what is off the part counts as gone
    missing = ((outline > 0.5) | (patch.cover < 0.5)).astype(np.uint8)
    away = cv2.distanceTransform(missing, cv2.DIST_L2, 3) * (mask > 0.0)
    face = float(away.max()) * rng.uniform(0.3, 0.7)
    gone = mask * np.clip((away - face) / 1.5, 0.0, 1.0)
    rough = 1.0 + 0.35 * _noise(rng, mask, 3.0 * unit)
    broken = np.float32(rng.uniform(0.05, 0.2)) * rough.clip(0.2, 1.8)
    patch.grey += mask * (broken - patch.grey)
    patch.gloss *= 1.0 - mask
    patch.slope += mask * np.float32(0.5)
    patch.relief -= np.float32(2.5 * unit) * _blurred(mask, 1.5 * unit)
    patch.cover *= 1.0 - gone


def _squeeze_out(patch: Surface, mask: Floats, rng: np.random.Generator) -> None:
    """Let thin ragged metal stand over the edge: bright and dark, with a dark root."""
    unit = patch.frame.side / 512.0
    mottled = 0.42 + 0.42 * _noise(rng, mask, 5.0 * unit) + 0.15 * _noise(rng, mask, 9.0 * unit)
    metal = mottled.clip(0.03, 1.1)
    root = np.clip(1.0 - 2.0 * np.abs(patch.cover - 0.5), 0.0, 1.0)
    root = np.clip(2.0 * _blurred(root, 1.0 * unit), 0.0, 1.0)
    metal *= 1.0 - 0.7 * root
    patch.grey += mask * (metal - patch.grey)
    patch.gloss += mask * (0.15 - patch.gloss)
    patch.slope += mask * (0.25 - patch.slope)
    patch.relief += np.float32(2.0 * unit) * mask
    patch.cover += mask * (1.0 - patch.cover)
