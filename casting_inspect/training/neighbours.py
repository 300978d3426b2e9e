"""Which training castings look most like those that were judged wrongly, as the model sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.data.module import CastingDataModule
from casting_inspect.evaluation.predictions import complete_predictions
from casting_inspect.evaluation.report.gallery import KINDS, NEIGHBOURS, SHOWN, worst
from casting_inspect.files import replace_csv
from casting_inspect.training.fitting import Rows

Embed = Callable[[Rows], NDArray[np.float32] | None]
"""From rows to what the head sees of them, (n, d); None where that is not known."""

NAME: Final = "neighbours.csv"
FIELDS: Final = ("path", "rank", "neighbour", "label", "similarity")
MOST: Final = 400
"""Training castings that are looked among, a picture of each; of more, evenly spread ones."""


def write_neighbours(
    embed: Embed, data: CastingDataModule, train: Rows, predictions: pd.DataFrame, folder: Path
) -> None:
    """Write ``neighbours.csv``: for the pictures that a report shows, the nearest training ones.

    Args:
        embed: From rows to vectors; without them nothing is written.
        data: The pictures.
        train: Rows that were learnt.
        predictions: A predictions table with thresholds.
        folder: Where the file goes.
    """
    rows = shown_rows(predictions, data)
    if not len(rows) or not len(train):
        return
    others = one_of_each(data, train)
    seen, known = embed(rows), embed(others)
    if seen is None or known is None:
        return
    found = nearest(seen, known)
    paths, labels = data.frame["path"].to_numpy(), data.frame["label"].to_numpy()
    table = [
        (paths[row], rank, paths[others[at]], labels[others[at]], round(similarity, 4))
        for row, hits in zip(rows.tolist(), found, strict=True)
        for rank, (at, similarity) in enumerate(hits)
    ]
    replace_csv(folder / NAME, pd.DataFrame(table, columns=list(FIELDS)))


def gather_neighbours(folds: Sequence[Path], folder: Path) -> None:
    """Write one ``neighbours.csv`` of those of several folds, as far as they are there."""
    found = [pd.read_csv(fold / NAME, dtype=str) for fold in folds if (fold / NAME).is_file()]
    if found:
        replace_csv(folder / NAME, pd.concat(found))


def shown_rows(predictions: pd.DataFrame, data: CastingDataModule) -> Rows:
    """Return the rows of the test pictures that a report shows, of either grouping's castings."""
    table = complete_predictions(predictions)
    tested = table[table["split"] == "test"]
    chosen = [
        worst(tested, kind, grouping)["path"][:SHOWN]
        for kind, *_ in KINDS
        for grouping in ("group", "group_wide")
    ]
    wanted = set(pd.concat(chosen))
    return np.flatnonzero(data.frame["path"].isin(wanted)).astype(np.int64)


def one_of_each(data: CastingDataModule, rows: Rows) -> Rows:
    """Return one row of each casting among rows, that of the smallest digest; at most `MOST`."""
    frame = data.frame.iloc[rows].assign(row=rows).sort_values("sha256", kind="stable")
    names = frame["group"].where(frame["group"] != "", frame["path"])
    first = np.sort(frame["row"].to_numpy()[~names.duplicated().to_numpy()])
    spread = np.unique(np.linspace(0, len(first) - 1, min(MOST, len(first))).astype(int))
    return np.asarray(first[spread], dtype=np.int64)


def nearest(seen: NDArray[np.float32], known: NDArray[np.float32]) -> list[list[tuple[int, float]]]:
    """Return for each vector the nearest known ones by cosine similarity, the nearest first.

    Args:
        seen: (n, d).
        known: (m, d); each feature is standardised by its mean and deviation over these.

    Returns:
        For each of n at most `NEIGHBOURS` pairs of position among the m and similarity, -1 to 1.
    """
    mean, deviation = known.mean(0), known.std(0)
    scale = np.where(deviation > 0, deviation, 1.0)

    def unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        centred = (vectors - mean) / scale
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        return np.asarray(centred / np.where(lengths > 0, lengths, 1.0), dtype=np.float64)

    likeness = unit(seen) @ unit(known).T
    order = np.argsort(-likeness, axis=1, kind="stable")[:, :NEIGHBOURS]
    return [
        [(int(at), float(row[at])) for at in best]
        for row, best in zip(likeness, order, strict=True)
    ]
