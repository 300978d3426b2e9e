"""Which files are worth comparing: one short vector a picture, and its nearest ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from casting_inspect.data.grouping.fingerprint import MIRROR, unit_rows

Floats = NDArray[np.float32]
Descriptors = Callable[[int], NDArray[np.uint8]]
"""Gives the descriptors of a file by its number."""

WORDS: Final = 512
DIMENSIONS: Final = 192
_SAMPLE_WORDS: Final = 600  # files whose descriptors make the words
_SAMPLE_AXES: Final = 1000  # files whose vectors make the principal axes
_PER_FILE: Final = 60
_WHITENING: Final = 0.4  # 0: none, 1: all axes weigh the same
_CHUNK: Final = 256


def embed(descriptors: Descriptors, count: int) -> Floats:
    """Return one unit vector a file, near for pictures that share local detail.

    Sums of the directions in which descriptors differ from their visual words (VLAD with residual
    normalisation, Delhumeau and others 2013), each descriptor together with its mirrored form, so
    that a mirrored copy has the same vector; then principal axes, partly whitened.

    Args:
        descriptors: Source of the files' descriptors.
        count: Number of files.

    Returns:
        (count, d) float32, d at most ``DIMENSIONS``; rows of zeros for files that show nothing.
    """
    random = np.random.default_rng(0)
    words = _words(descriptors, random.permutation(count)[:_SAMPLE_WORDS], random)
    if words is None or count < 3:
        return np.zeros((count, 1), np.float32)
    mean, axes = _axes(descriptors, np.sort(random.permutation(count)[:_SAMPLE_AXES]), words)
    rows = np.zeros((count, axes.shape[1]), np.float32)
    for start in range(0, count, _CHUNK):
        part = range(start, min(start + _CHUNK, count))
        vectors = np.stack([vlad(descriptors(number), words) for number in part])
        some = vectors.any(1)
        rows[part.start : part.stop][some] = (vectors[some] - mean) @ axes
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-6), np.float32)


def _words(
    descriptors: Descriptors, numbers: Sequence[int] | NDArray[np.intp], random: np.random.Generator
) -> Floats | None:
    from sklearn.cluster import MiniBatchKMeans

    drawn = []
    for number in numbers:
        rows = descriptors(int(number))
        drawn.append(rows[random.permutation(len(rows))[:_PER_FILE]])
    sample = unit_rows(np.concatenate(drawn)) if drawn else np.zeros((0, 128), np.float32)
    if len(sample) < 8:
        return None
    sample = np.concatenate([sample, sample[:, MIRROR]])
    words = MiniBatchKMeans(
        min(WORDS, len(sample) // 8 + 1), random_state=0, n_init=1, batch_size=4096, max_iter=30
    )
    return np.asarray(words.fit(sample).cluster_centers_, np.float32)


def vlad(descriptors: NDArray[np.uint8], words: Floats) -> Floats:
    """Return the vector of residuals, float32 (words x 128,), the same for a mirrored picture."""
    rows = unit_rows(descriptors)
    rows = np.concatenate([rows, rows[:, MIRROR]])
    nearest = (rows @ words.T - 0.5 * (words * words).sum(1)).argmax(1)
    residuals = rows - words[nearest]
    residuals /= np.linalg.norm(residuals, axis=1, keepdims=True) + 1e-6
    order = np.argsort(nearest, kind="stable")
    used, start = np.unique(nearest[order], return_index=True)
    sums = np.zeros_like(words)
    if len(rows):
        sums[used] = np.add.reduceat(residuals[order], start, axis=0)
    # the root of its length: a word that occurs often counts more, but not in proportion
    sums /= np.sqrt(np.linalg.norm(sums, axis=1, keepdims=True)) + 1e-6
    flat: Floats = sums.reshape(-1)
    return flat / max(float(np.linalg.norm(flat)), 1e-6)


def _axes(
    descriptors: Descriptors, numbers: NDArray[np.intp], words: Floats
) -> tuple[Floats, Floats]:
    """Return the mean vector and the principal axes, the first ones scaled down."""
    vectors = np.stack([vlad(descriptors(int(number)), words) for number in numbers])
    mean = vectors.mean(0)
    vectors -= mean
    # fewer files than dimensions: the small matrix has the same axes
    variances, sides = np.linalg.eigh((vectors @ vectors.T).astype(np.float64))
    keep = min(DIMENSIONS, max(1, len(numbers) - 1))
    variances, sides = variances[::-1][:keep], sides[:, ::-1][:, :keep]
    singular = np.sqrt(np.maximum(variances, 1e-6 * max(variances[0], 1e-9)))
    # whitened in part: what all pictures share counts less, noise is not raised to the same level
    weights = (sides / singular ** (1.0 + _WHITENING)).astype(np.float32)
    return mean, np.asarray(vectors.T @ weights, np.float32)


def nearest(rows: Floats, count: int) -> tuple[NDArray[np.intp], Floats]:
    """Return each row's nearest other rows by inner product, best first, ties by number.

    Args:
        rows: (n, d) of unit length.
        count: How many; fewer where there are fewer files.

    Returns:
        Numbers (n, count) and inner products (n, count).
    """
    size = len(rows)
    count = min(count, size - 1)
    numbers = np.zeros((size, max(count, 0)), np.intp)
    likeness = np.zeros(numbers.shape, np.float32)
    if count < 1:
        return numbers, likeness
    for start in range(0, size, 1024):
        block = rows[start : start + 1024] @ rows.T
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -np.inf
        best = np.sort(np.argpartition(-block, count - 1, axis=1)[:, :count], axis=1)
        values = np.take_along_axis(block, best, 1)
        order = np.argsort(-values, axis=1, kind="stable")
        numbers[start : start + 1024] = np.take_along_axis(best, order, 1)
        likeness[start : start + 1024] = np.take_along_axis(values, order, 1)
    return numbers, likeness
