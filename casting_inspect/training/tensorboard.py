"""What TensorBoard shows beside the curves: pictures, tables, curves over thresholds, HPARAMS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams as hparams_summaries

from casting_inspect.data.decode import read_rgb
from casting_inspect.evaluation import figures
from casting_inspect.evaluation.predictions import SPLITS
from casting_inspect.evaluation.review_figures import verdict_counts
from casting_inspect.evaluation.tables import floor_sentence, leak_sentences
from casting_inspect.labels import CLASS_NAMES
from casting_inspect.training.callbacks import EPOCH_SECONDS, SPEED

# what the HPARAMS tab compares; the whole configuration stands under TEXT
HYPERPARAMETERS = (
    "model.name",
    "model.head",
    "model.weights",
    "model.image_size",
    "finetune.strategy",
    "finetune.head_lr",
    "finetune.backbone_lr",
    "finetune.sample_weights",
    "augment.name",
    "data.split",
    "data.fold",
    "data.inner_folds",
    "data.partition",
    "data.batch_size",
    "data.views",
    "finetune.cached_batch_size",
    "trainer.max_epochs",
    "seed",
)
PARTS = ("train", "val", "test")


def _lines(*tags: str) -> list[Any]:
    return ["Multiline", list(tags)]


LAYOUT = {
    "loss": {"loss": _lines(*(f"{part}/loss" for part in PARTS))},
    "inspection rates (threshold 0.5 while training)": {
        "escape rate": _lines(*(f"{part}/escape_rate" for part in PARTS)),
        "overkill rate": _lines(*(f"{part}/overkill_rate" for part in PARTS)),
        "accuracy": _lines(*(f"{part}/accuracy" for part in PARTS)),
        "AUROC": _lines(*(f"{part}/auroc" for part in PARTS)),
        "wrong on the panel": _lines("panel/wrong"),
    },
    "speed": {
        "training images a second": _lines(SPEED),
        "seconds of training an epoch": _lines(EPOCH_SECONDS),
        "learning rate": _lines("learning_rate/.*"),
    },
}
"""Charts of the CUSTOM SCALARS tab: by heading, the chart's name and its lines' tags."""
ALSO_IN_THE_REPORT = ("rates", "risk", "reliability", "slices")
HEATMAPS_SHOWN = 8
VERDICT = "verdict"  # TensorBoard sorts by name: these single points come below the curves
NOT_OF_CACHED = ("data.batch_size",)
HPARAM_METRICS = (
    "accuracy",
    "f1",
    "escape_rate",
    "overkill_rate",
    "balanced_accuracy_by_group",
    "escape_rate_by_group",
    "overkill_rate_by_group",
    "auroc_by_group",
)


class EventLogger(TensorBoardLogger):
    """Writes events into the run folder itself, so that TensorBoard names runs as they are."""

    def __init__(self, folder: Path) -> None:
        super().__init__(save_dir=folder, name="", version="", default_hp_metric=False)

    def save(self) -> None:
        """Write no hparams.yaml: config.yaml holds more."""


def log_start(
    writer: SummaryWriter, config: Mapping[str, Any], batch: Mapping[str, Tensor]
) -> None:
    """Log the charts' layout, the configuration as text, and a batch as the network sees it.

    Args:
        writer: Where to.
        config: The resolved configuration.
        batch: ``image`` uint8 (B, 3, S, S) and ``label`` (B,).
    """
    writer.add_custom_scalars(LAYOUT)
    text = OmegaConf.to_yaml(OmegaConf.create(dict(config)))
    indented = "\n".join(f"    {line}" for line in text.splitlines())
    writer.add_text("configuration", indented)
    grid = framed_grid(batch["image"], batch["label"])
    writer.add_image("batch_as_the_network_sees_it/orange_is_defective_blue_is_normal", grid)


def training_sample(
    pictures: Callable[[np.ndarray], Tensor], labels: np.ndarray, rows: np.ndarray, count: int = 32
) -> dict[str, Tensor]:
    """Return some training pictures as the network sees them.

    Args:
        pictures: From rows to uint8 (n, 3, S, S).
        labels: The class of every row.
        rows: The training rows.
        count: How many at most, drawn at random.
    """
    chosen = np.random.default_rng(0).permutation(rows)[:count]
    return {"image": pictures(chosen), "label": torch.from_numpy(labels[chosen])}


def framed_grid(images: Tensor, labels: Tensor, columns: int = 8, limit: int = 32) -> Tensor:
    """Return one uint8 picture (3, H, W): a grid, defective framed in orange, normal in blue."""
    border = max(2, images.shape[-1] // 48)
    colours = torch.tensor([[213, 94, 0], [0, 114, 178]], dtype=torch.uint8)
    framed = torch.nn.functional.pad(images[:limit], [border] * 4)
    edge = torch.nn.functional.pad(torch.zeros_like(images[:1, :1]), [border] * 4, value=1).bool()
    paint = colours[labels[:limit]].view(-1, 3, 1, 1)
    framed = torch.where(edge, paint, framed)
    framed = torch.nn.functional.pad(framed, [border] * 4, value=255)
    missing = -len(framed) % min(columns, len(framed))
    blank = torch.full((missing, *framed.shape[1:]), 255, dtype=torch.uint8)
    cells = torch.cat([framed, blank])
    rows = torch.split(cells, min(columns, len(framed)))
    return torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)


def log_split(writer: SummaryWriter, split: str, rows: pd.DataFrame, step: int) -> None:
    """Log a split's confusion table, ROC and precision-recall curves and score histogram.

    Args:
        writer: Where to.
        split: Its name, the prefix of the tags.
        rows: Its predictions.
        step: The epoch that the scores come from.
    """
    drawn = {
        "confusion": figures.confusion_figure(verdict_counts(rows)),
        "scores": figures.score_histogram_figure(rows),
    }
    if rows["label"].nunique() == len(CLASS_NAMES):
        drawn["roc"] = figures.roc_figure(rows)
        drawn["precision_recall"] = figures.precision_recall_figure(rows)
    for name, figure in drawn.items():
        writer.add_figure(f"{split}/{name}", figure, step, close=False)
    is_normal = (rows["label"] == "normal").to_numpy()
    scores = rows["p_normal"].to_numpy(dtype=float)
    writer.add_pr_curve(f"{split}/normal_is_positive", is_normal, scores, step)
    for name, chosen in (("defective", ~is_normal), ("normal", is_normal)):
        if chosen.any():
            writer.add_histogram(f"{split}/p_normal_of_{name}", scores[chosen], step, bins=50)


def log_report(writer: SummaryWriter, drawn: Mapping[str, Figure], folder: Path, step: int) -> None:
    """Log the report's further figures, and the heatmaps of what was judged wrongly.

    Args:
        writer: Where to.
        drawn: The report's figures by name.
        folder: The run's, with ``heatmaps/`` where maps were drawn.
        step: The epoch that the scores come from.
    """
    for name in ALSO_IN_THE_REPORT:
        if name in drawn:
            writer.add_figure(f"report/{name}", drawn[name], step, close=False)
    for kind in ("escape", "overkill", "doubtful"):
        paths = sorted((folder / "heatmaps").glob(f"{kind}_*.jpg"))[:HEATMAPS_SHOWN]
        if paths:
            pictures = [read_rgb(path) for path in paths]
            height, width = np.max([picture.shape[:2] for picture in pictures], axis=0)
            padded = [
                np.pad(p, ((0, height - p.shape[0]), (0, width - p.shape[1]), (0, 0)))
                for p in pictures
            ]
            writer.add_image(f"heatmaps/{kind}", np.concatenate(padded), step, dataformats="HWC")


def log_hparams(
    writer: SummaryWriter,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    *,
    cached: bool = False,
) -> None:
    """Fill the HPARAMS tab: hyperparameters beside the final figures.

    Args:
        writer: The run's own writer, so that the tab's row is the run and no new folder.
        config: The resolved configuration.
        metrics: What ``metrics.json`` holds.
        cached: Whether the head was trained on cached features, where keys of pictures' batches
            have no effect.
    """
    node = OmegaConf.create(dict(config))
    left_out = NOT_OF_CACHED if cached else ("finetune.cached_batch_size",)
    names = [name for name in HYPERPARAMETERS if name not in left_out]
    values = {name: OmegaConf.select(node, name) for name in names}
    shown = {k: v for k, v in values.items() if isinstance(v, bool | int | float | str)}
    final = {
        f"{split}/{name}": value
        for split in SPLITS
        for name, value in plain_metrics(metrics.get(split, {})).items()
        if name in HPARAM_METRICS and np.isfinite(value)
    }
    # SummaryWriter.add_hparams would open another run; PyTorch types neither of these two
    file_writer = writer._get_file_writer()  # type: ignore[no-untyped-call]
    named = {f"{VERDICT}/{key}": value for key, value in final.items()}
    for summary in hparams_summaries(shown, named):  # type: ignore[no-untyped-call]
        file_writer.add_summary(summary)
    for name, value in final.items():
        writer.add_scalar(f"{VERDICT}/{name}", value)


def log_leak(writer: SummaryWriter, metrics: Mapping[str, Any]) -> None:
    """Log, as text beside the verdict, what the split leaks and what floors get on it.

    Args:
        writer: Where to.
        metrics: What ``metrics.json`` holds.
    """
    lines = leak_sentences(metrics)
    if "floors" in metrics:
        lines.append(floor_sentence(metrics["floors"]))
    if lines:
        writer.add_text(f"{VERDICT}/leak_and_floors", "  \n".join(lines))


def plain_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Flatten one split's metrics to names and numbers."""
    flat: dict[str, float] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            inner = value.get("value") if "value" in value else None
            if inner is not None:
                flat[key] = float(inner)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[key] = float(value)
    return flat
