"""After the fit: predictions, metrics and figures in the run folder, in TensorBoard, on screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import DictConfig
from torch.utils.tensorboard import SummaryWriter

from casting_inspect.data.module import CastingDataModule
from casting_inspect.evaluation.defect_recall import recall_by_kind_and_size
from casting_inspect.evaluation.evaluate import evaluate_predictions
from casting_inspect.evaluation.figures import curves_figure, save_figure
from casting_inspect.evaluation.predictions import read_predictions, write_predictions
from casting_inspect.evaluation.tables import print_metrics
from casting_inspect.files import replacing
from casting_inspect.training import tensorboard
from casting_inspect.training.run_folder import RunFolder

WATCHED = "test seen while training"


def write_evidence(
    config: DictConfig,
    plain: Mapping[str, Any],
    folder: RunFolder,
    predictions: pd.DataFrame,
    data: CastingDataModule,
    trainer: L.Trainer,
    *,
    best_epoch: int,
    cached: bool,
) -> dict[str, Any]:
    """Write predictions, metrics, curves and TensorBoard panels, and print the table.

    Everything after ``predictions.csv`` is computed from that file, not from memory.

    Args:
        config: The composed configuration.
        plain: The same as plain data.
        folder: The run folder.
        predictions: The predictions table.
        data: The run's pictures.
        trainer: The trainer after the fit, for its loggers.
        best_epoch: The epoch that the scores come from, counted from 1.
        cached: Whether the head was trained on cached features.

    Returns:
        What ``metrics.json`` holds.
    """
    write_predictions(predictions, folder.predictions)
    table = read_predictions(folder.predictions)
    metrics = evaluate_predictions(table, folder.root)
    write_defect_recall(table, data, folder)
    history = pd.read_csv(folder.history)
    note = WATCHED if config.callbacks.watch_test else ""
    save_figure(curves_figure(history, note=note), folder.root / "curves.png")
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            write_tensorboard(logger.experiment, plain, table, metrics, best_epoch, cached)
            logger.finalize("success")
    print_metrics(metrics, note=split_note(config.data.split))
    return metrics


def split_note(split: str) -> str:
    """Return the line that stands under figures of a split that can leak, else nothing."""
    if split in ("file", "vendor"):
        return (
            f"data.split={split}: copies of one photograph can lie in training and test, so these "
            "figures say little about a new casting; data.split=group does"
        )
    return ""


def write_defect_recall(
    table: pd.DataFrame, data: CastingDataModule, folder: RunFolder
) -> pd.DataFrame | None:
    """Write ``recall_by_defect.csv`` where the data set knows its defects."""
    known = data.root / "defects.csv"
    if not (data.root / "synthetic.json").exists():  # a user's file of that name is his own
        return None
    recall = recall_by_kind_and_size(table[table["split"] == "test"], pd.read_csv(known))
    with replacing(folder.root / "recall_by_defect.csv") as temporary:
        recall.to_csv(temporary, index=False, lineterminator="\n")
    return recall


def write_tensorboard(
    writer: SummaryWriter,
    plain: Mapping[str, Any],
    table: pd.DataFrame,
    metrics: Mapping[str, Any],
    best_epoch: int,
    cached: bool,
) -> None:
    """Log what the run concluded, and the HPARAMS row."""
    for split in metrics:
        rows = table[table["split"] == split]
        tensorboard.log_split(writer, split, rows, metrics[split]["confusion"], best_epoch)
    tensorboard.log_hparams(writer, plain, metrics, cached=cached)
    writer.flush()


def training_sample(
    data: CastingDataModule, *, augmented: bool, count: int = 32
) -> dict[str, torch.Tensor]:
    """Return training pictures as the network sees them: plain, or as in the first epoch."""
    rows = data.rows("train")
    chosen = np.random.default_rng(0).permutation(rows)[:count]
    images = torch.stack([data.picture(int(row), 0 if augmented else None) for row in chosen])
    return {"image": images, "label": torch.from_numpy(data.labels[chosen])}
