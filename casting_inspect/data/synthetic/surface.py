"""The surface of a casting in its own frame: reflectance, relief, slope, gloss, and where it is."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from casting_inspect.data.synthetic.draws import TURN, Identity, seeded
from casting_inspect.data.synthetic.frame import (
    ANGULAR_STEPS,
    RADIAL_END,
    RADIAL_STEPS,
    Floats,
    Frame,
    angular_positions,
    frame_of,
    patch_coordinates,
    patch_of,
    radial_positions,
    smooth_noise,
)


@dataclass
class Surface:
    """Maps of one casting, each float32 (side, side) in the part frame; defects change them.

    Attributes:
        frame: The grid.
        bore: Radius of the bore in outer radii.
        grey: Reflectance, 0 to 1.
        cover: Share of a grid point that is metal; the bore counts as metal here.
        relief: Height in grid points; only what is small: marks, vanes, defects.
        slope: How far the large forms face outwards.
        gloss: Weight of the highlights that turned metal shows, 0 to 1.
    """

    frame: Frame
    bore: float
    grey: Floats
    cover: Floats
    relief: Floats
    slope: Floats
    gloss: Floats


def casting_surface(identity: Identity, size: int) -> Surface:
    """Return a good casting's surface, with its harmless marks.

    Args:
        identity: What makes it this casting.
        size: Side of the pictures that will be taken of it, in pixels.
    """
    frame = frame_of(size)
    rng = seeded(identity.texture_seed)
    r = frame.r * _waviness(rng)[frame.angle_index]
    index = np.minimum((r * (RADIAL_STEPS / RADIAL_END)).astype(np.intp), RADIAL_STEPS - 1)
    profiles = _radial_profiles(identity, rng, frame.radius)
    surface = Surface(
        frame=frame,
        bore=identity.bore,
        grey=profiles["grey"][index],
        cover=np.clip((1.0 - r) * frame.radius + 0.5, 0.0, 1.0),
        relief=np.zeros_like(r),
        slope=profiles["slope"][index],
        gloss=profiles["gloss"][index],
    )
    _add_vanes(surface, identity, r, profiles["chamber"][index])
    _add_texture(surface, rng)
    _add_edge_wear(surface, identity, r, rng)
    _add_stains(surface, rng)
    _add_tool_marks(surface, identity, rng)
    _add_specks(surface, rng)
    return surface


def _waviness(rng: np.random.Generator) -> Floats:
    """Return the factor on the distance from the centre by angle: no casting is quite round."""
    angle = angular_positions()
    total = np.ones(ANGULAR_STEPS)
    for order in range(2, 6):
        total += rng.normal(0.0, 0.003 / order) * np.cos(order * angle + rng.uniform(0.0, TURN))
    return total.astype(np.float32)


def _radial_profiles(
    identity: Identity, rng: np.random.Generator, radius: float
) -> dict[str, Floats]:
    """Return reflectance, slope, gloss and the chamber's weight by distance from the centre."""
    r = radial_positions()
    i = identity
    zones = [i.bore, i.hub, i.ring_inner, i.ring_outer, i.step]
    inside = np.searchsorted(zones, r)  # 0 bore, 1 hub, 2 chamber, 3 ring, 4 groove, 5 rim face
    groove = 0.55 * i.face_grey
    grey = np.choose(
        inside, [0.05, i.ring_grey, i.chamber_grey, i.ring_grey, groove, i.face_grey]
    ).astype(np.float64)
    slope = np.choose(inside, [0.0, 0.05, -0.1, 0.06, 1.9, i.cone]).astype(np.float64)
    gloss = np.choose(inside, [0.0, 0.5, 0.04, 0.6, 0.3, 1.0]).astype(np.float64)
    turned = np.isin(inside, (1, 3, 5))
    grey += turned * i.turning * i.face_grey * _turning_marks(rng)
    for edge, height in ((i.bore, -0.25), (i.hub, -0.2), (i.ring_inner, 0.2), (i.ring_outer, 0.2)):
        bevel = np.exp(-(((r - edge) / 0.006) ** 2))
        grey += 0.10 * bevel * np.sign(height) * np.sign(height)
        slope += 2.0 * height * bevel
    rim = np.exp(-(((r - 0.992) / 0.007) ** 2))
    slope += 0.45 * rim
    grey -= 0.06 * rim
    chamber = (inside == 2).astype(np.float64)
    width = max(3, round(RADIAL_STEPS / RADIAL_END / radius * 1.4))
    kernel = np.ones(width) / width
    profiles = {"grey": grey, "slope": slope, "gloss": gloss, "chamber": chamber}
    return {
        name: np.convolve(np.pad(profile, width, mode="edge"), kernel, "same")[width:-width].astype(
            np.float32
        )
        for name, profile in profiles.items()
    }


