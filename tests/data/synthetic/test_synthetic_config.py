from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from casting_inspect.data.synthetic.config import (
    KINDS,
    LARGEST,
    SMALLEST,
    SyntheticConfig,
    config_digest,
    draw_size,
    part_kind,
    stream,
)
from casting_inspect.data.synthetic.draws import draw_defect, draw_exposure, draw_identity
from casting_inspect.errors import UserError


@pytest.mark.parametrize(
    ("key", "value"),
    [("parts", 0), ("photographs", 0), ("size", 32), ("seed", -1), ("defective_share", 1.2)],
)
def test_values_that_no_set_can_have_are_refused(key: str, value: float) -> None:
    with pytest.raises(UserError, match=f"{key}={value}"):
        SyntheticConfig(**{key: value})  # type: ignore[arg-type]


def test_the_digest_names_the_configuration() -> None:
    config = SyntheticConfig(parts=10)
    others = [
        dataclasses.replace(config, **{field.name: getattr(config, field.name) / 2})
        if field.name == "defective_share"
        else dataclasses.replace(config, **{field.name: getattr(config, field.name) + 1})
        for field in dataclasses.fields(config)
    ]
    assert config_digest(config) == config_digest(SyntheticConfig(parts=10))
    assert len({config_digest(one) for one in [config, *others]}) == len(others) + 1


def test_streams_do_not_depend_on_what_was_drawn_before() -> None:
    first = stream(3, "identity", 7).random(4)
    stream(3, "defect", 7).random(100)
    assert np.array_equal(first, stream(3, "identity", 7).random(4))
    assert not np.array_equal(first, stream(3, "defect", 7).random(4))
    assert not np.array_equal(first, stream(4, "identity", 7).random(4))


def test_sizes_are_log_uniform_from_2_to_20_percent() -> None:
    rng = np.random.default_rng(0)
    sizes = np.array([draw_size(rng) for _ in range(20_000)])
    assert sizes.min() >= SMALLEST == 0.02
    assert sizes.max() <= LARGEST == 0.20
    scaled = np.log(sizes / SMALLEST) / math.log(LARGEST / SMALLEST)
    assert stats.kstest(scaled, "uniform").pvalue > 0.01


def test_each_kind_has_that_distribution_of_sizes() -> None:
    config = SyntheticConfig(seed=5)
    for kind in KINDS:
        sizes = [draw_defect(config, part, kind).size for part in range(400)]
        scaled = np.log(np.array(sizes) / 0.02) / math.log(10.0)
        assert stats.kstest(scaled, "uniform").pvalue > 0.01


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**32), tens=st.integers(1, 12), share=st.sampled_from([0.1, 0.3, 0.5, 1.0])
)
def test_any_tens_of_parts_hold_the_asked_share(seed: int, tens: int, share: float) -> None:
    config = SyntheticConfig(seed=seed, defective_share=share)
    kinds = [part_kind(config, part) for part in range(10 * tens)]
    assert sum(kind is not None for kind in kinds) == round(10 * tens * share)


@given(share=st.floats(0.0, 1.0), seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_kinds_are_dealt_evenly(share: float, seed: int) -> None:
    config = SyntheticConfig(seed=seed, defective_share=share)
    kinds = [part_kind(config, part) for part in range(100)]
    counts = [kinds.count(kind) for kind in KINDS]
    assert max(counts) - min(counts) <= 2


def test_a_larger_set_only_adds_parts() -> None:
    small, large = SyntheticConfig(parts=20), SyntheticConfig(parts=2000)
    assert [part_kind(small, p) for p in range(20)] == [part_kind(large, p) for p in range(20)]


def test_class_tells_nothing_about_identity_light_and_background() -> None:
    config = SyntheticConfig(seed=1)
    parts = range(600)
    bad = np.array([part_kind(config, part) is not None for part in parts])
    identities = [draw_identity(config, part) for part in parts]
    exposures = [draw_exposure(config, part, 0) for part in parts]
    draws = {
        name: np.array([getattr(one, name) for one in some])
        for some, names in (
            (identities, ("bore", "face_grey", "turning", "vanes", "wear")),
            (exposures, ("turn", "scale", "ambient", "gloss", "table", "shadow", "gain", "noise")),
        )
        for name in names
    }
    p_values = [stats.ks_2samp(draw[bad], draw[~bad]).pvalue for draw in draws.values()]
    assert min(p_values) > 0.01 / len(p_values)


def test_the_same_part_is_drawn_whatever_its_class() -> None:
    good = SyntheticConfig(seed=2, defective_share=0.0)
    bad = SyntheticConfig(seed=2, defective_share=1.0)
    assert draw_identity(good, 11) == draw_identity(bad, 11)
    assert draw_exposure(good, 11, 1) == draw_exposure(bad, 11, 1)


def test_each_photograph_has_its_own_pose_and_light() -> None:
    config = SyntheticConfig()
    turns = {draw_exposure(config, part, photo).turn for part in range(5) for photo in range(5)}
    lamps = {draw_exposure(config, part, photo).lamps for part in range(5) for photo in range(5)}
    assert len(turns) == len(lamps) == 25
