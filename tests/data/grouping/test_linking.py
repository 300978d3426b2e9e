from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from casting_inspect.data.grouping.linking import Groups, Linker, Pair, widened


def _linker(count: int, score: Callable[[Pair], float]) -> Linker:
    rows = np.eye(count, dtype=np.float32)

    def scores(pairs: Sequence[Pair]) -> list[float]:
        return [score(pair) for pair in pairs]

    return Linker(rows, scores, 10.0, 6.5, Groups(count))


@st.composite
def joins(draw: st.DrawFn) -> tuple[int, list[Pair]]:
    count = draw(st.integers(1, 30))
    number = st.integers(0, count - 1)
    return count, draw(st.lists(st.tuples(number, number), max_size=40))


@given(joins())
def test_groups_are_the_connected_components(case: tuple[int, list[Pair]]) -> None:
    count, pairs = case
    groups = Groups(count)
    for first, second in pairs:
        groups.join(first, second)
    ends = np.array(pairs, np.intp).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, expected = connected_components(graph, directed=False)
    numbers = groups.numbers()
    assert len({(int(a), int(b)) for a, b in zip(expected, numbers, strict=True)}) == len(
        set(expected.tolist())
    )
    assert numbers.max() + 1 == len(groups.each()) == len(set(expected.tolist()))
    assert sorted(number for members in groups.each() for number in members) == list(range(count))


@given(joins(), st.integers(0, 2**32 - 1))
def test_wide_groups_hold_whole_groups(case: tuple[int, list[Pair]], seed: int) -> None:
    count, pairs = case
    random = np.random.default_rng(seed)
    table = {pair: float(random.uniform(0, 20)) for pair in map(_ordered, pairs)}
    linker = _linker(count, lambda pair: table.get(pair, 0.0))
    linker.link([pair for pair in sorted(table) if pair[0] != pair[1]])
    linker.gather()
    sure, wide = linker.groups.numbers(), widened(linker, 7.0).numbers()
    for number in np.unique(sure):
        assert len(np.unique(wide[sure == number])) == 1


def _ordered(pair: Pair) -> Pair:
    return min(pair), max(pair)


def test_one_false_link_does_not_chain_two_large_groups() -> None:
    truth = np.repeat([0, 1], 8)
    false = (3, 11)
    linker = _linker(16, lambda pair: 50.0 if truth[pair[0]] == truth[pair[1]] else 0.0)
    honest = linker.score
    linker.score = lambda pairs: [
        99.0 if pair == false else score for pair, score in zip(pairs, honest(pairs), strict=True)
    ]
    within = [(i, j) for i in range(16) for j in range(i + 1, 16) if truth[i] == truth[j]]
    linker.link([*within, false])
    linker.gather()
    np.testing.assert_array_equal(linker.groups.numbers(), truth)
    assert linker.refused == [false]
    # what is refused is still possible: a split keeps both on one side
    assert len(widened(linker, 8.0).each()) == 1


def test_a_group_in_two_pieces_is_put_together() -> None:
    linker = _linker(12, lambda _: 50.0)
    linker.rows = np.ones((12, 4), np.float32) / 2
    pieces = [(i, i + 1) for i in range(11) if i != 5]
    linker.link(pieces)
    assert len(linker.groups.each()) == 2
    assert linker.gather() == 1
    assert len(linker.groups.each()) == 1


def test_pairs_that_are_together_are_not_scored_again() -> None:
    asked: list[Pair] = []

    def score(pair: Pair) -> float:
        asked.append(pair)
        return 50.0

    linker = _linker(4, score)
    linker.groups.join(0, 1)
    linker.link([(0, 1), (2, 3)])
    linker.link([(2, 3), (0, 1)])
    assert asked == [(2, 3)]


def test_one_possible_pair_widens_small_groups_only() -> None:
    linker = _linker(8, lambda _: 0.0)
    for first, second in ((0, 1), (1, 2), (3, 4), (4, 5)):
        linker.groups.join(first, second)
    linker.scores = {(0, 3): 9.0, (6, 7): 9.0}
    wide = widened(linker, 8.0)
    assert wide.together(6, 7)
    assert not wide.together(0, 3)
    linker.scores[(1, 4)] = 9.0
    assert widened(linker, 8.0).together(0, 3)
