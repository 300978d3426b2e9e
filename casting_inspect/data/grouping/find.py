"""Which files show the same photograph or casting: fingerprints, shortlist, check, groups."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.cores import usable_cores
from casting_inspect.data.crew import Crew
from casting_inspect.data.grouping.evidence import (
    NULL_MATTERS,
    NULL_PAIRS,
    Thresholds,
    distant_pairs,
    thresholds,
)
from casting_inspect.data.grouping.fingerprint import FEW_POINTS, fingerprint_of_file
from casting_inspect.data.grouping.fingerprint_store import FingerprintStore
from casting_inspect.data.grouping.linking import Groups, Linker, Pair, widened
from casting_inspect.data.grouping.scoring import scorer
from casting_inspect.data.grouping.shortlist import embed, nearest
from casting_inspect.files import cache_root

VERSION: Final = 2
"""Raised whenever the same files would give other groups."""

NEIGHBOURS: Final = 12
"""Nearest files that each file is compared with, unless they are in its group already."""
FURTHER: Final = 40
"""So many for files whose group is still small."""
_STILL_SMALL: Final = 3
_FURTHER_PAIRS: Final = 6  # a file, at most, so that time stays in proportion to the set
_SHARD: Final = 256


@dataclass(frozen=True)
class Grouping:
    """Which files belong together.

    Attributes:
        group: (n,) number of each file's group by sure links.
        group_wide: (n,) the same by possible links too; every group lies inside one of these.
        links: Columns first, second (row numbers), score (higher is surer), sure (whether the
            score alone suffices for a sure link): all pairs that were compared and are possible.
        embedding: (n, d) float32, rows of unit length that the shortlist compares.
        facts: Thresholds, counts and seconds by stage.
    """

    group: NDArray[np.intp]
    group_wide: NDArray[np.intp]
    links: pd.DataFrame
    embedding: NDArray[np.float32]
    facts: dict[str, Any]


def find_groups(
    paths: Sequence[Path],
    digests: Sequence[str],
    *,
    cache: Path | None = None,
    jobs: int | None = None,
    given: Sequence[str] | None = None,
    progress: bool = True,
) -> Grouping:
    """Find the files that show the same photograph or casting.

    The result depends on the files' content alone, not on their order or names. A file that cannot
    be decoded is a group of its own; ``facts`` counts them.

    Args:
        paths: The files.
        digests: Their SHA-256, 64 hexadecimal digits each. Files of one digest are one group.
        cache: Folder of fingerprints by content; by default in the cache's folder.
        jobs: Threads; by default one for each core that this process may use.
        given: Names of groups that are known, "" where not. Files of one name are linked for sure.
        progress: Whether bars are shown on stderr.
    """
    if not paths:
        return _nothing()
    clock = _Clock()
    crew = Crew(jobs or usable_cores(), progress)
    keys = sorted(set(digests))
    number = {key: place for place, key in enumerate(keys)}
    of_file = np.array([number[digest] for digest in digests], np.intp)
    store = FingerprintStore(cache or cache_root() / "fingerprints")
    _fill(store, dict(zip(digests, paths, strict=True)), crew)
    clock.lap("fingerprints")
    rows = embed(lambda place: _descriptors(store, keys[place]), len(keys))
    near, likeness = nearest(rows, FURTHER)
    clock.lap("shortlist")
    with scorer(store, keys, crew.workers) as score:
        distant = distant_pairs(
            near[:, :NEIGHBOURS], min(NULL_PAIRS, 4 * len(keys)), np.random.default_rng(1)
        )
        pairs = [(int(one), int(other)) for one, other in distant]
        limits = thresholds(np.array(score(pairs, *NULL_MATTERS), np.float64))
        clock.lap("null")

        def link_score(pairs: Sequence[Pair]) -> list[float]:
            return score(pairs, min(limits.weak, limits.possible), limits.sure)

        linker = Linker(rows, link_score, limits.sure, limits.weak, Groups(len(keys)))
        _join_given(linker.groups, of_file, given)
        candidates = _candidates(near, likeness)
        with crew.bar("comparing pictures", len(candidates)) as advance:
            linker.link([pair for rank, pair in candidates if rank < NEIGHBOURS], advance)
            linker.link(_further(candidates, linker.groups))
            clock.lap("pairs")
            while linker.gather():
                pass
            advance(len(candidates))
    clock.lap("groups")
    wide = widened(linker, limits.possible)
    return Grouping(
        group=linker.groups.numbers()[of_file],
        group_wide=wide.numbers()[of_file],
        links=_links(linker, limits, of_file),
        embedding=rows[of_file],
        facts=_facts(linker, wide, limits, store, keys) | {"seconds": clock.seconds},
    )


def _nothing() -> Grouping:
    links = pd.DataFrame({"first": [], "second": [], "score": [], "sure": []})
    links = links.astype({"first": int, "second": int, "score": float, "sure": bool})
    none = np.zeros(0, np.intp)
    return Grouping(none, none, links, np.zeros((0, 1), np.float32), {"different_contents": 0})


class _Clock:
    """Seconds since the last lap, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._last = round(now - self._last, 2), now


