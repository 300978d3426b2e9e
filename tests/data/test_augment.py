"""Augmentation: reproducible, grey stays grey, and a mark at the rim is never lost."""

from __future__ import annotations

import dataclasses
import math
import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casting_inspect.data.augment import STRENGTHS, Augmenter
from casting_inspect.errors import UserError

SIDE = 96
MARK = 5
GREY, BLACK = 170, 0


def textured(seed: int = 0, side: int = SIDE) -> np.ndarray:
    """A smooth random colour picture."""
    coarse = np.random.default_rng(seed).integers(40, 216, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def marked(x: float, y: float) -> np.ndarray:
    """A grey square with one black mark of MARK x MARK pixels centred at (x, y)."""
    image = np.full((SIDE, SIDE, 3), GREY, dtype=np.uint8)
    left, top = round(x) - MARK // 2, round(y) - MARK // 2
    image[top : top + MARK, left : left + MARK] = BLACK
    assert (image[..., 0] == BLACK).sum() == MARK**2
    return image


def dark_pixels(image: np.ndarray) -> int:
    """Pixels that are clearly darker than the rest of the picture."""
    grey = image[..., 0].astype(float)
    return int((grey < 0.7 * np.median(grey)).sum())


def rim(marks: int = 32) -> list[tuple[float, float]]:
    """Places all around the inscribed circle's edge."""
    centre, radius = (SIDE - 1) / 2, (SIDE - 1) / 2 - MARK // 2
    turns = [2 * math.pi * k / marks for k in range(marks)]
    return [(centre + radius * math.cos(a), centre + radius * math.sin(a)) for a in turns]


def corners() -> list[tuple[float, float]]:
    near, far = MARK // 2, SIDE - 1 - MARK // 2
    return [(x, y) for x in (near, far) for y in (near, far)]


def assert_never_lost(augmenter: Augmenter, places: list[tuple[float, float]]) -> None:
    smallest = min(1 - augmenter.strength.shrink, 1 - 2 * augmenter.strength.shift)
    for index, (x, y) in enumerate(places):
        image = marked(x, y)
        for epoch in range(12):
            left = dark_pixels(augmenter(image, epoch, index))
            # half of the mark's shrunk area: interpolation and blur soften its edge
            assert left >= 0.5 * smallest**2 * MARK**2, (x, y, epoch)


@pytest.mark.parametrize("name", ["none", "light", "strong"])
def test_a_mark_at_the_rim_is_in_every_picture(name: str) -> None:
    assert_never_lost(Augmenter(name, seed=1), rim())


@pytest.mark.parametrize("turn", ["right", "none"])
@pytest.mark.parametrize("name", ["light", "strong"])
def test_without_free_turns_marks_in_the_corners_stay_too(name: str, turn: str) -> None:
    assert_never_lost(Augmenter(name, seed=2, turn=turn), corners() + rim(8))


def test_the_largest_shift_keeps_the_rim() -> None:
    augmenter = Augmenter("none", seed=3, turn="any", shift=0.1)
    assert_never_lost(augmenter, rim())
    places = [np.argwhere(augmenter(marked(SIDE / 2, SIDE / 2), e, 0)[..., 0] < 85) for e in (0, 1)]
    assert not np.array_equal(places[0].mean(0), places[1].mean(0))


def test_the_test_of_marks_can_fail() -> None:
    """A free turn does lose the corners, which is why ``turn=right`` exists."""
    with pytest.raises(AssertionError):
        assert_never_lost(Augmenter("light", seed=2), corners())


@settings(deadline=None, max_examples=50)
@given(
    name=st.sampled_from(["light", "strong"]),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 1000),
    index=st.integers(0, 10**6),
)
def test_pure_function_of_seed_epoch_and_index(
    name: str, seed: int, epoch: int, index: int
) -> None:
    image = textured(side=32)
    before = image.copy()
    one = Augmenter(name, seed)
    first = one(image, epoch, index)
    one(image, epoch + 1, index)
    np.random.default_rng().random()
    assert np.array_equal(one(image, epoch, index), first)
    assert np.array_equal(pickle.loads(pickle.dumps(one))(image, epoch, index), first)
    assert np.array_equal(Augmenter(name, seed)(image, epoch, index), first)
    assert np.array_equal(image, before)
    assert first.dtype == np.uint8
    assert first.shape == image.shape
    assert first.flags.c_contiguous


@pytest.mark.parametrize("name", ["light", "strong"])
def test_global_generators_play_no_part(name: str) -> None:
    image, augmenter = textured(), Augmenter(name, 7)
    results = []
    for global_seed in (5, 6):
        random.seed(global_seed)
        np.random.seed(global_seed)
        cv2.setRNGSeed(global_seed)
        results.append(np.stack([augmenter(image, 0, index) for index in range(40)]))
    assert np.array_equal(*results)


def test_threads_may_share_an_augmenter() -> None:
    image, augmenter = textured(), Augmenter("strong", 7)
    alone = [augmenter(image, 0, index) for index in range(200)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda index: augmenter(image, 0, index), range(200)))
    assert np.array_equal(alone, together)