def _turning_marks(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return concentric marks of the lathe's tool: coarse bands, fine grooves, and their beat."""
    steps = np.arange(RADIAL_STEPS)
    total = np.zeros(RADIAL_STEPS)
    for spacing, weight in ((90, 0.8), (28, 0.7), (9, 0.9)):
        nodes = rng.standard_normal(RADIAL_STEPS // spacing + 3)
        total += weight * np.interp(steps / spacing, np.arange(len(nodes)), nodes)
    return np.asarray(total)


def _add_vanes(surface: Surface, identity: Identity, r: Floats, chamber: Floats) -> None:
    """Put the curved vanes into the chamber, and the darkness of its depth."""
    frame = surface.frame
    inner, outer = identity.hub, identity.ring_inner
    angle = frame.angle_index.astype(np.float32) * np.float32(TURN / ANGULAR_STEPS)
    way = np.clip((r - inner) / (outer - inner), 0.0, 1.0)
    turned = (angle - identity.vane_phase - identity.vane_sweep * way) * (identity.vanes / TURN)
    across = turned - np.floor(turned)
    # a vane rises slowly on its back and falls off steeply at its front
    body = np.maximum(0.0, 1.0 - across / 0.38)
    edge = np.exp(-((np.minimum(across, 1.0 - across) / 0.035) ** 2))
    fade = 0.35 + 0.65 * way
    surface.grey *= 1.0 + chamber * (0.9 * body * fade - 0.55 * (1.0 - way) + 0.9 * edge * fade)
    surface.relief += chamber * (3.0 * body)


@functools.lru_cache(maxsize=4)
def _polar_lookup(size: int, turns: int, rings: int) -> tuple[Floats, Floats]:
    """Return where each grid point lies in a table of ``turns`` angles by ``rings`` distances."""
    frame = frame_of(size)
    along = frame.angle_index.astype(np.float32) * np.float32(turns / ANGULAR_STEPS)
    return along, frame.r * np.float32(rings / RADIAL_END)


def _add_texture(surface: Surface, rng: np.random.Generator) -> None:
    """Lay the lathe's streaks, blotches and the casting's grain over everything."""
    side = surface.frame.side
    turns, rings = 48, side // 3
    table = rng.standard_normal((rings + 2, turns), dtype=np.float32)
    table = np.concatenate([table, table[:, :1]], axis=1)
    along, out = _polar_lookup(side // 2, turns, rings)
    streaks = cv2.remap(table, along, out, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    blotches = 0.6 * smooth_noise(rng, side, 6) + 0.5 * smooth_noise(rng, side, 17)
    grain = smooth_noise(rng, side, side // 4)
    strength = rng.uniform(0.5, 1.3, size=3)
    texture = 1.0 + 0.030 * strength[0] * surface.gloss * streaks
    texture += 0.045 * strength[1] * blotches
    texture += 0.018 * strength[2] * grain
    surface.grey *= texture.astype(np.float32)


def _add_edge_wear(
    surface: Surface, identity: Identity, r: Floats, rng: np.random.Generator
) -> None:
    """Polish the outer edge and the step here and there, as handling does."""
    nodes = rng.standard_normal(40)
    positions = np.linspace(0.0, TURN, 41)
    along = np.interp(angular_positions(), positions, np.append(nodes, nodes[0]))
    patchy = (np.clip(along, 0.0, 2.0) * identity.wear).astype(np.float32)[
        surface.frame.angle_index
    ]
    for edge, width, sign in ((0.985, 0.010, 0.13), (identity.step + 0.006, 0.006, -0.18)):
        surface.grey *= 1.0 + sign * patchy * np.exp(-(((r - edge) / width) ** 2))


def _add_stains(surface: Surface, rng: np.random.Generator) -> None:
    """Add soft stains of oil and water, up to a fifth of the diameter."""
    for _ in range(int(rng.integers(0, 4))):
        extent = float(rng.uniform(0.05, 0.22))
        x, y = _place(rng, 0.62, 0.98)
        rows, columns = patch_of(surface.frame, x, y, 2.2 * extent)
        px, py = patch_coordinates(surface.frame, rows, columns, x, y)
        stretch = rng.uniform(0.5, 1.0)
        turn = rng.uniform(0.0, TURN)
        u = (px * np.cos(turn) + py * np.sin(turn)) / extent
        v = (py * np.cos(turn) - px * np.sin(turn)) / (extent * stretch)
        depth = rng.choice((-1.0, 1.0)) * rng.uniform(0.04, 0.14)
        stain = np.float32(depth) * np.exp(-((u * u + v * v) ** 2))
        surface.grey[rows, columns] *= 1.0 + stain.astype(np.float32)


def _add_tool_marks(surface: Surface, identity: Identity, rng: np.random.Generator) -> None:
    """Add concentric arcs where the tool chattered: shallow, and along the turning marks."""
    frame = surface.frame
    marks = np.zeros((frame.side, frame.side), np.float32)
    shift = 4
    centre = round(frame.centre * 2**shift)
    for _ in range(int(rng.integers(0, 5))):
        radius = rng.uniform(identity.step + 0.02, 0.98) * frame.radius
        start = rng.uniform(0.0, 360.0)
        end = start + rng.uniform(5.0, 50.0)
        cv2.ellipse(
            marks,
            (centre, centre),
            (round(radius * 2**shift), round(radius * 2**shift)),
            0.0,
            start,
            end,
            float(rng.choice((-1.0, 1.0)) * rng.uniform(0.3, 1.0)),
            thickness=int(rng.integers(1, 3)),
            lineType=cv2.LINE_8,
            shift=shift,
        )
    soft = cv2.GaussianBlur(marks, (0, 0), frame.side / 512.0)
    surface.grey *= 1.0 + 0.16 * soft
    surface.relief += 0.5 * soft


def _add_specks(surface: Surface, rng: np.random.Generator) -> None:
    """Add specks of dust and dirt that lie on the part: soft, faint, without a rim of their own."""
    for _ in range(int(rng.integers(0, 14))):
        extent = float(rng.uniform(0.005, 0.014))
        x, y = _place(rng, 0.25, 0.99)
        rows, columns = patch_of(surface.frame, x, y, 3.0 * extent)
        px, py = patch_coordinates(surface.frame, rows, columns, x, y)
        depth = rng.choice((-1.0, 1.0)) * rng.uniform(0.06, 0.22)
        speck = np.float32(depth) * np.exp(-(px * px + py * py) / np.float32(extent * extent))
        surface.grey[rows, columns] *= 1.0 + speck.astype(np.float32)


def _place(rng: np.random.Generator, low: float, high: float) -> tuple[float, float]:
    """Draw a place on the part between two radii, in outer radii."""
    angle, radius = rng.uniform(0.0, TURN), rng.uniform(low, high)
    return float(radius * np.cos(angle)), float(radius * np.sin(angle))
