"""Changes on the device: albumentations' steps and distribution, each picture for itself."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import albumentations
import cv2
import numpy as np
import pytest
import torch
from albumentations.augmentations.blur import functional as blurring
from albumentations.augmentations.geometric import functional as geometry
from albumentations.augmentations.pixel import functional as light
from scipy.stats import ks_2samp

from casting_inspect.data.augment import SHARES, STRENGTHS, Augmenter, Strength, _pipeline
from casting_inspect.data.device_augment import Changes, DeviceAugmenter, changed

SIDE = 64
MANY = 4000


def textured(seed: int = 0, channels: int = 3, side: int = SIDE) -> np.ndarray:
    """A smooth random picture, (side, side, channels)."""
    coarse = np.random.default_rng(seed).integers(40, 216, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)[..., :channels]


def batch(count: int, channels: int = 3, side: int = SIDE) -> torch.Tensor:
    pictures = [textured(seed, channels, side).transpose(2, 0, 1) for seed in range(count)]
    return torch.from_numpy(np.stack(pictures))


def drawn(strength: Strength, count: int = MANY, seed: int = 0) -> Changes:
    return DeviceAugmenter(strength, seed, count).changes(0)


def only(count: int = 1, **values: Any) -> Changes:
    """Changes of which those named are done and nothing else."""
    nothing = dict.fromkeys((field.name for field in dataclasses.fields(Changes)), 0.0)
    whole = {**nothing, "mirror": 1.0, "scale": 1.0, "contrast": 1.0, "gamma": 1.0, **values}
    return Changes(**{key: np.full(count, value, dtype=float) for key, value in whole.items()})


# ---- the same distribution of what is drawn


def of_albumentations(strength: Strength) -> dict[str, np.ndarray]:
    """What albumentations draws for many pictures, under our names."""
    image = textured()
    given = {"shape": image.shape}, {"image": image}
    found: dict[str, list[float]] = {}
    for transform in _pipeline(strength).transforms:
        transform.set_random_state(np.random.default_rng(1), random.Random(1))
        if not hasattr(transform, "get_params_dependent_on_data"):
            continue
        for _ in range(MANY):
            params = transform.get_params_dependent_on_data(*given)
            for key, value in under_our_names(transform, params).items():
                found.setdefault(key, []).append(value)
    return {key: np.array(values) for key, values in found.items()}


def under_our_names(transform: Any, params: dict[str, Any]) -> dict[str, float]:
    if isinstance(transform, albumentations.Affine):
        centre = np.array([(SIDE - 1) / 2, (SIDE - 1) / 2, 1])
        moved = params["matrix"] @ centre - centre
        return {
            "angle": np.deg2rad(params["rotate"]),
            "scale": params["scale"]["x"],
            "shift_x": round(moved[0]),
            "shift_y": round(moved[1]),
        }
    if isinstance(transform, albumentations.RandomBrightnessContrast):
        return {"contrast": params["alpha"], "brightness": params["beta"]}
    if isinstance(transform, albumentations.RandomGamma):
        return {"gamma": params["gamma"]}
    if isinstance(transform, albumentations.Illumination):
        return {"slope": params["intensity"], "slope_angle": np.deg2rad(params["angle"])}
    if isinstance(transform, albumentations.GaussianBlur):
        return {"blur": params["kernel"].max()}  # falls with the standard deviation
    if isinstance(transform, albumentations.GaussNoise):
        return {"noise": params["noise_map"].std()}
    return {}


@pytest.mark.parametrize("name", ["light", "strong"])
def test_what_is_drawn_has_albumentations_distribution(name: str) -> None:
    strength = STRENGTHS[name]
    ours, theirs = drawn(strength), of_albumentations(strength)
    done = {
        "contrast": ours.contrast != 1,
        "brightness": ours.brightness != 0,
        "gamma": ours.gamma != 1,
        "slope": ours.slope != 0,
        "blur": ours.blur != 0,
        "noise": ours.noise != 0,
    }
    for key, values in theirs.items():
        mine = getattr(ours, key)[done.get(key, np.ones(MANY, dtype=bool))]
        if key.startswith("shift"):
            mine = np.trunc(mine * SIDE)
        if key == "blur":
            mine = np.array([blurring.create_gaussian_kernel_1d(sigma).max() for sigma in mine])
        assert ks_2samp(mine, values).pvalue > 1e-3, key
        lowest, highest = values.min(), values.max()
        margin = 0.05 * (highest - lowest) + 1e-9
        assert mine.min() >= lowest - margin, key
        assert mine.max() <= highest + margin, key
    shares = {"light": "contrast", "gamma": "gamma", "slope": "slope", "blur": "blur"}
    for share, key in {**shares, "noise": "noise"}.items():
        expected = SHARES[share] if share == "light" or getattr(strength, share) else 0.0
        spread = np.sqrt(expected * (1 - expected) / MANY)
        assert abs(done[key].mean() - expected) <= 4.5 * spread, key
    assert abs((ours.mirror == -1).mean() - 0.5) <= 4.5 * 0.5 / np.sqrt(MANY)


def test_draws_do_not_hang_together() -> None:
    ours = drawn(STRENGTHS["strong"])
    columns = np.stack([getattr(ours, field.name) for field in dataclasses.fields(Changes)])
    # what is done to one picture in five hangs together with whether it is done, not with others
    correlation = np.corrcoef(columns) - np.eye(len(columns))
    tied = {field.name: place for place, field in enumerate(dataclasses.fields(Changes))}
    correlation[tied["contrast"], tied["brightness"]] = 0
    correlation[tied["brightness"], tied["contrast"]] = 0
    assert np.abs(correlation).max() < 5 / np.sqrt(MANY)


# ---- the same steps


def in_a_batch(image: np.ndarray, changes: Changes) -> np.ndarray:
    whole = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
    return changed(whole, changes)[0].numpy().transpose(1, 2, 0).astype(int)


def warped(image: np.ndarray, **values: float) -> np.ndarray:
    turned = image[:, ::-1].copy() if values.get("mirror") == -1 else image
    matrix = geometry.create_affine_transformation_matrix(
        {"x": int(values["shift_x"] * SIDE), "y": int(values["shift_y"] * SIDE)},
        {"x": 0.0, "y": 0.0},
        {"x": values["scale"], "y": values["scale"]},
        np.rad2deg(values["angle"]),
        geometry.center(image.shape[:2]),
    )
    done: np.ndarray = geometry.warp_affine(
        turned, matrix, cv2.INTER_LINEAR, 0, cv2.BORDER_REPLICATE, image.shape[:2]
    )
    return done


@pytest.mark.parametrize("mirror", [1.0, -1.0])
@pytest.mark.parametrize("angle", [-2.5, -0.3, 0.0, 1.1, 3.1])
@pytest.mark.parametrize(("scale", "shift"), [(1.0, (0.0, 0.0)), (0.8, (0.09, -0.04))])
def test_the_warp_is_opencvs(
    mirror: float, angle: float, scale: float, shift: tuple[float, float]
) -> None:
    values = {"mirror": mirror, "angle": angle, "scale": scale}
    values |= {"shift_x": shift[0], "shift_y": shift[1]}
    image = textured(3)
    difference = np.abs(in_a_batch(image, only(**values)) - warped(image, **values))
    assert difference.max() <= 2  # OpenCV's coordinates are rounded to parts of a pixel
    assert difference.mean() < 0.2
    assert np.abs(in_a_batch(image, only()) - image).max() == 0


STEPS: dict[str, tuple[dict[str, float], Callable[[np.ndarray], np.ndarray]]] = {
    "light": (
        {"contrast": 1.13, "brightness": -21.7},
        lambda image: np.clip(image.astype(np.float32) * 1.13 - 21.7, 0, 255).astype(np.uint8),
    ),
    "gamma": ({"gamma": 0.81}, lambda image: light.gamma_transform(image, 0.81)),
    "more gamma": ({"gamma": 1.3}, lambda image: light.gamma_transform(image, 1.3)),
    "slope": (
        {"slope": 0.17, "slope_angle": 0.7},
        lambda image: light.apply_linear_illumination(image, 0.17, np.rad2deg(0.7)),
    ),
    "falling slope": (
        {"slope": -0.12, "slope_angle": 4.0},
        lambda image: light.apply_linear_illumination(image, -0.12, np.rad2deg(4.0)),
    ),
    "blur": (
        {"blur": 1.17},
        lambda image: light.separable_convolve(image, blurring.create_gaussian_kernel_1d(1.17)),
    ),
    "least blur": (
        {"blur": 0.29},
        lambda image: light.separable_convolve(image, blurring.create_gaussian_kernel_1d(0.29)),
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_each_step_is_albumentations(name: str) -> None:
    values, theirs = STEPS[name]
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    difference = np.abs(in_a_batch(image, only(**values)) - theirs(image))
    assert difference.max() <= 1  # float32 against float64 or fixed point, before rounding
    assert difference.mean() < 0.1
    assert np.abs(theirs(image).astype(int) - image).mean() > 0.5


def test_noise_has_its_strength_and_cuts_levels_off_as_albumentations_does() -> None:
    image = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
    noisy = in_a_batch(image, only(noise=6.0, noise_seed=5))
    theirs = light.add_noise(
        image, np.random.default_rng(0).normal(0, 6.0, (SIDE, SIDE, 1)).astype(np.float32)
    )
    assert noisy.std() == pytest.approx(6.0, rel=0.06)
    assert noisy.mean() == pytest.approx(theirs.mean(), abs=0.5)
    assert noisy.mean() == pytest.approx(127.5, abs=0.4)
    assert (noisy == noisy[..., :1]).all()
    other = in_a_batch(image, only(noise=6.0, noise_seed=6))
    assert abs(np.corrcoef(noisy[..., 0].ravel(), other[..., 0].ravel())[0, 1]) < 0.08


@pytest.mark.parametrize("name", ["light", "strong"])
def test_pictures_come_out_with_the_same_statistics(name: str) -> None:
    """Mean, spread, extremes and sharpness of a picture, over many changes of each kind."""
    image, count = textured(4), 600
    theirs = np.stack([Augmenter(name, 1)(image, 0, index) for index in range(count)])
    whole = torch.from_numpy(image.transpose(2, 0, 1).copy()).expand(count, -1, -1, -1)
    ours = DeviceAugmenter(STRENGTHS[name], 2, count)(whole, 0, np.arange(count)).numpy()
    ours = ours.transpose(0, 2, 3, 1)
    statistics: dict[str, Callable[[np.ndarray], float]] = {
        "mean": lambda one: float(one.mean()),
        "spread": lambda one: float(one.std()),
        "dark": lambda one: float(np.quantile(one, 0.02)),
        "bright": lambda one: float(np.quantile(one, 0.98)),
        "sharpness": lambda one: float(np.abs(np.diff(one[..., 0].astype(int), axis=1)).mean()),
        "left and right": lambda one: float(one[:, :8].mean() - one[:, -8:].mean()),
    }
    for key, statistic in statistics.items():
        mine, expected = (np.array([statistic(one) for one in all_]) for all_ in (ours, theirs))
        assert ks_2samp(mine, expected).pvalue > 1e-3, key


# ---- a pure function of seed, epoch and index


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_does_not_depend_on_its_batch(channels: int) -> None:
    images, indices = batch(24, channels), np.arange(100, 124)
    augmenter = DeviceAugmenter(STRENGTHS["strong"], 3, 200)
    whole = augmenter(images, 5, indices)
    assert whole.shape == images.shape
    assert whole.dtype == torch.uint8
    order = np.random.default_rng(0).permutation(24)
    again = DeviceAugmenter(STRENGTHS["strong"], 3, 5000)  # a larger set has the same beginning
    for part in np.split(order, [1, 4, 11]):
        assert torch.equal(again(images[part], 5, indices[part]), whole[part])
    assert torch.equal(images, batch(24, channels))


def test_seed_epoch_and_index_each_matter_and_global_generators_do_not() -> None:
    images = batch(1).expand(4, -1, -1, -1)

    def result(seed: int = 0, epoch: int = 0, first: int = 0) -> torch.Tensor:
        augmenter = DeviceAugmenter(STRENGTHS["light"], seed, 20)
        return augmenter(images, epoch, np.arange(first, first + 4))

    base = result()
    for other in (result(seed=1), result(epoch=1), result(first=4)):
        assert all(not torch.equal(a, b) for a, b in zip(base, other, strict=True))
    torch.manual_seed(77)
    state = torch.get_rng_state()
    assert torch.equal(result(), base)
    assert torch.equal(torch.get_rng_state(), state)


def test_one_channel_is_changed_as_each_of_three_equal_ones() -> None:
    grey = batch(40, channels=1)
    augmenter = DeviceAugmenter(STRENGTHS["strong"], 0, 40)
    one = augmenter(grey, 0, np.arange(40))
    three = augmenter(grey.expand(-1, 3, -1, -1), 0, np.arange(40))
    assert torch.equal(three, one.expand(-1, 3, -1, -1))


def test_none_gives_the_pictures_themselves() -> None:
    images = batch(2)
    assert DeviceAugmenter(Strength(), 0, 2)(images, 0, np.arange(2)) is images


def test_right_turns_and_mirrors_only_move_pixels() -> None:
    image = batch(1)
    augmenter = DeviceAugmenter(Strength(turn="right", mirror=True), 0, 80)
    flips = (image[0], image[0].flip(2))
    eight = [torch.rot90(flip, k, (1, 2)) for flip in flips for k in range(4)]
    seen = set()
    for out in augmenter(image.expand(80, -1, -1, -1), 0, np.arange(80)):
        matches = [k for k, one in enumerate(eight) if torch.equal(out, one)]
        assert len(matches) == 1
        seen.update(matches)
    assert seen == set(range(8))


@pytest.mark.parametrize(
    "strength", [STRENGTHS["light"], STRENGTHS["strong"], Strength("any", shift=0.1)]
)
def test_a_mark_at_the_rim_is_in_every_picture(strength: Strength) -> None:
    """As on the CPU: what lies in the inscribed circle is never turned or shifted out."""
    mark, centre = 5, (SIDE - 1) / 2
    pictures = []
    for turn in np.linspace(0, 2 * np.pi, 32, endpoint=False):
        picture = np.full((1, SIDE, SIDE), 170, dtype=np.uint8)
        radius = centre - mark // 2
        left, top = (round(centre + radius * f(turn)) - mark // 2 for f in (np.cos, np.sin))
        picture[:, top : top + mark, left : left + mark] = 0
        pictures.append(picture)
    images = torch.from_numpy(np.stack(pictures))
    augmenter = DeviceAugmenter(strength, 1, 32)
    smallest = min(1 - strength.shrink, 1 - 2 * strength.shift)
    for epoch in range(12):
        for out in augmenter(images, epoch, np.arange(32)).float():
            assert (out < 0.7 * out.median()).sum() >= 0.5 * smallest**2 * mark**2


@pytest.mark.parametrize("side", [1, 2, 9])
def test_tiny_pictures_are_no_exception(side: int) -> None:
    strength = dataclasses.replace(STRENGTHS["strong"], blur=3.0)
    images = batch(60, side=side)
    out = DeviceAugmenter(strength, 0, 60)(images, 0, np.arange(60))
    assert out.shape == images.shape
