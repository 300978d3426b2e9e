"""Augmentation, a pure function of seed, epoch and index, that keeps the whole part in view."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import threading
from typing import Any, Final, Literal, get_args

import cv2
import numpy as np

from casting_inspect.errors import UserError, suggestion

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks a package index on import
import albumentations

Turn = Literal["any", "right", "none"]


@dataclasses.dataclass(frozen=True)
class Strength:
    """How far pictures are changed; 0 leaves a thing out.

    Geometry can only turn, mirror, shrink and, after shrinking by as much, shift. So what lies
    within the inscribed circle (with ``turn="any"``) or anywhere in the picture (with ``"right"``
    and ``"none"``) is still there afterwards, and a defect at the rim keeps its label true. Light
    acts on all channels alike: a grey picture stays grey.

    Attributes:
        turn: ``any`` angle (round parts), ``right`` angles only (parts that fill the corners), or
            ``none``.
        mirror: Whether every second picture is mirrored.
        shrink: The part is made smaller by up to this share of its size, 0 to 0.5.
        shift: Shift along each side by up to this share of the side, 0 to 0.25; the part is first
            made smaller by twice as much, so that it never leaves the picture.
        brightness: Added light, up to this share of full scale either way, 0 to 0.5.
        contrast: Change of contrast, up to this share either way, 0 to 0.5.
        gamma: Exponent drawn from 1 - gamma to 1 + gamma, 0 to 0.5.
        slope: Light that falls off from one side to the other, up to this share, 0 to 0.5.
        blur: Largest standard deviation of a Gaussian blur in pixels, 0 to 3; one picture in five.
        noise: Largest standard deviation of Gaussian noise as a share of full scale, 0 to 0.2;
            one picture in five.
    """

    turn: Turn = "none"
    mirror: bool = False
    shrink: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    slope: float = 0.0
    blur: float = 0.0
    noise: float = 0.0


STRENGTHS: Final = {
    "none": Strength(),
    "light": Strength(
        turn="any",
        mirror=True,
        shrink=0.08,
        brightness=0.1,
        contrast=0.15,
        gamma=0.15,
        blur=0.8,
        noise=0.015,
    ),
    "strong": Strength(
        turn="any",
        mirror=True,
        shrink=0.2,
        shift=0.03,
        brightness=0.2,
        contrast=0.3,
        gamma=0.3,
        slope=0.2,
        blur=1.2,
        noise=0.03,
    ),
}

SHARES: Final = {"light": 0.8, "gamma": 0.5, "slope": 0.3, "blur": 0.2, "noise": 0.2}
"""Shares of the pictures that each change of light or camera is done to, where it is done."""
LEAST_SLOPE: Final = 0.01  # albumentations takes no less

_LARGEST: Final = {
    "shrink": 0.5,
    "shift": 0.25,
    "brightness": 0.5,
    "contrast": 0.5,
    "gamma": 0.5,
    "slope": 0.5,
    "blur": 3.0,
    "noise": 0.2,
}


class Augmenter:
    """Change a picture at random, the same way for the same (seed, epoch, index).

    albumentations 2.0.8 repeats its own random state across workers and epochs, and its
    ``set_random_seed`` hands every transform the same seed, which ties the blur to the mirror and
    the light to the angle. So each call makes one pair of generators, which the transforms share.
    Threads and processes may share an augmenter: it holds plain data, and each thread has its own
    transforms.

    Args:
        name: ``none``, ``light`` or ``strong``.
        seed: Non-negative integer; another seed gives another series of changes.
        **options: Fields of `Strength` that replace the named set's.

    Raises:
        UserError: If the name, an option or its value is not valid.
    """

    def __init__(self, name: str, seed: int, **options: Any) -> None:
        self.strength = _strength(name, options)
        self.seed = seed
        _pipeline(self.strength)  # albumentations checks the values too: now, not in a worker

    def __call__(self, image: np.ndarray, epoch: int, index: int) -> np.ndarray:
        """Return the changed picture; the one given is left as it is.

        Args:
            image: uint8 (S, S, 3), or (S, S, 1): the same as each of three equal channels.
            epoch: From 0; another epoch gives another change.
            index: The picture's place in the manifest.

        Returns:
            uint8 of the same shape, contiguous.
        """
        pipeline = _pipeline(self.strength)
        if not pipeline.transforms:
            return image
        digest = hashlib.blake2b(f"{self.seed}/{epoch}/{index}".encode(), digest_size=8).digest()
        entropy = int.from_bytes(digest, "little")
        numbers, choices = np.random.default_rng(entropy), random.Random(entropy)
        for transform in pipeline.transforms:
            transform.set_random_state(numbers, choices)
        changed: np.ndarray = pipeline(image=image)["image"]
        return np.ascontiguousarray(changed)


def _strength(name: str, options: dict[str, Any]) -> Strength:
    """Return the named set with the options in it, checked."""
    if name not in STRENGTHS:
        raise UserError(
            f"augment={name}: must be one of {', '.join(STRENGTHS)}.{suggestion(name, STRENGTHS)}"
        )
    known = [field.name for field in dataclasses.fields(Strength)]
    for key, value in options.items():
        if key not in known:
            raise UserError(
                f"augment has no option '{key}': it has {', '.join(known)}.{suggestion(key, known)}"
            )
        if key == "turn" and value not in get_args(Turn):
            raise UserError(f"augment.turn={value}: must be one of {', '.join(get_args(Turn))}")
        if key == "mirror" and not isinstance(value, bool):
            raise UserError(f"augment.mirror={value}: must be true or false")
        if key in _LARGEST and not _is_share(value, _LARGEST[key]):
            raise UserError(f"augment.{key}={value}: must be a number from 0 to {_LARGEST[key]:g}")
    return dataclasses.replace(STRENGTHS[name], **options)


def _is_share(value: Any, largest: float) -> bool:
    """Say whether a value is a number from 0 to ``largest``."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= largest


