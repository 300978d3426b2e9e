"""What a picture looks like on circles about its centre, with its stretch taken out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from casting_inspect.data.decode import DecodeError, decode

VERSION: Final = 2
"""Raised whenever a picture would get another signature."""
RADII: Final = 24
FREQUENCIES: Final = 60
SLOWEST: Final = 4
"""First frequency kept, in waves a turn; below: light from one side, what is left of a stretch."""
_EVEN_FROM: Final = 20  # waves a turn from which all count the same
_ANGLES: Final = 256
_SIDE: Final = 128
_COARSE: Final = 64  # side for finding centre and stretch
_ROUNDS: Final = 5

Signature = NDArray[np.complex64]
Grey = NDArray[np.float32]
_Matrix = NDArray[np.float64]


def signature_of(path: Path) -> Signature | None:
    """Return the signature of a file, or None where it does not decode."""
    try:
        pixels = decode(path)
    except DecodeError:
        return None
    return polar_signature(_grey(pixels))


def polar_signature(grey: Grey) -> Signature:
    """Return a picture's Fourier coefficients along circles about its centre.

    Centre and stretch are found from the gradients: in the right frame they have no preferred
    direction, and the lines along them meet in the centre. There the picture is read on circles;
    each circle loses its mean and slow waves (the part's round design, light from one side) and
    gets equal contrast. A turn of the picture changes the coefficients' phases alone, a mirrored
    picture has conjugate ones, and stretch, shear, size and light go away as far as that frame
    is right.

    Args:
        grey: (128, 128), any linear scale.

    Returns:
        (RADII, FREQUENCIES), of norm 1, or all 0 for a picture without any structure.

    Source: second-moment adaptation after Lindeberg and Garding 1997; Fourier-Mellin matching.
    """
    centre, frame = _frame_of(grey)
    angle = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
    radius = np.linspace(0.3, 1.35, RADII)
    circle = np.stack([np.outer(radius, np.cos(angle)), np.outer(radius, np.sin(angle))], axis=-1)
    place = (circle @ frame.T + centre).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.8)
    rings = cv2.remap(
        smooth, place[..., 0], place[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    low = float(np.quantile(grey, 0.01))
    span = float(np.quantile(grey, 0.99)) - low
    if span <= 1e-3 * max(1.0, abs(low)):
        return np.zeros((RADII, FREQUENCIES), dtype=np.complex64)
    light = np.log(np.clip((rings - low) / span, 0, 1.5) + 0.15)
    edge = np.abs(np.gradient(light.mean(axis=1), radius))
    pixels = radius * float(np.sqrt(np.linalg.det(frame)))
    return _equalised(light, edge[:, None], pixels[:, None])


def _equalised(
    light: NDArray[Any], edge: NDArray[np.float64], pixels: NDArray[np.float64]
) -> Signature:
    """Return the coefficients of rings with equal contrast.

    Slow waves are held back, so that light and design do not drown what is one casting's own, and
    waves finer than the pixels of a ring. A ring on an edge counts less: what it shows is how far
    the centre is off. Each ring is clipped: one spot decides nothing.

    Args:
        light: Logarithm of the light, (RADII, _ANGLES).
        edge: How steeply it changes from ring to ring, (RADII, 1).
        pixels: Radius of each ring, (RADII, 1).
    """
    waves = np.fft.rfft(light, axis=1)
    number = np.arange(waves.shape[1])
    waves *= np.minimum(number / _EVEN_FROM, 1) * np.exp(-0.5 * (number / pixels) ** 2)
    waves[:, :SLOWEST] = 0
    waves[:, SLOWEST + FREQUENCIES :] = 0
    fine = np.fft.irfft(waves, n=_ANGLES, axis=1)
    contrast = np.sqrt(np.mean(fine**2, axis=1, keepdims=True))
    fine = np.clip(fine, -3 * contrast, 3 * contrast) / (contrast + 0.03 + 0.1 * edge)
    kept = np.fft.rfft(fine, axis=1)[:, SLOWEST : SLOWEST + FREQUENCIES]
    norm = float(np.linalg.norm(kept))
    return np.asarray(kept / norm if norm > 1e-3 else 0 * kept, dtype=np.complex64)


def _grey(pixels: NDArray[Any]) -> Grey:
    """Return luma on a square of `_SIDE` pixels, proportions kept, the border repeated around."""
    plain = pixels.astype(np.float32) if pixels.dtype != np.uint8 else pixels
    grey = cv2.cvtColor(plain, cv2.COLOR_RGB2GRAY) if plain.ndim == 3 else plain
    height, width = grey.shape
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(grey, size, interpolation=method).astype(np.float32)
    left, top = (_SIDE - size[0]) // 2, (_SIDE - size[1]) // 2
    return np.asarray(
        cv2.copyMakeBorder(
            small, top, _SIDE - size[1] - top, left, _SIDE - size[0] - left, cv2.BORDER_REPLICATE
        )
    )


def _frame_of(grey: Grey) -> tuple[NDArray[np.float64], _Matrix]:
    """Return the centre (x, y) and the matrix from the round frame to pixels; radius 1 is typical.

    A few rounds: where the centre is and how wide the window is depend on each other.
    """
    small = cv2.resize(grey, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
    gx, gy = _gradients(np.asarray(small, dtype=np.float32))
    y, x = np.mgrid[:_COARSE, :_COARSE].astype(np.float64)
    middle = (_COARSE - 1) / 2
    centre, shape = np.array([middle, middle]), np.eye(2)
    for _ in range(_ROUNDS):
        back = np.linalg.inv(shape)
        u = back[0, 0] * (x - centre[0]) + back[0, 1] * (y - centre[1])
        v = back[1, 0] * (x - centre[0]) + back[1, 1] * (y - centre[1])
        window = np.exp(-(u**2 + v**2) / (2 * (0.3 * _COARSE) ** 2))
        shape = _round_shape(window, gx, gy)
        centre = np.clip(
            centre + _towards_centre(window, gx, gy, x - centre[0], y - centre[1], shape),
            middle - _COARSE / 6,
            middle + _COARSE / 6,
        )
    back = np.linalg.inv(shape)
    u = back[0, 0] * (x - centre[0]) + back[0, 1] * (y - centre[1])
    v = back[1, 0] * (x - centre[0]) + back[1, 1] * (y - centre[1])
    inside = (u**2 + v**2 < (_COARSE / 2) ** 2) * (gx**2 + gy**2)
    typical = np.sqrt(np.sum(inside * (u**2 + v**2)) / max(float(np.sum(inside)), 1e-9))
    scale = _SIDE / _COARSE
    return (centre + 0.5) * scale - 0.5, shape * max(float(typical), 4.0) * scale


def _gradients(small: Grey) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the gradients of a picture with equal contrast everywhere."""
    smooth = cv2.GaussianBlur(small, (0, 0), 0.6)
    mean = cv2.GaussianBlur(smooth, (0, 0), 4)
    spread = np.sqrt(cv2.GaussianBlur((smooth - mean) ** 2, (0, 0), 4))
    even = (smooth - mean) / (spread + 0.15 * float(spread.mean()) + 1e-6)
    gx = cv2.Sobel(even, cv2.CV_32F, 1, 0)
    gy = cv2.Sobel(even, cv2.CV_32F, 0, 1)
    return gx.astype(np.float64), gy.astype(np.float64)


def _round_shape(
    window: NDArray[np.float64], gx: NDArray[np.float64], gy: NDArray[np.float64]
) -> _Matrix:
    """Return the matrix of determinant 1 in whose frame gradients have no preferred direction."""
    mixed = float(np.sum(window * gx * gy))
    moments = np.array(
        [[np.sum(window * gx * gx), mixed], [mixed, np.sum(window * gy * gy)]]
    ) + 1e-9 * np.eye(2)
    values, vectors = np.linalg.eigh(moments)
    values = np.maximum(values, values.max() / 36)  # nothing is stretched more than sixfold
    shape = vectors @ np.diag(values**-0.5) @ vectors.T
    return np.asarray(shape / np.sqrt(np.linalg.det(shape)))


def _towards_centre(
    window: NDArray[np.float64],
    gx: NDArray[np.float64],
    gy: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    shape: _Matrix,
) -> NDArray[np.float64]:
    """Return the step to the point nearest to the lines along the gradients, in pixels."""
    back = np.linalg.inv(shape)
    u, v = back[0, 0] * x + back[0, 1] * y, back[1, 0] * x + back[1, 1] * y
    along, across = gx * shape[0, 0] + gy * shape[1, 0], gx * shape[0, 1] + gy * shape[1, 1]
    nu, nv = -across, along
    mixed = float(np.sum(window * nu * nv))
    lines = np.array([[np.sum(window * nu * nu), mixed], [mixed, np.sum(window * nv * nv)]])
    off = window * (nu * u + nv * v)
    aim = np.array([np.sum(off * nu), np.sum(off * nv)])
    ridge = (1e-6 * np.trace(lines) + 1e-12) * np.eye(2)
    return np.asarray(shape @ np.linalg.solve(lines + ridge, aim))