def _fill(store: FingerprintStore, files: dict[str, Path], crew: Crew) -> None:
    """Make the fingerprints that the store lacks, a shard at a time."""
    store.load()
    if not store.missing(list(files)):
        return
    with store.locked():
        store.load()  # another audit may have made them while this one waited
        missing = sorted(store.missing(list(files)))
        paths = [files[key] for key in missing]
        for start, made in crew.batches(fingerprint_of_file, paths, _SHARD, "fingerprints"):
            keys = missing[start : start + len(made)]
            known = [(key, one) for key, one in zip(keys, made, strict=True) if one is not None]
            store.add([key for key, _ in known], [one for _, one in known])


def _descriptors(store: FingerprintStore, key: str) -> NDArray[np.uint8]:
    return store.descriptors(key) if key in store else np.zeros((0, 128), np.uint8)


def _join_given(groups: Groups, of_file: NDArray[np.intp], given: Sequence[str] | None) -> None:
    first: dict[str, int] = {}
    for place, name in zip(of_file, given or [], strict=False):
        if name:
            groups.join(first.setdefault(name, int(place)), int(place))


def _candidates(near: NDArray[np.intp], likeness: NDArray[np.float32]) -> list[tuple[int, Pair]]:
    """Return each file with its neighbours as (rank, pair), once each, nearest ranks first.

    By rank before likeness: after the first ranks most files of a large group are together, and
    their later pairs need no comparison.
    """
    best: dict[Pair, tuple[int, float]] = {}
    for one in range(len(near)):
        for rank, other in enumerate(near[one].tolist()):
            pair = (min(one, other), max(one, other))
            place = (rank, -float(likeness[one, rank]))
            best[pair] = min(best.get(pair, place), place)
    return [(best[pair][0], pair) for pair in sorted(best, key=lambda pair: (best[pair], pair))]


def _further(candidates: Sequence[tuple[int, Pair]], groups: Groups) -> list[Pair]:
    """Return pairs of later ranks that touch a group still small, nearest ranks first."""
    pairs = [
        pair
        for rank, pair in candidates
        if rank >= NEIGHBOURS
        and min(len(groups.members(number)) for number in pair) <= _STILL_SMALL
    ]
    return pairs[: _FURTHER_PAIRS * len(groups.of)]


def _links(linker: Linker, limits: Thresholds, of_file: NDArray[np.intp]) -> pd.DataFrame:
    _, row_of = np.unique(of_file, return_index=True)
    possible = [pair for pair, score in sorted(linker.scores.items()) if score >= limits.possible]
    scores = np.array([linker.scores[pair] for pair in possible], np.float64)
    ends = row_of[np.array(possible, np.intp).reshape(-1, 2)]
    return pd.DataFrame(
        {"first": ends[:, 0], "second": ends[:, 1], "score": scores, "sure": scores >= limits.sure}
    )


def _facts(
    linker: Linker, wide: Groups, limits: Thresholds, store: FingerprintStore, keys: Sequence[str]
) -> dict[str, Any]:
    points = [len(_descriptors(store, key)) for key in keys]
    return {
        "different_contents": len(keys),
        "groups": len(linker.groups.each()),
        "groups_wide": len(wide.each()),
        "pairs_compared": len(linker.scores),
        "refused_joins": len(linker.refused),
        "undecodable": sum(key not in store for key in keys),
        "featureless": sum(
            count < FEW_POINTS and key in store for count, key in zip(points, keys, strict=True)
        ),
        "threshold_sure": limits.sure,
        "threshold_possible": limits.possible,
        "null_quantile": limits.null if np.isfinite(limits.null) else None,
        "null_pairs": limits.drawn,
    }