_PIPELINES = threading.local()


def _pipeline(strength: Strength) -> albumentations.Compose:
    """Return this thread's transforms, in order; those that change nothing are left out."""
    made: dict[Strength, albumentations.Compose] = _PIPELINES.__dict__.setdefault("made", {})
    if strength not in made:
        made[strength] = albumentations.Compose([*_geometry(strength), *_light(strength)])
    return made[strength]


def _geometry(strength: Strength) -> list[albumentations.BasicTransform]:
    """Return mirror, turn, and one warp about the centre that never moves the part out."""
    transforms: list[albumentations.BasicTransform] = []
    if strength.mirror:
        transforms.append(albumentations.HorizontalFlip(p=0.5))
    if strength.turn == "right":
        transforms.append(albumentations.RandomRotate90(p=1.0))
    largest = 1 - 2 * strength.shift
    smallest = min(1 - strength.shrink, largest)
    if strength.turn == "any" or smallest < 1:
        angle = 180.0 if strength.turn == "any" else 0.0
        warp = albumentations.Affine(
            scale=(smallest, largest),
            translate_percent=(-strength.shift, strength.shift),
            rotate=(-angle, angle),
            shear=0.0,
            keep_ratio=True,
            interpolation=cv2.INTER_LINEAR,
            border_mode=cv2.BORDER_REPLICATE,
            p=1.0,
        )
        transforms.append(warp)
    return transforms


def _light(strength: Strength) -> list[albumentations.BasicTransform]:
    """Return the changes of light, then what the camera adds: blur and noise."""
    transforms: list[albumentations.BasicTransform] = []
    if strength.brightness or strength.contrast:
        transforms.append(
            albumentations.RandomBrightnessContrast(
                brightness_limit=(-strength.brightness, strength.brightness),
                contrast_limit=(-strength.contrast, strength.contrast),
                p=SHARES["light"],
            )
        )
    if strength.gamma:
        percent = (100 * (1 - strength.gamma), 100 * (1 + strength.gamma))
        transforms.append(albumentations.RandomGamma(gamma_limit=percent, p=SHARES["gamma"]))
    if strength.slope:
        fall = (LEAST_SLOPE, max(LEAST_SLOPE, strength.slope))
        transforms.append(
            albumentations.Illumination(mode="linear", intensity_range=fall, p=SHARES["slope"])
        )
    if strength.blur:
        transforms.append(
            albumentations.GaussianBlur(
                blur_limit=0, sigma_limit=(0.0, strength.blur), p=SHARES["blur"]
            )
        )
    if strength.noise:
        transforms.append(
            albumentations.GaussNoise(
                std_range=(0.0, strength.noise), per_channel=False, p=SHARES["noise"]
            )
        )
    return transforms
