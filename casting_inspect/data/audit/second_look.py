"""A second, independent count of test pictures that have a copy in training.

It shares nothing with the search for groups: no keypoints, no descriptors, no registration.
Pictures are compared on circles about their centre, over all turns and both mirror images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from casting_inspect.data.audit.polar_signature import (
    FREQUENCIES,
    RADII,
    SLOWEST,
    VERSION,
    Signature,
    signature_of,
)
from casting_inspect.data.crew import Crew
from casting_inspect.data.feature_store import FeatureStore
from casting_inspect.files import cache_root, sha256_of_file

COMPARED: Final = 20
"""Training pictures that a test picture is compared with: those with the most alike spectra."""
LEAST_SCORE: Final = 0.7
"""No lower score is called a copy, whatever pictures that are no copies score."""
_MOST: Final = 0.85  # nor is a higher one asked for
_SPREADS: Final = 6.5
_NULL_PAIRS: Final = 4_000
_TURNS: Final = 256
_PART: Final = 512
_SHARD: Final = 2_000


@dataclass(frozen=True)
class SecondLook:
    """What the second method says of each test picture.

    Attributes:
        suspected: Whether a training picture seems to be a copy of the same photograph, (n,).
        best: Position of the most alike training picture, (n,), -1 where there is none.
        score: Its correlation, (n,), 0 to 1.
        threshold: From which score a copy is suspected.
    """

    suspected: NDArray[np.bool_]
    best: NDArray[np.intp]
    score: NDArray[np.float32]
    threshold: float


def suspected_copies(
    train: Sequence[Path],
    test: Sequence[Path],
    *,
    train_digests: Sequence[str] | None = None,
    test_digests: Sequence[str] | None = None,
    cache: Path | None = None,
    progress: bool = False,
) -> SecondLook:
    """Say of which test pictures a copy seems to be among the training pictures.

    Files that do not decode are no copies of anything.

    Args:
        train: Pictures that a model learns from.
        test: Pictures that it is tested on.
        train_digests: SHA-256 of each training file; computed when not given.
        test_digests: SHA-256 of each test file; computed when not given.
        cache: Folder of signatures by content; by default the user's.
        progress: Whether a bar is shown while pictures are read.
    """
    digests = [*_digests(train, train_digests), *_digests(test, test_digests)]
    both = signatures([*train, *test], digests, cache, progress)
    return compared(both[: len(train)], both[len(train) :])


def compared(train: NDArray[np.complex64], test: NDArray[np.complex64]) -> SecondLook:
    """Return `suspected_copies` of signatures.

    The threshold lies 6.5 robust standard deviations above the median score of pairs drawn at
    random, kept between 0.7 and 0.85: pairs of one design, such as the castings of one part, score
    higher than unlike pictures do, and a copy must stand out from them.

    Args:
        train: (m, RADII, FREQUENCIES).
        test: (n, RADII, FREQUENCIES).
    """
    best = np.full(len(test), -1, dtype=np.intp)
    score = np.zeros(len(test), dtype=np.float32)
    if len(train) and len(test):
        for start in range(0, len(test), _PART):
            part = slice(start, start + _PART)
            best[part], score[part] = _best_matches(train, test[part])
    threshold = _threshold(train, test)
    return SecondLook(score >= threshold, best, score, threshold)


def pair_scores(first: NDArray[np.complex64], second: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the correlation of pairs at their best turn and mirror image, (n,), -1 to 1.

    Args:
        first: (n, RADII, FREQUENCIES), each of norm 1.
        second: The same shape.
    """
    scores = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), _PART * COMPARED):
        part = slice(start, start + _PART * COMPARED)
        straight = np.sum(first[part] * np.conj(second[part]), axis=1)
        mirrored = np.sum(first[part] * second[part], axis=1)
        waves = np.pad(np.concatenate([straight, mirrored]), ((0, 0), (SLOWEST, 0)))
        over_turns = np.fft.ifft(waves, n=_TURNS, axis=1).real * _TURNS
        scores[part] = over_turns.max(axis=1).reshape(2, -1).max(axis=0)
    return scores


def _best_matches(
    train: NDArray[np.complex64], test: NDArray[np.complex64]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the best training picture of each test picture among those with alike spectra."""
    middle = _spectra(train).mean(axis=0)
    known, asked = _unit(_spectra(train) - middle), _unit(_spectra(test) - middle)
    likeness = asked @ known.T
    wanted = min(COMPARED, len(train))
    near = np.argpartition(-likeness, wanted - 1, axis=1)[:, :wanted]
    near.sort(axis=1)
    rows = np.repeat(np.arange(len(test)), wanted)
    scores = pair_scores(test[rows], train[near.ravel()]).reshape(near.shape)
    chosen = scores.argmax(axis=1)
    at = np.arange(len(test))
    return near[at, chosen].astype(np.intp), scores[at, chosen]


def _spectra(signatures: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return what no turn and no mirror changes: the roots of the magnitudes, (n, d)."""
    return np.sqrt(np.abs(signatures)).reshape(len(signatures), -1)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, np.float32(1e-9)), dtype=np.float32)


def _threshold(train: NDArray[np.complex64], test: NDArray[np.complex64]) -> float:
    """Return the score from which a copy is suspected (see `compared`)."""
    if len(train) < 2 or len(test) < 2:
        return _MOST
    if len(train) * len(test) <= _NULL_PAIRS:
        pairs = np.indices((len(train), len(test))).reshape(2, -1)
    else:
        generator = np.random.default_rng(0)
        pairs = generator.integers(0, [[len(train)], [len(test)]], (2, _NULL_PAIRS))
    scores = pair_scores(train[pairs[0]], test[pairs[1]])
    median = float(np.median(scores))
    spread = float(np.median(np.abs(scores - median))) * 1.4826
    return float(np.clip(median + _SPREADS * spread, LEAST_SCORE, _MOST))


def _digests(paths: Sequence[Path], given: Sequence[str] | None) -> list[str]:
    return [sha256_of_file(path) for path in paths] if given is None else list(given)


def signatures(
    paths: Sequence[Path], digests: Sequence[str], cache: Path | None = None, progress: bool = False
) -> NDArray[np.complex64]:
    """Return the signature of each file, (n, RADII, FREQUENCIES), from the cache where it is."""
    root = cache_root() / "second_look" if cache is None else cache
    store = FeatureStore(root / f"polar{VERSION}")
    path_of = dict(zip(digests, paths, strict=True))
    with store.locked("waiting for another run that reads the same pictures"):
        store.load(mend=True)
        missing = store.missing(digests)
        with Crew(progress=progress).bar("second look", len(missing)) as advance:
            for start in range(0, len(missing), _SHARD):
                some = missing[start : start + _SHARD]
                rows = Crew(progress=False).each(_stored, [path_of[key] for key in some], "")
                store.add(some, np.stack(rows))
                advance(start + len(some))
    stored = store.take(digests).astype(np.float32) if digests else np.empty((0, RADII, 0, 2))
    whole = stored[..., 0] + 1j * stored[..., 1]
    return np.asarray(whole, dtype=np.complex64).reshape(len(digests), RADII, FREQUENCIES)


def _stored(path: Path) -> NDArray[np.float32]:
    """Return a signature as real numbers, 0 throughout where the file does not decode."""
    signature: Signature | None = signature_of(path)
    if signature is None:
        return np.zeros((RADII, FREQUENCIES, 2), dtype=np.float32)
    return np.stack([signature.real, signature.imag], axis=-1)
