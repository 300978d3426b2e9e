"""From the configuration to the objects of a run: data, network, classifier, trainer."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch import Callback
from omegaconf import DictConfig, OmegaConf
from torch import nn

from casting_inspect.data.module import CastingDataModule
from casting_inspect.data.synthetic import SyntheticConfig, ensure_castings
from casting_inspect.files import cache_root
from casting_inspect.models.build import build_network
from casting_inspect.training import schedule
from casting_inspect.training.callbacks import (
    History,
    ResumableEarlyStopping,
    progress_callback,
)
from casting_inspect.training.checkpoints import AtomicCheckpointIO, RunCheckpoints
from casting_inspect.training.classifier import CastingClassifier
from casting_inspect.training.optimizer import optimizer_maker
from casting_inspect.training.run_folder import RunFolder
from casting_inspect.training.tensorboard import EventLogger
from casting_inspect.training.weighting import LossWeights


def build_data(config: DictConfig) -> CastingDataModule:
    """Return the data module of the ``data`` and ``augment`` nodes, set up.

    Without ``data.root`` the synthetic castings are made, once, in the cache. For all folds and
    for the final fit it has the first one's parts (see `CastingDataModule.with_fold`).
    """
    data = config.data
    augment = plain(config.augment)
    options = {key: augment[key] for key in augment if key not in ("name", "device")}
    module = CastingDataModule(
        data_root(data),
        Path(data.manifest) if data.manifest else None,
        split=data.split,
        folds=data.folds,
        fold=data.fold if isinstance(data.fold, int) else 0,
        partition=data.partition,
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
        train_size=data.train_size,
        copies=data.copies,
        inner_folds=data.inner_folds,
        on_conflict=data.on_conflict,
        lot_column=data.lot_column,
        time_column=data.time_column,
        test_from=data.test_from,
        image_size=config.model.image_size,
        fit=data.fit,
        window=plain(data.window) if OmegaConf.is_list(data.window) else data.window,
        batch_size=data.batch_size,
        workers=data.workers,
        augment=config.augment.name,
        augment_options=options,
        seed=config.seed,
        aliases=plain(data.aliases),
        normal=plain(data.normal),
        group_from=data.group_from,
        lot_from=data.lot_from,
        limit=data.limit,
        cache_dir=cache_folder(config) / "pixels",
        cache_gb=config.cache.max_gb,
    )
    module.setup()
    return module


def data_root(data: DictConfig) -> Path:
    """Return the folder of the ``data`` node's pictures; synthetic ones are drawn if need be."""
    if data.root:
        return Path(data.root)
    return ensure_castings(SyntheticConfig.of(plain(data.synthetic)))


def plain(node: Any) -> Any:
    """Return a configuration node as dicts and lists."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def build_model(config: DictConfig, *, channels_last: bool, trusted: bool = True) -> nn.Module:
    """Return the network of the ``model`` node, its new parts drawn from ``seed``.

    Args:
        config: The composed configuration.
        channels_last: The memory order of pictures.
        trusted: False for a configuration that was not typed but read from a run folder.
    """
    L.seed_everything(config.seed, verbose=False)
    allowed = tuple(config.allow_targets)
    network = build_network(config.model, allow_targets=allowed, trusted=trusted)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    return network


def build_classifier(
    config: DictConfig,
    network: nn.Module,
    *,
    strategy: str,
    cached: bool,
    weights: LossWeights,
    provenance: Mapping[str, Any],
    evaluated: list[str],
) -> CastingClassifier:
    """Return the LightningModule of the ``finetune``, ``optimizer`` and ``scheduler`` nodes."""
    finetune = config.finetune
    return CastingClassifier(
        network,
        strategy=strategy,
        cached=cached,
        head_lr=finetune.head_lr,
        backbone_lr=finetune.backbone_lr,
        open_every=finetune.open_every,
        make_optimizer=optimizer_maker(config.optimizer),
        make_schedule=make_schedule(config.scheduler),
        class_weights=weights.classes,
        row_weights=weights.rows,
        seed=config.seed,
        provenance=provenance,
        evaluated=evaluated,
    )


def make_schedule(node: DictConfig) -> Callable[[int, int], Callable[[int], float]]:
    """Return a function from (total steps, steps an epoch) to the factor of the step."""
    kinds: dict[str, Callable[..., Callable[[int], float]]] = {
        "cosine": partial(schedule.warmup_cosine, final_fraction=node.get("final_fraction", 0.0)),
        "constant": schedule.constant,
    }
    kind = kinds[node.name]

    def make(total_steps: int, steps_an_epoch: int) -> Callable[[int], float]:
        return kind(total_steps, round(node.warmup_epochs * steps_an_epoch))

    return make


def build_callbacks(config: DictConfig, folder: RunFolder, *, has_val: bool) -> list[Callback]:
    """Return history, early stopping and progress where configured, and checkpoints.

    Without a validation part nothing is watched: all epochs run and the last is the best.
    """
    callbacks = config.callbacks
    chosen: list[Callback] = [History(folder.history)]
    if callbacks.early_stopping and has_val:
        stopping = callbacks.early_stopping
        chosen.append(
            ResumableEarlyStopping(
                monitor=stopping.monitor,
                mode=stopping.mode,
                patience=stopping.patience,
                min_delta=stopping.min_delta,
            )
        )
    if callbacks.progress_bar:
        chosen.append(progress_callback())
    best = callbacks.checkpoint
    monitor = best.monitor if has_val else None
    chosen.append(RunCheckpoints(folder.checkpoints, monitor, best.mode))
    return chosen


def build_trainer(
    config: DictConfig,
    folder: RunFolder,
    callbacks: list[Callback],
    *,
    accelerator: str,
    precision: str,
    epochs: int | None = None,
) -> L.Trainer:
    """Return the Trainer of the ``trainer`` and ``logger`` nodes.

    Args:
        config: The composed configuration.
        folder: Where the fit's files go.
        callbacks: What happens beside the training.
        accelerator: Resolved.
        precision: Resolved.
        epochs: How many at most; None: as configured.
    """
    quieten()
    # deterministic algorithms would fill all new memory with NaN first: a tenth of a small step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    trainer = config.trainer
    has_bar = any(type(callback).__name__ == "InspectionProgress" for callback in callbacks)
    return L.Trainer(
        accelerator=accelerator,
        devices=plain(trainer.devices),
        precision=precision,  # type: ignore[arg-type]
        max_epochs=epochs or trainer.max_epochs,
        gradient_clip_val=trainer.gradient_clip_val,
        limit_train_batches=trainer.limit_train_batches,
        log_every_n_steps=trainer.log_every_n_steps,
        deterministic=trainer.deterministic,
        callbacks=callbacks,
        logger=build_logger(config, folder),
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder.root,
        enable_checkpointing=True,
        enable_model_summary=False,
        enable_progress_bar=has_bar,
        num_sanity_val_steps=0,
    )


def build_logger(config: DictConfig, folder: RunFolder) -> EventLogger | bool:
    """Return TensorBoard's logger, its events in the run folder, or False."""
    return EventLogger(folder.root) if config.logger.name == "tensorboard" else False


def cache_folder(config: DictConfig) -> Path:
    """Return the folder that holds feature stores and pixel caches."""
    return Path(config.cache.dir) if config.cache.dir else cache_root()


def quieten() -> None:
    """Silence what Lightning says at every start and a user can do nothing about."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    # Lightning 2.6 uses a check that PyTorch 2.15 retires
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated.*")
    # few workers are right here: pixels or features are cached
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*number of training batches.*")
    # the paper's protocol has no validation part
    warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
