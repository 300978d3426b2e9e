"""After the fit: predictions, metrics and figures in the run folder, in TensorBoard, on screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from torch.utils.tensorboard import SummaryWriter

from casting_inspect.data.module import CastingDataModule
from casting_inspect.data.splits import BY_GROUP
from casting_inspect.errors import UserError
from casting_inspect.evaluation.decisions import Decision
from casting_inspect.evaluation.defect_recall import recall_by_kind_and_size
from casting_inspect.evaluation.evaluate import evaluate_predictions
from casting_inspect.evaluation.figures import curves_figure, save_figure
from casting_inspect.evaluation.predictions import SPLITS, read_predictions, write_predictions
from casting_inspect.evaluation.report.page_figures import page_figures
from casting_inspect.evaluation.report.sources import read_source
from casting_inspect.evaluation.report.write import write_report
from casting_inspect.evaluation.tables import print_metrics
from casting_inspect.evaluation.terms import terms_of
from casting_inspect.files import replace_csv
from casting_inspect.models.floors import is_floor
from casting_inspect.training import tensorboard
from casting_inspect.training.leak_note import leak_notes, pooled_notes
from casting_inspect.training.nested import inner_history
from casting_inspect.training.run_folder import RunFolder
from casting_inspect.training.run_heatmaps import heatmaps_of_run
from casting_inspect.training.strategy import ON_FEATURES
from casting_inspect.training.trained_run import MapChoice

WATCHED = "test seen while training"
MEAN_OF_INNER = "means over the inner folds, which choose the number of epochs"
CONFLICTS_NAMED = 3


@dataclass(frozen=True)
class Protocol:
    """How epochs and threshold came about; the test part had no say in either.

    Attributes:
        inner_folds: Folds of the training part that were held out in turn; 1: a single validation
            part; 0: none.
        chosen_on: What chose them, in words.
        best_epochs: The best epoch of each fit that was watched.
        epochs: Epochs of the fit that is tested.
        best_epoch: The epoch whose state was tested, from 1.
        threshold: On p_normal.
        decision: The rule, its reason and what it found.
        calibration: What turns log-odds into probabilities (``reliability.frozen_calibration``).
        evidence: What the figures are of, where they are not this fit's own.
    """

    inner_folds: int
    chosen_on: str
    best_epochs: list[int]
    epochs: int
    best_epoch: int
    threshold: float | None
    decision: Decision | None
    calibration: dict[str, Any] | None = None
    evidence: str = ""

    def thresholds(self) -> dict[str, float]:
        """Return what the predictions table holds of the decision, by column."""
        return {} if self.decision is None else self.decision.columns()

    def plain_decision(self) -> dict[str, Any] | None:
        """Return the decision as plain data."""
        return None if self.decision is None else asdict(self.decision)


def write_evidence(
    config: DictConfig,
    plain: Mapping[str, Any],
    folder: RunFolder,
    predictions: pd.DataFrame,
    data: CastingDataModule,
    protocol: Protocol,
    *,
    show: bool = True,
) -> dict[str, Any]:
    """Write predictions, metrics, curves, heatmaps, report and TensorBoard's, print the table.

    Every figure is computed from ``predictions.csv`` as written, not from memory.

    Args:
        config: The composed configuration.
        plain: The same as plain data.
        folder: The run folder.
        predictions: The predictions table.
        data: The run's pictures.
        protocol: How the run chose.
        show: Draw heatmaps, write the report and print the tables; not of one fold of several.

    Returns:
        What ``metrics.json`` holds: figures by split, ``protocol``, and ``left_out`` and
        ``conflicts`` of the split.
    """
    write_predictions(predictions, folder.predictions)
    table = read_predictions(folder.predictions)
    notes = {"protocol": asdict(protocol), **split_facts(data)}
    folds = sorted(folder.root.glob("fold_*/"))
    tested = bool((table["split"] == "test").any())
    notes |= pooled_notes(folds) if folds else leak_notes(data, config.data.split, tested=tested)
    metrics = evaluate_predictions(table, folder.root, notes, terms_of(plain["decide"]))
    write_defect_recall(table, data, folder)
    _write_curves(config, folder)
    if show:
        _draw_heatmaps(config, folder)
        write_report(folder.root, folder.predictions, table)
    if config.logger.name == "tensorboard":
        with SummaryWriter(str(folder.root)) as writer:
            cached = config.finetune.strategy in ON_FEATURES and config.finetune.cached
            write_tensorboard(writer, plain, table, metrics, protocol.best_epoch, cached)
            if show:
                drawn = page_figures(read_source(folder.root, folder.predictions, table))
                tensorboard.log_report(writer, drawn, folder.root, protocol.best_epoch)
    if show:
        print_metrics(metrics, note="\n".join(remarks(metrics, data)))
    return metrics


def split_facts(data: CastingDataModule) -> dict[str, Any]:
    """Return what the split left out, and which groups hold both labels, for ``metrics.json``.

    ``left_out`` has the number of files by reason; ``conflicts`` what was done with groups of
    both labels, and each with its files of each class.
    """
    found = data.assignment
    reasons = found.left_out[found.left_out != ""].value_counts().sort_index()
    listed = found.conflicts[["name", "normal", "defective"]].to_dict("records")
    by_file = data.rule.split not in BY_GROUP
    done = "keep: a split by file keeps every file" if by_file else data.rule.on_conflict
    return {
        "left_out": {str(reason): int(count) for reason, count in reasons.items()},
        "conflicts": {"on_conflict": done, "groups": listed},
    }


def remarks(metrics: Mapping[str, Any], data: CastingDataModule) -> list[str]:
    """Return the lines that stand under the headline."""
    wide = "group_wide" in data.frame and bool((data.frame["group_wide"] != "").any())
    lines = [grouping_note(metrics) if wide else "", conflict_note(metrics)]
    for reason, files in metrics["left_out"].items():
        if reason != "both labels":
            lines.append(f"{files} files are in no part: {reason}.")
    protocol = metrics["protocol"]
    if protocol["inner_folds"] == 1:
        lines.append("One validation part alone chose the epoch (data.inner_folds=1).")
    if protocol["evidence"]:
        lines.append(f"These figures are {protocol['evidence']}.")
    return [line for line in lines if line]


def grouping_note(metrics: Mapping[str, Any]) -> str:
    """Return what the headline is under, of a split whose sure and possible links are known."""
    for split in ("test", "val", "train"):
        if split not in metrics:
            continue
        figures = metrics[split]
        if "by_group_wide" not in figures:
            return "Groups by sure links and by possible ones too are the same here."
        value, wide = (
            by["balanced_accuracy_by_group"]["value"] for by in (figures, figures["by_group_wide"])
        )
        if value is None or wide is None:
            return ""
        which = "sure" if figures["headline"]["grouping"] == "group" else "possible"
        return (
            f"Balanced accuracy {100 * value:.1f} % over groups by sure links, {100 * wide:.1f} % "
            f"by possible ones too; the headline is the lower, by {which} links."
        )
    return ""


def conflict_note(metrics: Mapping[str, Any]) -> str:
    """Return how many groups hold both labels and what was done with them, or nothing."""
    found = metrics["conflicts"]
    groups = found["groups"]
    if not groups:
        return ""
    files = sum(group["normal"] + group["defective"] for group in groups)
    named = ", ".join(
        f"{group['name']} ({group['normal']} normal, {group['defective']} defective)"
        for group in groups[:CONFLICTS_NAMED]
    )
    more = ", ..." if len(groups) > CONFLICTS_NAMED else ""
    done = "in no part" if found["on_conflict"] == "drop" else "kept"
    hold = "group holds" if len(groups) == 1 else "groups hold"
    return f"{len(groups)} {hold} both labels, {files} files, {done}: {named}{more}."


def _draw_heatmaps(config: DictConfig, folder: RunFolder) -> None:
    """Draw where the networks saw defects; where that cannot be, say why and go on."""
    asked = config.report
    if asked.heatmaps == "none" or is_floor(str(config.model._target_)):
        return
    try:
        heatmaps_of_run(
            folder.root,
            folder.root,
            which=asked.heatmaps,
            most=asked.most,
            choice=MapChoice(),
            allow_targets=list(config.allow_targets),
        )
    except UserError as error:  # the run itself is whole
        print(f"no heatmaps: {error}")


def _write_curves(config: DictConfig, folder: RunFolder) -> None:
    """Draw the epochs: of the inner fits where there are any, else of the fit itself."""
    history, note = inner_history(folder), MEAN_OF_INNER
    if history is None and folder.history.exists():
        history = pd.read_csv(folder.history)
        note = WATCHED if config.callbacks.watch_test else ""
    if history is not None:
        save_figure(curves_figure(history, note=note), folder.root / "curves.png")


def write_defect_recall(
    table: pd.DataFrame, data: CastingDataModule, folder: RunFolder
) -> pd.DataFrame | None:
    """Write ``recall_by_defect.csv`` where the data set knows its defects."""
    known = data.root / "defects.csv"
    if not (data.root / "synthetic.json").exists():  # a user's file of that name is his own
        return None
    recall = recall_by_kind_and_size(table[table["split"] == "test"], pd.read_csv(known))
    replace_csv(folder.root / "recall_by_defect.csv", recall)
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
    for split in [name for name in SPLITS if name in metrics]:
        rows = table[table["split"] == split]
        tensorboard.log_split(writer, split, rows, best_epoch)
    tensorboard.log_hparams(writer, plain, metrics, cached=cached)
    tensorboard.log_leak(writer, metrics)
    writer.flush()
