from __future__ import annotations

import cv2
import numpy as np
import pytest

from casting_inspect.data.audit import second_look
from casting_inspect.data.audit.polar_signature import (
    FREQUENCIES,
    RADII,
    SLOWEST,
    polar_signature,
    signature_of,
)
from casting_inspect.data.audit.second_look import compared, pair_scores, suspected_copies
from casting_inspect.data.synthetic import SyntheticConfig
from casting_inspect.data.synthetic.render import render_part


def texture(seed, side=128):
    noise = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.clip(128 + 30 * smooth / smooth.std(), 0, 255).astype(np.float32)


def changed(picture, *, turn=0.0, stretch=1.0, shear=0.0, mirror=False, gain=1.0, shift=0.0):
    """Return a picture as a careless augmentation would change it."""
    side = picture.shape[0]
    angle = np.deg2rad(turn)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = matrix @ np.array([[stretch, shear], [0.0, 1.0]])
    if mirror:
        matrix = matrix @ np.diag([-1.0, 1.0])
    middle = np.full(2, (side - 1) / 2)
    offset = middle - matrix @ middle + shift
    moved = cv2.warpAffine(
        picture, np.column_stack([matrix, offset]), (side, side), borderMode=cv2.BORDER_REFLECT
    )
    return np.clip(moved * gain, 0, 255)


def casting(part, side=128):
    """Return a synthetic casting as a grey picture."""
    config = SyntheticConfig(parts=40, photographs=1, size=side)
    return next(iter(render_part(config, part))).image.astype(np.float32)


def score(first, second):
    a, b = polar_signature(first), polar_signature(second)
    return float(pair_scores(a[None], b[None])[0])


def test_a_signature_has_norm_one_and_a_flat_picture_none():
    assert np.linalg.norm(polar_signature(texture(0))) == pytest.approx(1.0, abs=1e-5)
    assert not polar_signature(np.full((128, 128), 77.0, np.float32)).any()


def test_a_picture_is_its_own_copy():
    assert score(texture(1), texture(1)) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"turn": 90},
        {"turn": 37},
        {"mirror": True, "turn": 211},
        {"gain": 0.6},
        {"stretch": 1.12, "turn": 20},
        {"shear": 0.12},
    ],
)
def test_a_changed_copy_scores_higher_than_any_other_casting(change):
    here = casting(0)
    others = max(score(here, casting(part)) for part in range(1, 9))
    assert score(here, changed(here, **change)) > max(0.75, others + 0.1)


def test_the_score_is_the_correlation_at_the_best_turn():
    generator = np.random.default_rng(3)
    shape = (RADII, FREQUENCIES)
    first, second = (
        (generator.normal(size=shape) + 1j * generator.normal(size=shape)).astype(np.complex64)
        for _ in range(2)
    )
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    turns = 2 * np.pi * np.arange(256) / 256
    best = -1.0
    for turn in turns:
        phase = np.exp(1j * turn * (SLOWEST + np.arange(FREQUENCIES)))
        for other in (second, np.conj(second)):
            best = max(best, float(np.sum(first * phase * np.conj(other)).real))
    assert float(pair_scores(first[None], second[None])[0]) == pytest.approx(best, abs=1e-5)


@pytest.fixture
def castings_with_copies(tmp_path):
    """Return (train, test, which test files have a copy): 20 castings, 8 of them copied."""
    train, test, truth = [], [], []
    for part in range(20):
        path = tmp_path / f"train_{part}.png"
        cv2.imwrite(str(path), casting(part))
        train.append(path)
    for part in range(8):
        path = tmp_path / f"copy_{part}.png"
        options = {"turn": 40 * part + 10, "mirror": bool(part % 2), "gain": 0.8 + 0.05 * part}
        cv2.imwrite(str(path), changed(casting(part), **options))
        test.append(path)
        truth.append(True)
    for part in range(20, 32):
        path = tmp_path / f"new_{part}.png"
        cv2.imwrite(str(path), casting(part))
        test.append(path)
        truth.append(False)
    return train, test, np.array(truth)


def test_copies_are_suspected_and_new_castings_are_not(castings_with_copies, tmp_path):
    train, test, truth = castings_with_copies
    look = suspected_copies(train, test, cache=tmp_path / "cache")
    np.testing.assert_array_equal(look.suspected, truth)
    np.testing.assert_array_equal(look.best[:8], np.arange(8))
    assert 0.7 <= look.threshold <= 0.85


def test_the_order_of_training_files_changes_nothing_but_positions(castings_with_copies, tmp_path):
    train, test, _ = castings_with_copies
    one = suspected_copies(train, test, cache=tmp_path / "cache")
    two = suspected_copies(train[::-1], test, cache=tmp_path / "cache")
    np.testing.assert_array_equal(one.suspected, two.suspected)
    np.testing.assert_array_equal(one.best, len(train) - 1 - two.best)


def test_signatures_are_kept_by_content(castings_with_copies, tmp_path, monkeypatch):
    train, test, _ = castings_with_copies
    one = suspected_copies(train, test, cache=tmp_path / "cache")
    monkeypatch.setattr(second_look, "signature_of", lambda path: pytest.fail(f"{path} read again"))
    two = suspected_copies(train, test, cache=tmp_path / "cache")
    np.testing.assert_array_equal(one.score, two.score)


def test_a_file_that_does_not_decode_is_no_copy(tmp_path):
    bad = [tmp_path / f"{at}.png" for at in range(3)]
    for at, path in enumerate(bad):
        path.write_bytes(b"no picture %d" % at)
    assert signature_of(bad[0]) is None
    assert not suspected_copies(bad[:2], bad[2:], cache=tmp_path / "cache").suspected.any()


@pytest.mark.parametrize(("train", "test"), [(0, 3), (3, 0), (0, 0), (1, 1)])
def test_hardly_any_pictures(train, test):
    rows = np.stack([polar_signature(texture(at)) for at in range(4)])
    look = compared(rows[:train], rows[3 : 3 + min(test, 1)].repeat(test, axis=0))
    assert look.suspected.shape == (test,)
    assert not look.suspected.any()


def test_pictures_of_any_size_and_kind_have_a_signature(tmp_path):
    deep = (texture(5, 40)[:, :25] * 200).astype(np.uint16)
    colour = np.dstack([texture(at, 300) for at in range(3)]).astype(np.uint8)
    for name, picture in {"deep.png": deep, "colour.jpg": colour}.items():
        assert cv2.imwrite(str(tmp_path / name), picture)
        signature = signature_of(tmp_path / name)
        assert signature is not None
        assert signature.shape == (RADII, FREQUENCIES)
