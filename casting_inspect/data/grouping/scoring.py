"""Scores of many pairs on several threads, from stored fingerprints."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from casting_inspect.data.grouping.agreement import agreement
from casting_inspect.data.grouping.fingerprint_store import FingerprintStore
from casting_inspect.data.grouping.linking import Pair, ScoreAll


@contextlib.contextmanager
def scorer(store: FingerprintStore, keys: Sequence[str], workers: int) -> Iterator[ScoreAll]:
    """Yield a function that scores pairs of places in ``keys``.

    A file without a fingerprint scores 0 with every other.

    Args:
        store: Where the fingerprints are.
        keys: Digests of the files.
        workers: Threads; each does its matrix products alone, so that they don't compete.
    """
    from threadpoolctl import threadpool_limits

    def one(pair: Pair) -> float:
        first, second = keys[pair[0]], keys[pair[1]]
        if first not in store or second not in store:
            return 0.0
        return agreement(store.take(first), store.take(second)).score

    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:

        def score(pairs: Sequence[Pair]) -> list[float]:
            return list(pool.map(one, pairs))

        yield score
