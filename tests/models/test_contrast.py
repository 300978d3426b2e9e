"""Centre-periphery contrast against closed forms and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from casting_inspect.models.contrast import (
    FEW,
    LOCAL_FLOOR,
    LOCAL_SHARE,
    box_mean,
    centre_contrast,
    contrasts,
    least,
    local_contrast,
    most,
    odd,
)

SIDE = 40


def spotted(value: float, background: float = 0.5) -> torch.Tensor:
    picture = torch.full((1, 1, SIDE, SIDE), background)
    picture[0, 0, 19:22, 12:15] = value
    return picture


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 3, 9, 15]), st.integers(8, 20))
def test_box_mean_is_scipys_uniform_filter(seed: int, size: int, height: int) -> None:
    values = np.random.default_rng(seed).random((height, 2 * height), dtype=np.float32)
    expected = ndimage.uniform_filter(values, size, mode="nearest")
    found = box_mean(torch.from_numpy(values)[None, None], size)[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("value", [0.9, 0.1])
def test_a_spot_has_its_own_contrast_with_its_sign(value: float) -> None:
    spot, line = centre_contrast(spotted(value), 3)
    place = (0, 0, 20, 13)
    assert spot[place].item() == pytest.approx(value - 0.5, abs=1e-6)
    assert line[place].item() == pytest.approx(value - 0.5, abs=1e-6)
    assert spot.abs().argmax().item() == 20 * SIDE + 13


def test_a_line_is_no_spot() -> None:
    picture = torch.full((1, 1, SIDE, SIDE), 0.5)
    picture[:, :, 19:22] = 0.2
    spot, line = centre_contrast(picture, 3)
    assert spot.abs().max() < 1e-6
    assert line[0, 0, 20, 20].item() == pytest.approx(-0.3, abs=1e-6)


@pytest.mark.parametrize("slope", [0.0, 0.4])
def test_an_edge_is_neither(slope: float) -> None:
    across = torch.linspace(-1, 1, SIDE)
    picture = (across[None, :] + slope * across[:, None] > 0).float()[None, None]
    spot, _ = centre_contrast(picture, 3)
    assert spot.abs().max() < 1e-6
    if slope == 0.0:
        assert centre_contrast(picture, 3)[1].abs().max() < 1e-6


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_quarter_turns_negatives_and_light(seed: int) -> None:
    values = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    found = contrasts(values)
    assert found.shape == (1, 6, SIDE, SIDE)
    torch.testing.assert_close(contrasts(values.rot90(1, (2, 3))), found.rot90(1, (2, 3)))
    torch.testing.assert_close(contrasts(1 - values), -found)
    torch.testing.assert_close(contrasts(values * 0.5 + 0.2), found * 0.5, atol=1e-5, rtol=1e-4)


def test_scales_follow_the_whole_pictures_side() -> None:
    part = torch.rand(1, 1, 32, 32)
    expected = [kind for size in (1, 3, 7) for kind in centre_contrast(part, size)]
    torch.testing.assert_close(contrasts(part, side=128), torch.cat(expected, dim=1))


@pytest.mark.parametrize(
    ("length", "expected"), [(1, 1), (1.9, 1), (2.1, 3), (3.5, 3), (8, 9), (14, 15)]
)
def test_odd(length: float, expected: int) -> None:
    assert odd(length) == expected


@settings(max_examples=20, deadline=None)
@example(566, 0.3125, 0.0)
@given(st.integers(0, 1000), st.floats(0.3, 1.0), st.floats(0.0, 0.3))
def test_local_contrast_does_not_see_brightness_or_gain(seed, gain, offset):
    values = torch.from_numpy(
        np.random.default_rng(seed).random((1, 1, SIDE, SIDE), dtype=np.float32)
    )
    changed = local_contrast(0.7 * gain * values + offset)
    # a corner can be so even, by chance, that it counts as a plain surface when it is darkened
    size = odd(SIDE * LOCAL_SHARE)
    even = box_mean(box_mean(values, size), size)
    deviation = box_mean(box_mean((values - even).square(), size), size).sqrt()
    textured = 0.7 * gain * deviation > LOCAL_FLOOR
    assert textured.float().mean() > 0.99
    torch.testing.assert_close(
        changed[textured], local_contrast(values)[textured], atol=1e-3, rtol=1e-3
    )


def test_local_contrast_takes_slow_shading_out_and_keeps_a_spot():
    slope = torch.linspace(0.2, 0.8, 120).expand(1, 1, 120, 120)
    picture = slope.clone()
    picture[0, 0, 58:61, 58:61] -= 0.15
    flat = local_contrast(slope)[0, 0, 20:100, 20:100]
    found = local_contrast(picture)[0, 0]
    assert flat.std() < 0.02
    assert found.argmin().item() // 120 in (58, 59, 60)
    assert found[59, 59] < flat.min() - 0.3


def test_local_contrast_leaves_a_plain_surface_plain():
    noise = torch.from_numpy(np.random.default_rng(0).normal(0.5, 0.002, (1, 1, 60, 60)))
    found = local_contrast(noise)
    assert found.dtype == torch.float32
    assert found.std() < 0.03


def test_local_contrast_is_the_closed_form_of_scipys_filters():
    values = np.random.default_rng(1).random((48, 48))
    size = 5  # 48 / 12, the odd number above

    def smooth(picture):
        once = ndimage.uniform_filter(picture, size, mode="nearest")
        return ndimage.uniform_filter(once, size, mode="nearest")

    centred = values - smooth(values)
    expected = 0.5 + 0.2 * centred / np.maximum(np.sqrt(smooth(centred**2)), 0.02)
    found = local_contrast(torch.from_numpy(values)[None, None])[0, 0]
    np.testing.assert_allclose(found, expected.clip(0, 1), atol=1e-4)


def test_least_and_most_are_the_bits_of_the_stacked_extremes() -> None:
    values = list(torch.randn(4, 2, 1, 9, 9, generator=torch.Generator().manual_seed(0)))
    values[2] = values[1].clone()  # ties
    assert torch.equal(least(values), torch.stack(values).amin(dim=0))
    assert torch.equal(most(values), torch.stack(values).amax(dim=0))


@pytest.mark.parametrize("grain", [1_000, 10])  # with 10 many differences are the same
def test_spot_and_line_are_their_definitions_to_the_bit(grain: int) -> None:
    drawn = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    values, centre = (drawn * grain).round() / grain, 5
    means = box_mean(values, centre)[0, 0].numpy()
    reach, slant = round(1.5 * centre), round(1.5 * centre * 0.7071)
    padded = np.pad(means, reach, mode="edge")

    def at(y: int, x: int) -> np.ndarray:
        return padded[reach + y :, reach + x :][:SIDE, :SIDE]

    pairs = [
        (at(y, x), at(-y, -x)) for y, x in ((0, reach), (reach, 0), (slant, slant), (slant, -slant))
    ]
    brighter = np.array([means - np.maximum(one, other) for one, other in pairs])
    darker = np.array([np.minimum(one, other) - means for one, other in pairs])
    spot, line = centre_contrast(values, centre)
    zero = np.float32(0)
    for found, kind in ((spot, np.min), (line, np.max)):
        expected = np.maximum(kind(brighter, axis=0), zero) - np.maximum(kind(darker, axis=0), zero)
        assert np.array_equal(found[0, 0].numpy(), expected)


def test_many_pictures_at_once_are_each_alone_to_the_bit() -> None:
    values = torch.rand(2 * FEW + 3, 1, 40, 40, generator=torch.Generator().manual_seed(2))
    alone = [centre_contrast(values[i : i + 1], 3) for i in range(len(values))]
    for kind, together in enumerate(centre_contrast(values, 3)):
        assert torch.equal(together, torch.cat([one[kind] for one in alone]))
