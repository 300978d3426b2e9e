from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from casting_inspect.data.grouping.evidence import (
    HIGHEST,
    LOWEST,
    distant_pairs,
    thresholds,
)


@given(arrays(np.float64, st.integers(0, 300), elements=st.floats(0, 300)))
def test_thresholds_stay_in_their_bounds(scores: np.ndarray) -> None:
    found = thresholds(scores)
    assert LOWEST <= found.sure <= HIGHEST
    assert 0 < found.possible < found.sure
    assert found.drawn <= len(scores)


def test_parts_that_look_alike_raise_the_threshold() -> None:
    random = np.random.default_rng(0)
    unlike, alike = random.exponential(0.2, 1000), random.exponential(1.5, 1000)
    assert thresholds(unlike).sure == LOWEST
    assert thresholds(alike).sure == pytest.approx(6.0 * np.quantile(alike, 0.99))


def test_copies_among_the_random_pairs_do_not_count_as_different() -> None:
    random = np.random.default_rng(1)
    null = random.exponential(0.8, 900)
    copies = random.uniform(20, 150, 300)
    assert thresholds(np.r_[null, copies]).sure == pytest.approx(thresholds(null).sure, rel=0.05)


def test_too_few_pairs_give_the_middle_of_the_bounds() -> None:
    found = thresholds(np.zeros(5))
    assert found.sure == pytest.approx(np.sqrt(LOWEST * HIGHEST))
    assert np.isnan(found.null)


def test_distant_pairs_are_distinct_ordered_and_not_neighbours() -> None:
    near = (np.arange(200)[:, None] + np.arange(1, 6)) % 200
    pairs = distant_pairs(near, 300, np.random.default_rng(0))
    assert len(pairs) == 300
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len({tuple(pair) for pair in pairs.tolist()}) == 300
    assert ((pairs[:, 1] - pairs[:, 0]) % 200 > 5).all()


def test_one_file_has_no_pairs() -> None:
    assert len(distant_pairs(np.zeros((1, 0), np.intp), 10, np.random.default_rng(0))) == 0
