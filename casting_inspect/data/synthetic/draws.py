"""The numbers that make a casting, its defect and a photograph of it, each from its stream."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from casting_inspect.data.synthetic.config import DefectKind, SyntheticConfig, draw_size, stream

TURN = 2.0 * math.pi


@dataclass(frozen=True)
class Identity:
    """What makes one casting itself in all its photographs; lengths in outer radii.

    Attributes:
        bore: Radius of the hole through the hub.
        hub: Outer radius of the hub's turned face.
        ring_inner: Inner radius of the raised ring.
        ring_outer: Outer radius of the raised ring.
        step: Radius where the turned rim face begins.
        face_grey: Reflectance of the rim face, 0 to 1.
        ring_grey: Reflectance of ring and hub, 0 to 1.
        chamber_grey: Reflectance of the unmachined chamber, 0 to 1.
        cone: Slope of the rim face outwards.
        turning: Depth of the turning marks.
        vanes: Number of vanes.
        vane_phase: Angle of the first vane in radians.
        vane_sweep: Angle that a vane turns through from hub to ring, in radians.
        wear: How far the edges are polished by handling, 0 to 1.
        texture_seed: Seed of everything that is laid over as texture and marks.
    """

    bore: float
    hub: float
    ring_inner: float
    ring_outer: float
    step: float
    face_grey: float
    ring_grey: float
    chamber_grey: float
    cone: float
    turning: float
    vanes: int
    vane_phase: float
    vane_sweep: float
    wear: float
    texture_seed: int


@dataclass(frozen=True)
class Defect:
    """One defect, fixed to its casting.

    Attributes:
        kind: One of ``KINDS``.
        size: Largest extent as a share of the part's diameter, 0.02 to 0.2.
        angle: Direction of its place from the part's centre, in radians.
        radius: Distance of its place from the centre in outer radii; 1 for the two rim kinds.
        shape_seed: Seed of its outline.
    """

    kind: DefectKind
    size: float
    angle: float
    radius: float
    shape_seed: int


@dataclass(frozen=True)
class Exposure:
    """Pose, light and camera of one photograph; lengths in picture sides, angles in radians.

    Attributes:
        turn: Rotation of the part.
        shift: Displacement of the part's centre, (x, y).
        scale: Factor on the part's nominal size.
        tilt: Relative shortening across ``tilt_axis``: the camera is not quite above.
        tilt_axis: Direction of the shortening.
        lamps: One row a lamp: direction, strength, width of its highlight on turned metal.
        ambient: Light from everywhere.
        gloss: Strength of all highlights.
        table: Grey of the table under the part, 0 to 1.
        table_slope: Change of that grey across the picture, (x, y).
        shadow: Depth of the cast shadow, 0 to 1.
        shadow_reach: Displacement of the shadow away from the first lamp.
        shadow_softness: Width of its edge.
        gain: Exposure.
        gamma: Exponent of the camera's curve.
        blur: Standard deviation of the lens's blur, in thousandths of the picture's side.
        noise: Standard deviation of the sensor's noise in grey levels of 255.
    """

    turn: float
    shift: tuple[float, float]
    scale: float
    tilt: float
    tilt_axis: float
    lamps: tuple[tuple[float, float, float], ...]
    ambient: float
    gloss: float
    table: float
    table_slope: tuple[float, float]
    shadow: float
    shadow_reach: float
    shadow_softness: float
    gain: float
    gamma: float
    blur: float
    noise: float


def draw_identity(config: SyntheticConfig, part: int) -> Identity:
    """Draw what a part looks like; the class has no say in it."""
    rng = stream(config.seed, "identity", part)
    step = rng.uniform(0.60, 0.655)
    ring_outer = step - rng.uniform(0.018, 0.034)
    ring_inner = ring_outer - rng.uniform(0.04, 0.075)
    bore = rng.uniform(0.195, 0.24)
    return Identity(
        bore=bore,
        hub=bore + rng.uniform(0.05, 0.085),
        ring_inner=ring_inner,
        ring_outer=ring_outer,
        step=step,
        face_grey=rng.uniform(0.60, 0.80),
        ring_grey=rng.uniform(0.60, 0.84),
        chamber_grey=rng.uniform(0.05, 0.13),
        cone=rng.uniform(0.04, 0.20),
        turning=rng.uniform(0.006, 0.028),
        vanes=int(rng.integers(5, 9)),
        vane_phase=rng.uniform(0.0, TURN),
        vane_sweep=rng.uniform(0.7, 1.3),
        wear=rng.uniform(0.0, 1.0),
        texture_seed=int(rng.integers(2**31)),
    )


def draw_defect(config: SyntheticConfig, part: int, kind: DefectKind) -> Defect:
    """Draw the defect of a defective part: where, how large, and the seed of its outline."""
    rng = stream(config.seed, "defect", part)
    size = draw_size(rng)
    angle = rng.uniform(0.0, TURN)
    if kind in ("chipped_rim", "flash"):
        radius = 1.0
    else:
        # a defect of size s reaches s radii to each side: keep it on the rim face if it fits there
        low, high = 0.66 + size, 0.975 - size
        radius = rng.uniform(low, high) if low < high else (low + high) / 2.0
    return Defect(kind, size, angle, radius, int(rng.integers(2**31)))


def draw_exposure(config: SyntheticConfig, part: int, photograph: int) -> Exposure:
    """Draw how one photograph of a part is taken; neither class nor part has a say in it."""
    rng = stream(config.seed, "photograph", part, photograph)
    first = rng.uniform(0.0, TURN)
    lamps = [(first, rng.uniform(0.55, 1.0), rng.uniform(0.18, 0.5))]
    for _ in range(int(rng.integers(1, 4))):
        direction = first + rng.uniform(0.6, TURN - 0.6)
        lamps.append((direction, rng.uniform(0.1, 0.55), rng.uniform(0.08, 0.4)))
    slope, slope_angle = rng.uniform(0.02, 0.22), rng.uniform(0.0, TURN)
    return Exposure(
        turn=rng.uniform(0.0, TURN),
        shift=(rng.uniform(-0.02, 0.02), rng.uniform(-0.02, 0.02)),
        scale=rng.uniform(0.94, 1.05),
        tilt=rng.uniform(0.0, 0.04),
        tilt_axis=rng.uniform(0.0, TURN),
        lamps=tuple(lamps),
        ambient=rng.uniform(0.35, 0.65),
        gloss=rng.uniform(0.25, 0.85),
        table=rng.uniform(0.42, 0.76),
        table_slope=(slope * math.cos(slope_angle), slope * math.sin(slope_angle)),
        shadow=rng.uniform(0.35, 0.85),
        shadow_reach=rng.uniform(0.006, 0.030),
        shadow_softness=rng.uniform(0.008, 0.03),
        gain=rng.uniform(0.90, 1.28),
        gamma=rng.uniform(0.85, 1.15),
        blur=rng.uniform(1.0, 2.5),
        noise=rng.uniform(0.8, 2.2),
    )


def seeded(seed: int) -> np.random.Generator:
    """Return the stream of one outline or texture."""
    return np.random.Generator(np.random.Philox(seed))
