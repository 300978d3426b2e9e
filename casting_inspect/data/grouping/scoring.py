"""Scores of many pairs on several threads, from stored fingerprints."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from casting_inspect.data.grouping.agreement import agreement
from casting_inspect.data.grouping.fingerprint_store import FingerprintStore
from casting_inspect.data.grouping.linking import Pair

Scorer = Callable[[Sequence[Pair], float, float], list[float]]
"""Scores pairs, exactly enough between two scores; see ``agreement``."""


@contextlib.contextmanager
def scorer(store: FingerprintStore, keys: Sequence[str], workers: int) -> Iterator[Scorer]:
    """Yield a function that scores pairs of places in ``keys``.

    A file without a fingerprint scores 0 with every other.

    Args:
        store: Where the fingerprints are.
        keys: Digests of the files.
        workers: Threads; each does its matrix products alone, so that they don't compete.
    """
    from threadpoolctl import threadpool_limits

    def one(pair: Pair, between: tuple[float, float]) -> float:
        first, second = keys[pair[0]], keys[pair[1]]
        if first not in store or second not in store:
            return 0.0
        return agreement(store.take(first), store.take(second), between).score

    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:

        def score(pairs: Sequence[Pair], low: float, high: float) -> list[float]:
            return list(pool.map(one, pairs, itertools.repeat((low, high))))

        yield score
