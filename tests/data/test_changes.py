"""Changed pictures: the same again, further with strength, and what each change means."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from casting_inspect.data.changes import CHANGES, changed


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Return a grey disc with a hole on a darker ground, with a little texture."""
    y, x = np.mgrid[:224, :224] - 111.5
    radius = np.hypot(x, y)
    grey = np.where(radius < 80, 160.0, 60.0)
    grey[np.hypot(x - 35, y - 12) < 9] = 20.0
    grey += np.random.default_rng(0).normal(0, 3, grey.shape)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.float64) - other).mean())


def test_there_are_nine_ways_and_five_strengths_of_each() -> None:
    assert len(CHANGES) == 9
    assert {len(change.strengths) for change in CHANGES.values()} == {5}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_a_function_of_name_and_level_and_grows(kind: str, picture: np.ndarray) -> None:
    before = picture.copy()
    found = [changed(picture, kind, level, "a.png") for level in range(5)]
    again = [changed(picture, kind, level, "a.png") for level in reversed(range(5))][::-1]
    for one, two in zip(found, again, strict=True):
        np.testing.assert_array_equal(one, two)
        assert (one.shape, one.dtype) == (picture.shape, np.uint8)
        assert distance(one, one[:, :, :1]) < 1e-9  # grey stays grey
    far = [distance(picture, one) for one in found]
    assert far[0] > 0
    assert all(after >= before - 0.05 for before, after in itertools.pairwise(far)), far
    assert far[-1] > 1.2 * far[0]
    np.testing.assert_array_equal(picture, before)


def test_light_is_a_factor(picture: np.ndarray) -> None:
    for kind, sign in (("darker", -1), ("brighter", 1)):
        for level, percent in enumerate(CHANGES[kind].strengths):
            expected = np.minimum(255.0, picture * (1 + sign * percent / 100))
            assert distance(changed(picture, kind, level, "a.png"), expected) <= 1.0


def test_turns_and_shifts_go_either_way_by_name(picture: np.ndarray) -> None:
    def columns(name: str) -> float:
        hole = changed(picture, "shifted", 4, name)[:, :, 0] < 35
        return float(np.nonzero(hole)[1].mean())

    places = {round(columns(f"{name}.png") - columns("0.png"), 0) for name in range(12)}
    assert len(places) == 2
    assert max(places) - min(places) == pytest.approx(0.2 * 224, abs=2)  # 10 % each way


def test_smaller_is_smaller_about_the_middle(picture: np.ndarray) -> None:
    disc = changed(picture, "scaled", 4, "a.png")[:, :, 0] > 110
    rows, columns = np.nonzero(disc)
    assert np.ptp(columns) == pytest.approx(0.7 * 160, abs=2)
    assert (rows.mean(), columns.mean()) == pytest.approx((111.5, 111.5), abs=1.0)


def test_noise_has_the_spread_it_says_and_another_name_another_noise(picture: np.ndarray) -> None:
    level = 2
    first, second = (changed(picture, "noisy", level, name) for name in ("a", "b"))
    spread = CHANGES["noisy"].strengths[level] / 100 * 255
    assert np.std(first[:, :, 0].astype(float) - picture[:, :, 0]) == pytest.approx(spread, rel=0.1)
    assert distance(first, second) > 0
