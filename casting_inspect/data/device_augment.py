"""The changes of `augment`, drawn and done a whole batch at a time on the device that trains."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from casting_inspect.data.augment import LEAST_SLOPE, SHARES, Strength

Floats = NDArray[np.float64]
KERNEL_REACH: Final = 3.5
"""Standard deviations that a blur's kernel reaches to either side, as albumentations has it."""


@dataclass(frozen=True)
class Changes:
    """What is done to each of n pictures, (n,) each; a value that changes nothing leaves it out.

    Attributes:
        mirror: -1 mirrors, 1 does not.
        angle: Turn in radians, after mirroring.
        scale: Size afterwards over size before.
        shift_x: Shift to the right after turning, in whole pixels.
        shift_y: Shift downwards.
        contrast: What grey values are multiplied by.
        brightness: What is added afterwards, in grey levels.
        gamma: Exponent of grey values from 0 to 1.
        slope: Fall of light over the picture, signed; 0 for none.
        slope_angle: Its direction in radians.
        blur: Standard deviation in pixels; 0 for none.
        noise: Standard deviation in grey levels; 0 for none.
        noise_seed: Of the noise, a whole number below 2^53.
    """

    mirror: Floats
    angle: Floats
    scale: Floats
    shift_x: Floats
    shift_y: Floats
    contrast: Floats
    brightness: Floats
    gamma: Floats
    slope: Floats
    slope_angle: Floats
    blur: Floats
    noise: Floats
    noise_seed: Floats


class DeviceAugmenter:
    """Change batches at random, each picture the same way for the same (seed, epoch, index).

    The distribution is that of `Augmenter`, whose steps, order and rounding these are; the draws
    are others. Any device will do: a picture depends neither on its batch nor on other pictures.

    Args:
        strength: How far pictures are changed.
        seed: Non-negative integer.
        pictures: An index is below this number.
    """

    def __init__(self, strength: Strength, seed: int, pictures: int) -> None:
        self.strength = strength
        self.seed = seed
        self.pictures = pictures
        self._drawn: tuple[int, Changes] | None = None

    def __call__(self, images: Tensor, epoch: int, indices: NDArray[np.int64]) -> Tensor:
        """Return the changed pictures.

        Args:
            images: uint8 (B, C, S, S).
            epoch: From 0.
            indices: Each picture's place in the manifest, (B,).

        Returns:
            uint8 (B, C, S, S), on the same device.
        """
        if self.strength == Strength():
            return images
        drawn = self.changes(epoch)
        chosen = {field.name: getattr(drawn, field.name)[indices] for field in fields(Changes)}
        return changed(images, Changes(**chosen))

    def changes(self, epoch: int) -> Changes:
        """Return what an epoch does to every picture; row ``index`` depends on no other row."""
        if self._drawn is None or self._drawn[0] != epoch:
            source = np.random.SeedSequence([self.seed, epoch], spawn_key=(1,))  # 0 is the order's
            numbers = np.random.default_rng(source).random((self.pictures, _DRAWS))
            self._drawn = epoch, _changes(self.strength, numbers)
        return self._drawn[1]


_DRAWS: Final = 20


def _changes(strength: Strength, numbers: Floats) -> Changes:
    """Return changes from numbers in [0, 1), (n, _DRAWS)."""
    columns = iter(numbers.T)

    def between(low: float, high: float) -> Floats:
        return np.asarray(low + (high - low) * next(columns))

    def happens(name: str) -> NDArray[np.bool_]:
        return np.asarray(next(columns) < SHARES[name])

    largest = 1 - 2 * strength.shift
    smallest = min(1 - strength.shrink, largest)
    mirror = np.where(between(0, 1) < 0.5, -1.0, 1.0)
    free, quarters = between(-np.pi, np.pi), np.floor(between(0, 4)) * (np.pi / 2)
    scale = between(smallest, largest)
    shift_x, shift_y = (between(-strength.shift, strength.shift) for _ in range(2))
    light = happens("light")
    contrast = between(1 - strength.contrast, 1 + strength.contrast)
    brightness = 255 * between(-strength.brightness, strength.brightness)
    has_gamma, gamma = happens("gamma"), between(1 - strength.gamma, 1 + strength.gamma)
    slopes, fall = happens("slope"), between(LEAST_SLOPE, max(LEAST_SLOPE, strength.slope))
    sign, direction = np.where(between(0, 1) < 0.5, -1.0, 1.0), between(0, 2 * np.pi)
    blurs, blur = happens("blur"), between(0, strength.blur)
    noisy, noise = happens("noise"), 255 * between(0, strength.noise)
    turns = {"any": free, "right": quarters, "none": np.zeros_like(free)}
    return Changes(
        mirror=mirror if strength.mirror else np.ones_like(mirror),
        angle=turns[strength.turn],
        scale=scale,
        shift_x=shift_x,
        shift_y=shift_y,
        contrast=np.where(light, contrast, 1.0),
        brightness=np.where(light, brightness, 0.0),
        gamma=np.where(has_gamma, gamma, 1.0),
        slope=np.where(slopes & (strength.slope > 0), sign * fall, 0.0),
        slope_angle=direction,
        blur=np.where(blurs, blur, 0.0),
        noise=np.where(noisy, noise, 0.0),
        noise_seed=np.floor(between(0, 2.0**53)),
    )


