"""A photograph of a casting: turned, lit, put on the table and taken by a camera."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from casting_inspect.data.synthetic.draws import TURN, Exposure
from casting_inspect.data.synthetic.frame import (
    NOMINAL_RADIUS,
    SUPERSAMPLING,
    Floats,
    angular_positions,
    patch_coordinates,
    patch_of,
    smooth_noise,
)
from casting_inspect.data.synthetic.surface import Surface

Bytes = NDArray[np.uint8]


def take_photograph(surface: Surface, exposure: Exposure, sensor: np.random.Generator) -> Bytes:
    """Return a picture of a casting, uint8 (size, size).

    Args:
        surface: The casting.
        exposure: Pose, light and camera.
        sensor: Stream of the table's grain and the sensor's noise.
    """
    size = surface.frame.side // SUPERSAMPLING
    metal, cover = _lit(surface, exposure)
    onto = cv2.merge([metal * cover, cover])
    onto = cv2.warpAffine(onto, _pose(exposure, size), surface.grey.shape, flags=cv2.INTER_LINEAR)
    onto = cv2.resize(onto, (size, size), interpolation=cv2.INTER_AREA)
    light = onto[..., 0] + (1.0 - onto[..., 1]) * _table(exposure, size, sensor)
    light = exposure.gain * cv2.GaussianBlur(light, (0, 0), exposure.blur * size / 1000.0)
    # a soft shoulder keeps highlights from burning out all at once
    grey = np.where(light > 0.8, 1.0 - 0.2 * np.exp((0.8 - light) / 0.2), np.maximum(light, 0.0))
    levels = 255.0 * grey.astype(np.float32) ** np.float32(exposure.gamma)
    noise = sensor.standard_normal(levels.shape, dtype=np.float32)
    levels += noise * (np.float32(exposure.noise) * (0.6 + 0.8 * np.sqrt(levels / 255.0)))
    return np.asarray(np.clip(np.rint(levels), 0.0, 255.0), dtype=np.uint8)


def photographed_mask(mask: Floats, exposure: Exposure) -> Bytes:
    """Return where a defect is in a photograph: uint8 (size, size), 255 on it and 0 elsewhere.

    Args:
        mask: Share of each grid point of the part frame, (side, side).
        exposure: Pose of the photograph.
    """
    size = mask.shape[0] // SUPERSAMPLING
    turned = cv2.warpAffine(mask, _pose(exposure, size), mask.shape, flags=cv2.INTER_LINEAR)
    turned = cv2.resize(turned, (size, size), interpolation=cv2.INTER_AREA)
    # the smallest cracks cover less than a quarter of any pixel of a small picture
    enough = min(0.25, 0.5 * float(turned.max()))
    return np.where(turned > enough, 255, 0).astype(np.uint8)


def diameter(exposure: Exposure, size: int) -> float:
    """Return the part's diameter in a photograph, in pixels (mean of both axes when tilted)."""
    return 2.0 * NOMINAL_RADIUS * size * exposure.scale * (1.0 - exposure.tilt / 2.0)


def _pose(exposure: Exposure, size: int) -> NDArray[np.float64]:
    """Return the 2 x 3 matrix from the part frame's grid to the supersampled picture's grid."""
    turn = _rotation(exposure.turn)
    axis = _rotation(exposure.tilt_axis)
    tilt = axis @ np.diag([1.0 - exposure.tilt, 1.0]) @ axis.T
    linear = exposure.scale * tilt @ turn
    side = SUPERSAMPLING * size
    centre = np.full(2, (side - 1) / 2.0)
    offset = centre + np.array(exposure.shift) * side - linear @ centre
    return np.concatenate([linear, offset[:, None]], axis=1)


