"""One run from configuration to evidence: data, features, fit, predictions, metrics, figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import DictConfig
from rich.console import Console

from casting_inspect.data.manifest import dataset_digest, read_manifest, write_manifest
from casting_inspect.data.module import CastingDataModule
from casting_inspect.errors import UserError
from casting_inspect.models.protocol import is_split
from casting_inspect.training import assembly
from casting_inspect.training.aftermath import training_sample, write_evidence
from casting_inspect.training.checkpoints import (
    RunCheckpoints,
    complete,
    load,
    network_state,
)
from casting_inspect.training.classifier import CastingClassifier
from casting_inspect.training.loaders import Choices, Loaders
from casting_inspect.training.precision import (
    autocast,
    device_of,
    resolve_accelerator,
    resolve_precision,
)
from casting_inspect.training.run_folder import (
    RunFolder,
    RunRecord,
    held,
    read_record,
    write_config,
)
from casting_inspect.training.strategy import resolve_strategy
from casting_inspect.training.tensorboard import log_start


def run_experiment(
    config: DictConfig, run_dir: Path, command: list[str], resume: bool = False
) -> dict[str, Any]:
    """Train, score and measure one configuration.

    Args:
        config: The composed configuration.
        run_dir: The run folder, made if missing.
        command: The command line, for the record.
        resume: Go on from ``checkpoints/last.ckpt``; a finished run is left as it is.

    Returns:
        What ``metrics.json`` holds: figures for each split; nothing with
        ``trainer.evaluate=false``.

    Raises:
        UserError: For anything that the user can mend.
    """
    folder = RunFolder(run_dir)
    with held(folder, resume=resume):
        plain = write_config(config, folder)
        record = RunRecord(folder, command)
        with record.ended():
            return _run(config, plain, folder, record, resume)


def _run(
    config: DictConfig, plain: dict[str, Any], folder: RunFolder, record: RunRecord, resume: bool
) -> dict[str, Any]:
    console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    data = assembly.build_data(config)
    choices, network = _choose(config, trusted=not resume)
    if resume:
        _check_same(folder, data, network)
    write_manifest(data.frame, folder.manifest)
    record.update(
        seeds={"seed": config.seed, "partition": config.data.partition, "fold": config.data.fold},
        digests={
            "data": dataset_digest(data.frame),
            "weights": getattr(network, "weights_digest", "none"),
        },
        weights=getattr(network, "weights_name", "none"),
        paths_taken={
            "device": str(choices.device),
            "precision": choices.precision,
            "finetune": choices.strategy,
            "cached_features": choices.cached,
            "channels_last": choices.channels_last,
            "compiled": bool(config.trainer.compile) and not choices.cached,
        },
        window=data.window,
    )
    console.print(_describe(data, choices, config))

    provenance = {"config": plain, "window": list(data.window) if data.window else None}
    loaders = Loaders(config, data, choices, network, record, console)
    evaluated = loaders.evaluated
    classifier = assembly.build_classifier(
        config,
        network,
        strategy=choices.strategy,
        cached=choices.cached,
        train_labels=data.labels[data.rows("train")],
        provenance=provenance,
        evaluated=evaluated,
    )
    trainer, checkpoints = _fit(config, folder, classifier, loaders, choices, record, resume)
    outcome = {"epochs": trainer.current_epoch, "best_epoch": checkpoints.best_epoch + 1}
    if choices.cached:
        complete(checkpoints.best, network)
    if not config.trainer.evaluate:
        record.finish(**outcome)
        console.print(f"{trainer.global_step} steps done; trainer.evaluate=false: nothing measured")
        return {}
    with record.timed("predict"):
        network.load_state_dict(network_state(load(checkpoints.best)))
        scores = {
            split: score(classifier, loaders.plain(split), choices)
            for split in ("val", "test")
            if len(data.rows(split))
        }
    predictions = predictions_table(config, data, scores)
    with record.timed("evaluate"):
        metrics = write_evidence(
            config,
            plain,
            folder,
            predictions,
            data,
            trainer,
            best_epoch=checkpoints.best_epoch + 1,
            cached=choices.cached,
        )
    record.finish(**outcome)
    return metrics


def _describe(data: CastingDataModule, choices: Choices, config: DictConfig) -> str:
    parts = []
    for split in ("train", "val", "test"):
        rows = data.rows(split)
        normal = int(data.labels[rows].sum())
        parts.append(f"{split} {len(rows)} ({len(rows) - normal} defective, {normal} normal)")
    views = config.data.views
    shown = f"{views} augmented views" if views else "one plain view (augment is not used)"
    cached = f" on cached features, {shown} of each training picture" if choices.cached else ""
    return (
        f"pictures: {', '.join(parts)} from {data.root}\n"
        f"{config.model.name}: {choices.strategy}{cached}, {choices.accelerator}, "
        f"{choices.precision}, {config.model.image_size} px"
    )


def _choose(config: DictConfig, *, trusted: bool) -> tuple[Choices, torch.nn.Module]:
    accelerator = resolve_accelerator(config.trainer.accelerator)
    precision = resolve_precision(config.trainer.precision, accelerator)
    channels_last = config.trainer.channels_last
    if channels_last == "auto":
        # the layout that bf16 and fp16 convolutions are written for
        channels_last = precision != "32-true"
    network = assembly.build_model(config, channels_last=bool(channels_last), trusted=trusted)
    strategy = resolve_strategy(config.finetune.strategy, network)
    cached = strategy == "frozen" and config.finetune.cached and is_split(network)
    device = device_of(accelerator, assembly.plain(config.trainer.devices))
    choices = Choices(accelerator, device, precision, strategy, bool(cached), bool(channels_last))
    if config.trainer.compile and not cached:
        network.compile()
    return choices, network


def _check_same(folder: RunFolder, data: CastingDataModule, network: torch.nn.Module) -> None:
    """Refuse to go on with other pictures, groups, parts or weights than the run began with."""
    if not folder.manifest.exists():
        return
    what = ["path", "label", "group", "split", "sha256"]
    before = read_manifest(folder.manifest)[what].astype(str).reset_index(drop=True)
    if not before.equals(data.frame[what].astype(str).reset_index(drop=True)):
        raise UserError(
            f"pictures, labels, groups or split of {data.root} are not those that the run in "
            f"{folder.root} began with ({folder.manifest}): bring them back, or start a new run"
        )
    digest = read_record(folder.record).get("digests", {}).get("weights")
    if digest and digest != getattr(network, "weights_digest", "none"):
        raise UserError(
            f"model.weights is another file than the run in {folder.root} began with: bring it "
            "back, or start a new run"
        )


def _fit(
    config: DictConfig,
    folder: RunFolder,
    classifier: CastingClassifier,
    loaders: Loaders,
    choices: Choices,
    record: RunRecord,
    resume: bool,
) -> tuple[L.Trainer, RunCheckpoints]:
    has_val = "val" in loaders.evaluated
    callbacks = assembly.build_callbacks(config, folder, has_val=has_val)
    checkpoints = next(c for c in callbacks if isinstance(c, RunCheckpoints))
    trainer = assembly.build_trainer(
        config,
        folder,
        callbacks,
        accelerator=choices.accelerator,
        # a cached head is small and float32 by decision; autocast would only cost
        precision="32-true" if choices.cached else choices.precision,
    )
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            sees_augmented = not choices.cached or config.data.views > 0
            sample = training_sample(loaders.data, augmented=sees_augmented)
            log_start(logger.experiment, classifier.provenance["config"], sample)
    classifier.train()  # as Lightning expects it; each epoch then says what is frozen
    with record.timed("fit"), loaders.threads_for_fit():
        trainer.fit(
            classifier,
            loaders.train(),
            [loaders.plain(split) for split in loaders.evaluated] or None,
            ckpt_path=str(checkpoints.last) if resume and checkpoints.last.exists() else None,
            weights_only=True,
        )
    return trainer, checkpoints


@torch.inference_mode()
def score(
    classifier: CastingClassifier, batches: Iterable[Mapping[str, torch.Tensor]], choices: Choices
) -> dict[int, float]:
    """Return the log-odds of normal by position in the data module's table."""
    classifier.to(choices.device).eval()
    precision = "32-true" if choices.cached else choices.precision
    scores: dict[int, float] = {}
    for number, batch in enumerate(batches):
        moved = {key: value.to(choices.device) for key, value in batch.items()}
        with autocast(choices.device, precision):
            indices, log_odds = classifier.predict_step(moved, number)
        scores.update(zip(indices.tolist(), log_odds.tolist(), strict=True))
    return scores


def predictions_table(
    config: DictConfig, data: CastingDataModule, scores: Mapping[str, Mapping[int, float]]
) -> pd.DataFrame:
    """Return the predictions table: one row a validation or test file, in the manifest's order."""
    parts = []
    for split, by_row in scores.items():
        rows = np.fromiter(by_row, dtype=np.int64)
        log_odds = np.fromiter(by_row.values(), dtype=np.float64)
        table = data.frame.iloc[rows][["path", "label", "group"]].reset_index(drop=True)
        table["split"] = split
        table["p_normal"] = 1 / (1 + np.exp(-log_odds))
        table["logit"] = log_odds
        for column in ("lot", "part", "capture", "kind"):
            known = column in data.frame
            table[column] = data.frame[column].iloc[rows].to_numpy() if known else ""
        parts.append(table)
    table = pd.concat(parts, ignore_index=True)
    # without groups every file is its own
    table["group"] = table["group"].where(table["group"] != "", table["path"])
    return table.assign(
        fold=config.data.fold,
        seed=config.seed,
        model=config.model.name,
        partition=config.data.partition,
        inner="",
        threshold=config.decide.threshold,
    )