def changed(images: Tensor, changes: Changes) -> Tensor:
    """Return uint8 (B, C, S, S) pictures after these changes, one step after the other."""
    columns = np.stack([getattr(changes, field.name) for field in fields(Changes)])
    # one copy to the device, which does not wait for what is queued there
    moved = torch.from_numpy(columns.astype(np.float32)).to(images.device, non_blocking=True)
    on_device = dict(
        zip(
            [field.name for field in fields(Changes)],
            moved.view(len(columns), -1, 1, 1, 1),
            strict=True,
        )
    )
    values = _lit(_warped(images.float(), on_device, changes), on_device, changes)
    _blur(values, changes)
    _add_noise(values, changes)
    return values.to(torch.uint8)


def _warped(values: Tensor, on_device: dict[str, Tensor], changes: Changes) -> Tensor:
    """Mirror, turn, scale and shift about the centre; the border's pixels are repeated around."""
    still = {"mirror": 1.0, "angle": 0.0, "scale": 1.0, "shift_x": 0.0, "shift_y": 0.0}
    if all((getattr(changes, name) == value).all() for name, value in still.items()):
        return values
    side = values.shape[-1]
    # with corners aligned 1 is half the side less half a pixel, and the centre of a pixel stays it
    half = (side - 1) / 2 or 1.0
    line = torch.linspace(-half, half, side, device=values.device)
    at = {key: value.view(-1, 1, 1) for key, value in on_device.items()}
    # where each pixel of the result comes from: the inverse steps in the inverse order; sums and
    # products by hand, because a product of matrices may be rounded to TF32, a tenth of a pixel
    x = line.view(1, 1, -1) - (at["shift_x"] * side).trunc()
    y = line.view(1, -1, 1) - (at["shift_y"] * side).trunc()
    cos, sin = at["angle"].cos() / at["scale"], at["angle"].sin() / at["scale"]
    from_x = at["mirror"] * (cos * x - sin * y)
    from_y = sin * x + cos * y
    grid = torch.stack([from_x, from_y], dim=-1) / half
    return F.grid_sample(values, grid, padding_mode="border", align_corners=True).round_()


def _lit(values: Tensor, on_device: dict[str, Tensor], changes: Changes) -> Tensor:
    """Change contrast, brightness, gamma and the light's slope; grey levels as albumentations'."""
    if (changes.contrast != 1).any() or (changes.brightness != 0).any():
        values = values * on_device["contrast"] + on_device["brightness"]
        values = values.clamp_(0, 255).floor_()
    if (changes.gamma != 1).any():
        # what is left as it is must not lose a level to rounding before it is cut off
        bent = (255 * (values / 255) ** on_device["gamma"]).floor_()
        values = torch.where(on_device["gamma"] == 1, values, bent)
    if (changes.slope != 0).any():
        line = torch.linspace(0, 1, values.shape[-1], device=values.device)
        angle, slope = on_device["slope_angle"], on_device["slope"]
        gradient = line.view(1, 1, 1, -1) * angle.cos() + line.view(1, 1, -1, 1) * angle.sin()
        gradient = torch.where(slope < 0, 1 - gradient, gradient)
        light = 2 * slope.abs() * gradient + (1 - slope.abs())
        values = torch.where(slope == 0, values, (values * light).round_().clamp_(0, 255))
    return values


def _blur(values: Tensor, changes: Changes) -> None:
    """Blur some pictures in place with kernels of their own, first along one side, then the other.

    Sums of shifted pictures: a convolution may be rounded to TF32.
    """
    rows = np.flatnonzero(KERNEL_REACH * changes.blur >= 1)  # below that a kernel is one pixel
    if not len(rows):
        return
    side = values.shape[-1]
    sigma = changes.blur[rows, np.newaxis]
    reach = min(int(KERNEL_REACH * sigma.max()), side - 1)
    taps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (taps / sigma) ** 2) * (np.abs(taps) <= np.floor(KERNEL_REACH * sigma))
    kernel /= kernel.sum(axis=1, keepdims=True)
    chosen, weights = _moved(rows, values.device), _moved(kernel.astype(np.float32), values.device)
    some = values[chosen]
    for along in (3, 2):
        margin = (reach, reach, 0, 0) if along == 3 else (0, 0, reach, reach)
        padded = F.pad(some, margin, mode="reflect")
        some = torch.zeros_like(some)
        for tap in range(len(taps)):
            some += weights[:, tap].view(-1, 1, 1, 1) * padded.narrow(along, tap, side)
    values[chosen] = some.round_().clamp_(0, 255)


def _add_noise(values: Tensor, changes: Changes) -> None:
    """Add noise to some pictures in place, alike in all channels."""
    rows = np.flatnonzero(changes.noise > 0)
    if not len(rows):
        return
    side, generator = values.shape[-1], torch.Generator(values.device)
    noise = torch.empty(len(rows), 1, side, side, device=values.device)
    for place, row in enumerate(rows):
        generator.manual_seed(int(changes.noise_seed[row]))
        noise[place].normal_(0, float(changes.noise[row]), generator=generator)
    chosen = _moved(rows, values.device)
    values[chosen] = (values[chosen] + noise).clamp_(0, 255).floor_()


def _moved(values: NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(values).to(device, non_blocking=True)