def _rotation(angle: float) -> NDArray[np.float64]:
    """Return the 2 x 2 matrix that turns x towards y."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def _lit(surface: Surface, exposure: Exposure) -> tuple[Floats, Floats]:
    """Return brightness and cover of the lit part in its own frame, each (side, side)."""
    frame = surface.frame
    angle = angular_positions()
    facing, fan = np.zeros_like(angle), np.zeros_like(angle)
    for direction, strength, width in exposure.lamps:
        towards = np.cos(angle - (direction - exposure.turn))
        facing += strength * towards
        # grooves along a circle mirror a lamp where the radius points to it, and opposite
        fan += strength * _lobe(towards, width)
        fan += 0.7 * strength * _lobe(-towards, 1.2 * width)
    first = exposure.lamps[0]
    key = first[0] - exposure.turn
    bright = surface.slope * facing.astype(np.float32)[frame.angle_index]
    bright += np.float32(0.45) * _relief_shade(surface, key)
    np.clip(bright, -0.85, 1.6, out=bright)
    bright *= np.float32(1.0 - exposure.ambient)
    bright += np.float32(0.92)
    glance = (0.62 * exposure.gloss * fan - 0.10 * exposure.gloss).astype(np.float32)
    bright += surface.gloss * glance[frame.angle_index]
    bright *= surface.grey
    cover = surface.cover.copy()
    _open_bore(surface, cover, bright, key)
    return bright, cover


def _lobe(towards: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Return a highlight's profile by angle: flat in its middle, with an edge that can be seen."""
    return np.asarray(np.exp(-(((1.0 - towards) / (width * width)) ** 1.6)))


def _relief_shade(surface: Surface, towards: float) -> Floats:
    """Return how much brighter small forms are because they face the light at angle ``towards``."""
    c, s = math.cos(towards), math.sin(towards)
    kernel = np.array([[0.0, -s, 0.0], [-c, 0.0, c], [0.0, s, 0.0]], np.float32) * np.float32(-0.5)
    return np.asarray(cv2.filter2D(surface.relief, cv2.CV_32F, kernel))


def _open_bore(surface: Surface, cover: Floats, bright: Floats, towards: float) -> None:
    """Let the table show through the bore, under the shadow of the bore's wall."""
    frame, bore = surface.frame, surface.bore
    rows, columns = patch_of(frame, 0.0, 0.0, bore + 0.02)
    px, py = patch_coordinates(frame, rows, columns, 0.0, 0.0)
    inside = np.clip((bore - frame.r[rows, columns]) * frame.radius + 0.5, 0.0, 1.0)
    moved_x, moved_y = px + 0.16 * math.cos(towards), py + 0.16 * math.sin(towards)
    beyond = (np.sqrt(moved_x**2 + moved_y**2) - bore) / 0.07
    shade = 0.16 + 0.52 / (1.0 + np.exp(-2.2 * beyond))
    cover[rows, columns] *= 1.0 - inside * (1.0 - shade.astype(np.float32))
    bright[rows, columns] += inside * (np.float32(0.03) - bright[rows, columns])


def _table(exposure: Exposure, size: int, rng: np.random.Generator) -> Floats:
    """Return the table's brightness with the part's shadow on it, (size, size)."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / np.float32(size) - 0.5
    x, y = axis[None, :], axis[:, None]
    grey = exposure.table + exposure.table_slope[0] * x + exposure.table_slope[1] * y
    grey = grey + 0.012 * smooth_noise(rng, size, 5) + 0.004 * smooth_noise(rng, size, size // 3)
    away = exposure.lamps[0][0] + TURN / 2.0
    dx = x - exposure.shift[0] - exposure.shadow_reach * math.cos(away)
    dy = y - exposure.shift[1] - exposure.shadow_reach * math.sin(away)
    out = np.sqrt(dx * dx + dy * dy) - NOMINAL_RADIUS * exposure.scale
    dark = exposure.shadow / (1.0 + np.exp(np.clip(out / exposure.shadow_softness, -30.0, 30.0)))
    # nothing of it is seen under the part, and the bore lets light through
    dark *= np.clip(out / 0.1 + 2.0, 0.0, 1.0)
    # close to the edge it is darker still: light from above does not get under the part either
    near = 0.35 * np.exp(-np.abs(out) / (1.5 * exposure.shadow_softness))
    return np.asarray(grey * (1.0 - dark) * (1.0 - exposure.shadow * near), dtype=np.float32)
