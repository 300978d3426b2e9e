"""Floors find a planted shortcut and nothing where there is none."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from casting_inspect.errors import UserError
from casting_inspect.models import floors

SIDE = 60


def disc(generator: np.random.Generator, light: float, background: float) -> np.ndarray:
    """Return a grey disc on a background, RGB, with noise."""
    rows, columns = np.indices((SIDE, SIDE)) - SIDE / 2
    inside = rows**2 + columns**2 < (0.4 * SIDE) ** 2
    grey = np.where(inside, light, background) + generator.normal(0, 8, (SIDE, SIDE))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def pictures(where: str, count: int = 80, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Return pictures and labels; the class shows in ``where``: part, background or nowhere."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    shown = []
    for label in labels:
        light, background = generator.uniform(90, 150), generator.uniform(180, 220)
        light += 60 * label * (where == "part")
        background -= 80 * label * (where == "background")
        shown.append(disc(generator, light, background))
    return shown, labels.astype(np.int64)


def half_and_half(name: str, where: str) -> float:
    shown, labels = pictures(where)
    seen = floors.floor_features(name, shown)
    floor = floors.fitted_floor(name, seen[:40], labels[:40])
    return float(roc_auc_score(labels[40:], floors.log_odds_of(floor, seen[40:])))


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("floor_histogram", "part"),
        ("floor_histogram", "background"),
        ("floor_pixels", "part"),
        ("floor_pixels", "background"),
        ("floor_background", "background"),
    ],
)
def test_a_planted_shortcut_is_found(name: str, where: str) -> None:
    assert half_and_half(name, where) > 0.95


@pytest.mark.parametrize("name", floors.FLOORS)
def test_nothing_is_found_where_nothing_is(name: str) -> None:
    assert 0.25 < half_and_half(name, "nowhere") < 0.75


def test_the_background_floor_does_not_see_the_part() -> None:
    assert 0.25 < half_and_half("floor_background", "part") < 0.75


def test_the_score_is_scikit_learns_and_normal_is_positive() -> None:
    shown, labels = pictures("part")
    labels[:10] = 0  # unequal classes
    seen = floors.floor_features("floor_histogram", shown)
    scaler = StandardScaler().fit(seen.astype(float))
    svm = SVC(C=10.0, gamma="scale", class_weight="balanced")
    svm.fit(scaler.transform(seen.astype(float)), labels)
    expected = svm.decision_function(scaler.transform(seen.astype(float)))
    scores = floors.log_odds_of(floors.fitted_floor("floor_histogram", seen, labels), seen)
    np.testing.assert_allclose(scores, expected, atol=1e-8)
    assert scores[labels == 1].mean() > 0 > scores[labels == 0].mean()


def test_weights_move_the_border() -> None:
    shown, labels = pictures("nowhere")
    seen = floors.floor_features("floor_histogram", shown)
    even = floors.fitted_floor("floor_histogram", seen, labels, np.ones(len(labels)))
    plain = floors.fitted_floor("floor_histogram", seen, labels)
    heavy = np.where(np.arange(len(labels)) < 20, 10.0, 0.1)
    other = floors.fitted_floor("floor_histogram", seen, labels, heavy)
    np.testing.assert_allclose(floors.log_odds_of(even, seen), floors.log_odds_of(plain, seen))
    assert not np.allclose(floors.log_odds_of(other, seen), floors.log_odds_of(plain, seen))


def test_the_histogram_is_numpys() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    grey = floors.grey_of(picture)
    expected = np.histogram(grey, bins=64, range=(0, 256))[0] / grey.size
    found = floors.picture_features("histogram", picture)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert floors.picture_features("mean_grey", picture)[0] == pytest.approx(grey.mean())


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**31))
def test_background_is_blind_to_turning_and_mirroring(height: int, width: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = floors.picture_features("background", picture)
    assert expected.shape == (72,)
    for other in (picture[::-1], picture[:, ::-1], picture.swapaxes(0, 1)):
        found = floors.picture_features("background", np.ascontiguousarray(other))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (33, 20)])
def test_any_size_will_do(shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 77, np.uint8)
    sizes = {seen: len(floors.picture_features(seen, picture)) for seen in floors.SEEN}
    assert sizes == {"mean_grey": 1, "histogram": 64, "pixels": 1024, "background": 72}


def test_scores_out_of_fold_come_from_the_other_folds() -> None:
    shown, labels = pictures("part", 30)
    seen = floors.floor_features("floor_histogram", shown)
    folds = np.arange(30) // 2 % 3
    scores = floors.out_of_fold("floor_histogram", seen, labels, folds)
    other = folds != 1
    floor = floors.fitted_floor("floor_histogram", seen[other], labels[other])
    np.testing.assert_allclose(scores[folds == 1], floors.log_odds_of(floor, seen[folds == 1]))
    with pytest.raises(UserError, match="one class only"):
        floors.out_of_fold("floor_histogram", seen, labels, labels)


def test_a_wrong_name_is_told_with_the_right_ones() -> None:
    with pytest.raises(UserError, match="floor_histogram, floor_pixels, floor_background"):
        floors.make_floor("floor_colour")
    with pytest.raises(ValueError, match="must be one of"):
        floors.picture_features("colour", np.zeros((4, 4, 3), np.uint8))


def test_the_refusal_is_one_line() -> None:
    words = str(floors.refuse_floor("floor_pixels"))
    assert words.startswith("floor_pixels is a floor")
    assert "\n" not in words


def test_torch_is_not_needed() -> None:
    code = "import sys, casting_inspect.models.floors; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
