"""Two coordinates a picture, so that alike pictures lie together: for looking at, not for proof."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.auditing.answers import kept_json

MOST: Final = 2_000
"""Pictures on the map; of large groups some are left out, of small ones none before."""
COLOURED_SAYS: Final = (
    "Near each other means alike to the search's shortlist, by principal components and t-SNE; "
    "distances between clumps and their sizes mean nothing. The largest groups have a colour."
)
_COMPONENTS: Final = 30


def shown_rows(frame: pd.DataFrame) -> NDArray[np.intp]:
    """Return the rows on the map: one of each group, a second of each, and so on up to `MOST`."""
    table = pd.DataFrame({"wide": frame["group_wide"], "sha256": frame["sha256"]})
    rank = table.groupby("wide")["sha256"].rank(method="first").to_numpy()
    order = np.lexsort((frame["path"].to_numpy(), frame["sha256"].to_numpy(), rank))
    return np.sort(order[:MOST])


def map_of(
    frame: pd.DataFrame, embedding: NDArray[np.float32], cache: Path | None
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return rows and their coordinates, (n,) and (n, 2), by principal components and t-SNE.

    Args:
        frame: A manifest with groups.
        embedding: What pictures are compared by, a row each.
        cache: Folder of the caches; None for the user's.

    Source: van der Maaten and Hinton 2008; the seed is fixed.
    """
    rows = shown_rows(frame)
    names = frame["sha256"].iloc[rows].to_list()
    order = np.argsort(np.array(names), kind="stable")
    question = ["map", 1, list(embedding.shape[1:]), [names[at] for at in order]]
    values = embedding[rows[order]]
    found = kept_json(question, lambda: _coordinates(values).tolist(), cache)
    place = np.empty((len(rows), 2))
    place[order] = np.asarray(found, dtype=np.float64).reshape(-1, 2)
    return rows, place


def _coordinates(values: NDArray[np.float32]) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if len(values) < 3 or not np.any(values.std(axis=0) > 0):
        return np.column_stack([np.arange(len(values)), np.zeros(len(values))])
    components = min(_COMPONENTS, *values.shape)
    small = PCA(components, svd_solver="full" if min(values.shape) < 500 else "randomized",
                random_state=0).fit_transform(values)  # fmt: skip
    if len(values) < 10 or components < 3:
        return np.asarray(np.pad(small, ((0, 0), (0, 2)))[:, :2], dtype=np.float64)
    perplexity = min(30.0, (len(values) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=0, n_jobs=1)
    return np.asarray(tsne.fit_transform(small), dtype=np.float64)