def test_seed_epoch_and_index_each_matter() -> None:
    image = textured()
    base = Augmenter("light", 0)(image, 0, 0)
    for seed, epoch, index in [(1, 0, 0), (0, 1, 0), (0, 0, 1)]:
        assert not np.array_equal(Augmenter("light", seed)(image, epoch, index), base)


def test_none_returns_the_picture_itself() -> None:
    image = textured()
    assert Augmenter("none", 0)(image, 3, 4) is image


@pytest.mark.parametrize("name", ["light", "strong"])
def test_a_grey_picture_stays_grey(name: str) -> None:
    grey = np.repeat(textured()[..., :1], 3, axis=2)
    for index in range(60):
        out = Augmenter(name, 0)(grey, 0, index)
        assert (out == out[..., :1]).all()


@pytest.mark.parametrize("side", [24, 65, 96])
@pytest.mark.parametrize("name", ["light", "strong"])
def test_one_channel_is_changed_as_each_of_three_equal_ones(name: str, side: int) -> None:
    one = textured(side, side)[..., :1]
    for options in ({}, {"turn": "right"}, {"blur": 3.0, "noise": 0.2}):
        augmenter = Augmenter(name, 5, **options)
        for index in range(60):
            three = augmenter(np.repeat(one, 3, axis=2), 1, index)
            assert np.array_equal(augmenter(one, 1, index), three[..., :1])
            assert (three == three[..., :1]).all()


def test_angles_cover_the_full_turn_and_do_not_hang_together_with_the_mirror() -> None:
    """One seed for every transform (what albumentations does) would tie the angle to the mirror."""
    side, centre = 65, 32.0
    image = np.full((side, side, 3), 255, dtype=np.uint8)
    cv2.circle(image, (58, 32), 3, (0, 0, 0), -1)  # at 0 degrees
    cv2.circle(image, (32, 56), 3, (128, 128, 128), -1)  # a quarter turn further, clockwise
    augmenter = Augmenter("none", 0, turn="any", mirror=True)
    angles, mirrored = [], []
    for index in range(400):
        grey = augmenter(image, 0, index)[..., 0].astype(int)
        dark = np.argwhere(grey < 60).mean(0) - centre
        pale = np.argwhere((grey > 100) & (grey < 156)).mean(0) - centre
        angles.append(math.atan2(dark[0], dark[1]))
        mirrored.append(dark[1] * pale[0] - dark[0] * pale[1] < 0)
    counts = np.array(
        np.histogram2d(angles, mirrored, bins=(4, 2), range=((-math.pi, math.pi), (-0.5, 1.5)))[0]
    )
    # 50 are expected in each cell; 20 lies 4.5 standard deviations below
    assert counts.min() >= 20


def test_right_turns_and_mirrors_only_move_pixels() -> None:
    image = textured()
    augmenter = Augmenter("none", 0, turn="right", mirror=True)
    eight = [np.rot90(flip, k) for flip in (image, image[:, ::-1]) for k in range(4)]
    seen = set()
    for index in range(80):
        out = augmenter(image, 0, index)
        matches = [k for k, one in enumerate(eight) if np.array_equal(out, one)]
        assert len(matches) == 1
        seen.update(matches)
    assert seen == set(range(8))


@pytest.mark.parametrize(
    "option", ["brightness", "contrast", "gamma", "slope", "blur", "noise", "shrink", "shift"]
)
def test_each_strength_alone_changes_something_and_little(option: str) -> None:
    small = {"blur": 1.0, "noise": 0.02}.get(option, 0.05)
    image = textured()
    augmenter = Augmenter("none", 0, **{option: small})
    differences = [
        np.abs(augmenter(image, 0, i).astype(int) - image.astype(int)).mean() for i in range(40)
    ]
    assert 0 < max(differences) < 30


@pytest.mark.parametrize("name", list(STRENGTHS))
def test_the_named_strengths_pass_their_own_check(name: str) -> None:
    strength = STRENGTHS[name]
    assert Augmenter("none", 0, **dataclasses.asdict(strength)).strength == strength


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("lihgt", {}, "Did you mean 'light'?"),
        ("light", {"rotate": 3}, "augment has no option 'rotate'"),
        ("light", {"turn": "left"}, "augment.turn=left: must be one of any, right, none"),
        ("light", {"mirror": 1}, "augment.mirror=1: must be true or false"),
        ("light", {"shrink": 0.6}, "augment.shrink=0.6: must be a number from 0 to 0.5"),
        ("light", {"noise": -0.1}, "augment.noise=-0.1: must be a number from 0 to 0.2"),
        ("light", {"blur": "much"}, "augment.blur=much: must be a number from 0 to 3"),
        ("light", {"gamma": True}, "augment.gamma=True: must be a number from 0 to 0.5"),
    ],
)
def test_mistakes_are_one_line(name: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as caught:
        Augmenter(name, 0, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
