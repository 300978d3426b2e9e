"""What the final model sees of the test pictures, for TensorBoard's embedding projector."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch.utils.tensorboard import SummaryWriter

from casting_inspect.data.module import CastingDataModule
from casting_inspect.evaluation.metrics import truths, verdicts
from casting_inspect.evaluation.predictions import complete_predictions
from casting_inspect.training.neighbours import Embed

MOST: Final = 500
"""Pictures that are shown; of more, evenly spread ones."""
WIDTH: Final = 128
"""Principal components that are kept of wider vectors; the projector works in the browser."""
THUMBNAIL: Final = 48
TAG: Final = "test_pictures"
FIELDS: Final = ("label", "error", "verdict", "p_normal", "group", "path")


def write_projector(
    embed: Embed,
    data: CastingDataModule,
    predictions: pd.DataFrame,
    folder: Path,
) -> None:
    """Write vectors, thumbnails and what is known of each test picture for the projector.

    Args:
        embed: From rows to vectors; without them nothing is written.
        data: The pictures.
        predictions: A predictions table with thresholds.
        folder: The run's, which TensorBoard reads; an earlier call's files there are replaced.
    """
    table = complete_predictions(predictions)
    tested = table[table["split"] == "test"].drop_duplicates("path").set_index("path")
    known = np.flatnonzero(data.frame["path"].isin(tested.index))
    if len(known) < 3:  # no plane goes through fewer
        return
    rows = known[np.unique(np.linspace(0, len(known) - 1, min(MOST, len(known))).astype(int))]
    vectors = embed(rows.astype(np.int64))
    if vectors is None:
        return
    shown = tested.loc[data.frame["path"].iloc[rows]].reset_index()
    (folder / "projector_config.pbtxt").unlink(missing_ok=True)
    shutil.rmtree(folder / "00000" / TAG, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        writer.add_embedding(
            torch.from_numpy(narrowed(vectors)),
            metadata=about(shown)[list(FIELDS)].astype(str).to_numpy().tolist(),
            metadata_header=list(FIELDS),
            label_img=torch.stack([_thumbnail(data, row) for row in rows.tolist()]),
            global_step=0,
            tag=TAG,
        )


def about(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with ``verdict`` (passed, rejected) and ``error`` (escape, overkill, none)."""
    normal, passed = truths(rows), verdicts(rows)
    return rows.assign(
        verdict=np.where(passed, "passed", "rejected"),
        error=np.select([~normal & passed, normal & ~passed], ["escape", "overkill"], "none"),
        p_normal=[f"{value:.4g}" for value in rows["p_normal"]],
    )


def narrowed(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return vectors (n, d), standardised, as at most `WIDTH` principal components, rounded."""
    deviation = vectors.std(axis=0)
    standard = (vectors - vectors.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    if standard.shape[1] > WIDTH:
        count = min(WIDTH, len(standard))
        standard = PCA(count, svd_solver="randomized", random_state=0).fit_transform(standard)
    return np.asarray(np.round(standard.astype(np.float64), 4))


def _thumbnail(data: CastingDataModule, row: int) -> torch.Tensor:
    """Return a picture as float (3, h, h) from 0 to 1."""
    picture = data.picture(row).permute(1, 2, 0).numpy()
    small = cv2.resize(picture, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small).permute(2, 0, 1).float().div(255)
