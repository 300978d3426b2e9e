"""Pictures as another day, camera or hand would give them: nine changes, five strengths each."""

from __future__ import annotations

import functools
import hashlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks a package index on import
import albumentations

Picture = NDArray[np.uint8]


class Wanted(NamedTuple):
    """What a transform is made for.

    Attributes:
        strength: In the change's unit.
        side: Of the picture, in pixels.
        signs: Two of 1 and -1: which way it turns or shifts.
    """

    strength: float
    side: int
    signs: tuple[int, int]


@dataclass(frozen=True)
class Change:
    """One way in which a picture can differ, and how far.

    Attributes:
        unit: Of the strengths, for an axis.
        strengths: Five, from the weakest to the strongest.
        make: The transform of one of them.
    """

    unit: str
    strengths: tuple[float, float, float, float, float]
    make: Callable[[Wanted], albumentations.BasicTransform]


def _affine(
    *, scale: float = 1.0, rotate: float = 0.0, x: float = 0.0, y: float = 0.0
) -> albumentations.BasicTransform:
    return albumentations.Affine(
        scale=(scale, scale),
        translate_percent={"x": (x, x), "y": (y, y)},
        rotate=(rotate, rotate),
        shear=0.0,
        interpolation=cv2.INTER_LINEAR,
        border_mode=cv2.BORDER_REPLICATE,
        p=1.0,
    )


def _turned(wanted: Wanted) -> albumentations.BasicTransform:
    return _affine(rotate=wanted.signs[0] * wanted.strength)


def _shifted(wanted: Wanted) -> albumentations.BasicTransform:
    x, y = (sign * wanted.strength / 100 for sign in wanted.signs)
    return _affine(x=x, y=y)


def _scaled(wanted: Wanted) -> albumentations.BasicTransform:
    return _affine(scale=1.0 - wanted.strength / 100)


def _darker(wanted: Wanted) -> albumentations.BasicTransform:
    return _light(-wanted.strength / 100)


def _brighter(wanted: Wanted) -> albumentations.BasicTransform:
    return _light(wanted.strength / 100)


def _light(more: float) -> albumentations.BasicTransform:
    """Multiply all grey values, as more or less light does; white stays white."""
    return albumentations.RandomBrightnessContrast(
        brightness_limit=(0.0, 0.0), contrast_limit=(more, more), p=1.0
    )


def _blurred(wanted: Wanted) -> albumentations.BasicTransform:
    sigma = wanted.strength / 100 * wanted.side
    return albumentations.GaussianBlur(blur_limit=0, sigma_limit=(sigma, sigma), p=1.0)


def _noisy(wanted: Wanted) -> albumentations.BasicTransform:
    """Add Gaussian noise, the same to all channels: a grey picture stays grey."""
    share = wanted.strength / 100
    return albumentations.GaussNoise(std_range=(share, share), per_channel=False, p=1.0)


def _compressed(wanted: Wanted) -> albumentations.BasicTransform:
    quality = int(wanted.strength)
    return albumentations.ImageCompression(
        compression_type="jpeg", quality_range=(quality, quality), p=1.0
    )


def _unfocused(wanted: Wanted) -> albumentations.BasicTransform:
    radius = max(1, round(wanted.strength / 100 * wanted.side))
    return albumentations.Defocus(radius=(radius, radius), alias_blur=(0.1, 0.1), p=1.0)


_SIDE: Final = "% of the side"
CHANGES: Final[dict[str, Change]] = {
    "turned": Change("degrees", (2.0, 5.0, 10.0, 20.0, 45.0), _turned),
    "shifted": Change(_SIDE, (1.0, 2.0, 4.0, 7.0, 10.0), _shifted),
    "scaled": Change("% smaller", (3.0, 6.0, 10.0, 20.0, 30.0), _scaled),
    "darker": Change("% less light", (5.0, 10.0, 20.0, 35.0, 50.0), _darker),
    "brighter": Change("% more light", (5.0, 10.0, 20.0, 35.0, 50.0), _brighter),
    "blurred": Change(f"{_SIDE}, standard deviation", (0.2, 0.4, 0.7, 1.0, 1.5), _blurred),
    "noisy": Change("% of white, standard deviation", (1.0, 2.0, 4.0, 7.0, 10.0), _noisy),
    "compressed": Change("JPEG quality", (90.0, 70.0, 50.0, 30.0, 10.0), _compressed),
    "unfocused": Change(f"{_SIDE}, radius", (0.5, 1.0, 1.5, 2.0, 3.0), _unfocused),
}
"""By name. Lengths are shares of the picture that the network sees."""


def changed(picture: Picture, kind: str, level: int, name: str, seed: int = 0) -> Picture:
    """Return a picture changed in one way: a pure function of the arguments.

    Which way it turns or shifts, and the noise, follow from the name; it is the same at all levels.

    Args:
        picture: uint8 (S, S, 3).
        kind: One of ``CHANGES``.
        level: Place in its strengths, from 0.
        name: The picture's, its path say.
        seed: Another seed, other ways and noise.

    Returns:
        uint8 (S, S, 3), contiguous.
    """
    digest = hashlib.blake2b(f"{seed}/{kind}/{name}".encode(), digest_size=8).digest()
    entropy = int.from_bytes(digest, "little")
    numbers = np.random.default_rng(entropy)
    first, second = (int(sign) for sign in numbers.choice([-1, 1], 2))
    transform = _transform(kind, level, picture.shape[0], (first, second))
    transform.set_random_state(numbers, random.Random(entropy))
    return np.ascontiguousarray(transform(image=picture)["image"], dtype=np.uint8)


@functools.cache
def _transform(kind: str, level: int, side: int, signs: tuple[int, int]) -> Any:
    change = CHANGES[kind]
    return change.make(Wanted(change.strengths[level], side, signs))
