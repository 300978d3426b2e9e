"""Groups from scored pairs: a link between two large groups needs more than one pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]
ScoreAll = Callable[[Sequence[Pair]], Sequence[float]]
"""Scores pairs of file numbers, the smaller number first."""

SMALL: Final = 2
"""A group of so many files joins another by a single sure pair."""
WITNESSES: Final = 5
"""Further pairs looked at before two larger groups are joined."""
_BATCH: Final = 128
_NEIGHBOURS: Final = 12
_LOOKS_EACH: Final = 3  # pairs between two neighbouring groups
_FEWEST_LOOKS, _MOST_LOOKS = 4, 30


class Groups:
    """Disjoint groups of file numbers that can only grow together."""

    def __init__(self, count: int) -> None:
        self.of = np.arange(count)
        self._members = {number: [number] for number in range(count)}

    def members(self, number: int) -> list[int]:
        """Return the files of the group that file ``number`` is in."""
        return self._members[int(self.of[number])]

    def together(self, first: int, second: int) -> bool:
        """Say whether two files are in one group."""
        return bool(self.of[first] == self.of[second])

    def join(self, first: int, second: int) -> None:
        """Put the groups of two files together."""
        keep, gone = int(self.of[first]), int(self.of[second])
        if keep == gone:
            return
        if len(self._members[keep]) < len(self._members[gone]):
            keep, gone = gone, keep
        moved = self._members.pop(gone)
        self.of[moved] = keep
        self._members[keep] += moved

    def each(self) -> list[list[int]]:
        """Return all groups, each sorted, in the order of their first file."""
        return sorted(sorted(members) for members in self._members.values())

    def numbers(self) -> NDArray[np.intp]:
        """Return each file's group as a number from 0, in the order of the groups' first files."""
        _, first, inverse = np.unique(self.of, return_index=True, return_inverse=True)
        return np.asarray(np.argsort(np.argsort(first))[inverse], np.intp)


@dataclass
class Linker:
    """Joins files into groups, pair by pair, asking for scores only where they may matter.

    Attributes:
        rows: (n, d) vectors of the shortlist, of unit length.
        score: Scores pairs; called with many at once.
        sure: Score from which on a pair is linked.
        weak: Score from which on two pairs together put a small group into another.
        groups: The groups so far.
        scores: Score of every pair asked for.
        refused: Pairs above ``sure`` whose groups were not joined, for lack of witnesses.
    """

    rows: NDArray[np.float32]
    score: ScoreAll
    sure: float
    weak: float
    groups: Groups
    scores: dict[Pair, float] = field(default_factory=dict)
    refused: list[Pair] = field(default_factory=list)

    def ask(self, pairs: Sequence[Pair]) -> None:
        """Score the pairs that have no score yet."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self.scores]
        if new:
            self.scores.update(zip(new, self.score(new), strict=True))

    def link(self, pairs: Sequence[Pair], advance: Callable[[int], None] | None = None) -> None:
        """Go through pairs, likeliest first, and join what is sure.

        A pair whose files are together already is not scored.
        """
        waiting: list[Pair] = []
        for done, pair in enumerate(pairs):
            if not self.groups.together(*pair):
                waiting.append(pair)
            if len(waiting) == _BATCH:
                self._settle(waiting)
                waiting = []
                if advance is not None:
                    advance(done)
        self._settle(waiting)

    def _settle(self, pairs: Sequence[Pair]) -> None:
        self.ask(pairs)
        for pair in pairs:
            if self.groups.together(*pair):
                continue
            if self.scores[pair] >= self.sure:
                self.join_if_witnessed(pair)
            elif self.scores[pair] >= self.weak and self._twice_weak(pair):
                self.groups.join(*pair)

    def _twice_weak(self, pair: Pair) -> bool:
        """Say whether a small group has weak pairs with two files of a larger one."""
        small, large = sorted((self.groups.members(number) for number in pair), key=len)
        if len(small) > SMALL or len(large) <= len(small):
            return False
        files = set(pair) & set(small)
        rest = [number for number in large if number not in pair]
        pairs = self.across(sorted(files), rest, 2)
        self.ask(pairs)
        return any(self.scores[one] >= self.weak for one in pairs)

    def join_if_witnessed(self, pair: Pair) -> None:
        """Join the groups of a sure pair; larger ones only if half of some further pairs agree."""
        first, second = (self.groups.members(number) for number in pair)
        if min(len(first), len(second)) > SMALL:
            witnesses = [one for one in self.across(first, second, WITNESSES + 1) if one != pair]
            witnesses = witnesses[:WITNESSES]
            self.ask(witnesses)
            agreeing = sum(self.scores[one] >= self.sure for one in witnesses)
            if 2 * agreeing < len(witnesses):
                self.refused.append(pair)
                return
        self.groups.join(*pair)

    def across(self, first: Sequence[int], second: Sequence[int], count: int) -> list[Pair]:
        """Return the likeliest pairs between two groups, no file in more than two of them."""
        first, second = sorted(first), sorted(second)
        likeness = self.rows[first] @ self.rows[second].T
        pairs: list[Pair] = []
        uses: dict[int, int] = {}
        wanted = min(likeness.size, 40 * count)
        best = np.argpartition(-likeness.ravel(), wanted - 1)[:wanted]
        best = best[np.lexsort((best, -likeness.ravel()[best]))]
        for place in best:
            one, other = first[place // len(second)], second[place % len(second)]
            if max(uses.get(one, 0), uses.get(other, 0)) >= 2:
                continue
            uses[one], uses[other] = uses.get(one, 0) + 1, uses.get(other, 0) + 1
            pairs.append((min(one, other), max(one, other)))
            if len(pairs) == count:
                break
        return pairs

    def gather(self) -> int:
        """Compare each group with its nearest ones, so that none stays in two pieces.

        Returns:
            How many groups are fewer now.
        """
        each = self.groups.each()
        middles = np.stack([self.rows[members].mean(0) for members in each])
        middles /= np.maximum(np.linalg.norm(middles, axis=1, keepdims=True), 1e-6)
        looks = list(self._looks(each, middles))
        for start in range(0, len(looks), 8):
            some = [pairs for pairs in looks[start : start + 8] if self._apart(pairs)]
            self.ask([pair for pairs in some for pair in pairs])
            for pair in (pair for pairs in some for pair in pairs):
                if self.scores[pair] >= self.sure and not self.groups.together(*pair):
                    self.join_if_witnessed(pair)
        return len(each) - len(self.groups.each())

    def _apart(self, pairs: Sequence[Pair]) -> bool:
        return not self.groups.together(*pairs[0])

    def _looks(self, each: list[list[int]], middles: NDArray[np.float32]) -> Iterator[list[Pair]]:
        """Yield pairs between neighbouring groups, the nearest groups first.

        A group of one or two files has had its nearest files compared already.
        """
        left = [min(_MOST_LOOKS, 2 * len(members)) for members in each]
        left = [looks if looks > _FEWEST_LOOKS else 0 for looks in left]
        seen: set[Pair] = set()
        order: list[tuple[float, int, int]] = []
        for one in (number for number, looks in enumerate(left) if looks):
            likeness = middles @ middles[one]
            likeness[one] = -np.inf
            for other in np.argsort(-likeness, kind="stable")[:_NEIGHBOURS]:
                key = (min(one, int(other)), max(one, int(other)))
                if key not in seen:
                    seen.add(key)
                    order.append((-float(likeness[other]), *key))
        for _, one, other in sorted(order):
            count = min(_LOOKS_EACH, max(left[one], left[other]), len(each[one]) * len(each[other]))
            if count > 0:
                pairs = self.across(each[one], each[other], count)
                left[one], left[other] = left[one] - len(pairs), left[other] - len(pairs)
                yield pairs


def widened(linker: Linker, possible: float) -> Groups:
    """Return the groups joined further by possible pairs.

    Two groups that are both larger than ``SMALL`` are joined when at least two pairs between them
    are possible, and no fewer than half of those scored.
    """
    wide = Groups(len(linker.groups.of))
    for members in linker.groups.each():
        for number in members[1:]:
            wide.join(members[0], number)
    tally: dict[Pair, list[int]] = {}
    of = linker.groups.numbers()
    for pair, score in linker.scores.items():
        one, other = sorted((int(of[pair[0]]), int(of[pair[1]])))
        if one != other:
            count = tally.setdefault((one, other), [0, 0])
            count[0] += score >= possible
            count[1] += 1
    each = linker.groups.each()
    for (one, other), (agreeing, asked) in sorted(tally.items()):
        larger = min(len(each[one]), len(each[other])) > SMALL
        if agreeing >= (2 if larger else 1) and 2 * agreeing >= asked:
            wide.join(each[one][0], each[other][0])
    for pair in linker.refused:
        wide.join(*pair)
    return wide
