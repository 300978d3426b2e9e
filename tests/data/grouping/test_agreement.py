from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from casting_inspect.data.grouping import agreement as module
from casting_inspect.data.grouping.agreement import Agreement, agreement
from casting_inspect.data.grouping.evidence import HIGHEST, LOWEST
from casting_inspect.data.grouping.fingerprint import fingerprint

Draw = Callable[..., np.ndarray]


def test_copies_agree_more_than_any_threshold_asks(surface: Draw, copied: Draw) -> None:
    picture = surface(21, 256)
    for seed in range(4):
        assert agreement(fingerprint(picture), fingerprint(copied(picture, seed))).score > HIGHEST


def test_different_surfaces_stay_below_every_threshold(surface: Draw) -> None:
    prints = [fingerprint(surface(seed, 200)) for seed in range(4)]
    scores = [agreement(prints[i], prints[j]).score for i in range(4) for j in range(i)]
    assert max(scores) < LOWEST


def test_one_fixture_behind_two_parts_is_no_agreement(surface: Draw) -> None:
    fixture = surface(30, 256)

    def with_part(seed: int) -> np.ndarray:
        mask = np.zeros((256, 256, 1), np.uint8)
        cv2.circle(mask, (128, 128), 90, 1, -1)
        return np.where(mask > 0, surface(seed, 256), fixture)

    first, second = fingerprint(with_part(31)), fingerprint(with_part(32))
    found = agreement(first, second)
    assert found.matches > HIGHEST  # the fixture alone would link them
    assert found.score < LOWEST


def test_a_stamp_that_all_pictures_bear_is_no_agreement(surface: Draw) -> None:
    stamp = surface(40, 48)

    def stamped(seed: int) -> np.ndarray:
        picture = surface(seed, 256).copy()
        picture[8:56, 8:56] = stamp
        return picture

    assert agreement(fingerprint(stamped(41)), fingerprint(stamped(42))).score < LOWEST


def test_the_score_weighs_matches_by_the_worst_places() -> None:
    assert Agreement(100, 1.0, 0.9, 0.5).score == pytest.approx(100 * 0.9)
    assert Agreement(100, 0.7, 1.0, 0.5).score == pytest.approx(100 * (0.7 + 0.2) / 1.2)
    assert Agreement(100, -0.2, 0.9, 0.5).score == pytest.approx(0.0)
    assert Agreement(100, 0.8, 0.9, 0.0).score == 0.0


def test_matches_that_span_half_as_much_count_a_quarter() -> None:
    whole, half = Agreement(100, 1.0, 1.0, 0.5), Agreement(100, 1.0, 1.0, 0.25)
    assert half.score == pytest.approx(whole.score / 4)


@pytest.mark.parametrize("between", [(0.0, 1e-9), (1e9, math.inf)])
def test_a_score_outside_what_matters_is_not_refined(
    surface: Draw, copied: Draw, between: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = surface(7)
    pair = fingerprint(picture), fingerprint(copied(picture, 3))
    calls: list[int] = []
    # as if every pair were doubtful
    monkeypatch.setattr(module, "PLAIN", 10**6)
    monkeypatch.setattr(module, "_refined", lambda *_: calls.append(1))
    assert agreement(*pair).score > 0
    assert len(calls) == 1
    assert agreement(*pair, between=between).score > 0
    assert len(calls) == 1
