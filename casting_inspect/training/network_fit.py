"""Fits a network with Lightning, as often as a run needs, each time from the same start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.console import Console
from torch import nn

from casting_inspect.data.module import CastingDataModule
from casting_inspect.models.protocol import is_split
from casting_inspect.training import assembly
from casting_inspect.training.checkpoints import RunCheckpoints, complete, load, network_state
from casting_inspect.training.classifier import CastingClassifier
from casting_inspect.training.device_loader import fits_device
from casting_inspect.training.features import CachedFeatures
from casting_inspect.training.fitting import Fitted, Rows
from casting_inspect.training.loaders import Bench, Choices, Loaders
from casting_inspect.training.optimizer import updates_in_one_pass
from casting_inspect.training.panel import Panel, panel_rows
from casting_inspect.training.precision import (
    allow_tf32,
    autocast,
    cheap_device_checks,
    device_of,
    resolve_accelerator,
    resolve_precision,
)
from casting_inspect.training.run_folder import RunFolder, RunRecord
from casting_inspect.training.strategy import ON_FEATURES, backbone_keys, resolve_strategy
from casting_inspect.training.tensorboard import log_start, training_sample
from casting_inspect.training.weighting import loss_weights


def set_up(config: DictConfig, *, trusted: bool) -> Bench:
    """Build the network and decide device, precision and what learns.

    Args:
        config: The composed configuration.
        trusted: False for a configuration that was not typed but read from a run folder.
    """
    accelerator = resolve_accelerator(config.trainer.accelerator)
    precision = resolve_precision(config.trainer.precision, accelerator)
    channels_last = config.trainer.channels_last
    if channels_last == "auto":
        # the layout that bf16 and fp16 convolutions are written for
        channels_last = precision != "32-true"
    network = assembly.build_model(config, channels_last=bool(channels_last), trusted=trusted)
    strategy = resolve_strategy(config.finetune.strategy, network)
    cached = strategy in ON_FEATURES and config.finetune.cached and is_split(network)
    device = device_of(accelerator, assembly.plain(config.trainer.devices))
    choices = Choices(accelerator, device, precision, strategy, bool(cached), bool(channels_last))
    if config.augment.device == "cuda" and accelerator != "gpu":
        fits_device("cuda", device, 0)  # says so now, not after the pictures have been read
    if accelerator == "gpu" and not cached:
        allow_tf32()
    if config.trainer.compile and not cached:
        network.compile()
    fixed = backbone_keys(network) if strategy in ON_FEATURES and is_split(network) else set()
    state = network.state_dict()
    start = {key: value.clone() for key, value in state.items() if key not in fixed}
    return Bench(choices, network, start)


class NetworkFitter:
    """A `Fitter` of the configured network.

    Args:
        config: The composed configuration.
        data: The pictures, set up.
        bench: What fits share.
        folder: The run's folder; the checkpoint of a fit there is made to stand alone.
        record: The run's record; features that are computed go into it.
        console: The screen.
        plain: The configuration as plain data, for checkpoints.
    """

    def __init__(
        self,
        config: DictConfig,
        data: CastingDataModule,
        bench: Bench,
        folder: RunFolder,
        record: RunRecord,
        console: Console,
        plain: Mapping[str, Any],
    ) -> None:
        self.config = config
        self.data = data
        self.bench = bench
        self.folder = folder
        self.record = record
        self.console = console
        window = list(data.window) if data.window else None
        self.provenance: dict[str, Any] = {"config": dict(plain), "window": window}
        self._loaders: Loaders | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What ``run.json`` says of the network and the ways taken."""
        choices, network = self.bench.choices, self.bench.network
        return {
            "digests": {"weights": getattr(network, "weights_digest", "none")},
            "weights": getattr(network, "weights_name", "none"),
            "paths_taken": {
                "device": str(choices.device),
                "precision": choices.precision,
                "finetune": choices.strategy,
                "cached_features": choices.cached,
                "channels_last": choices.channels_last,
                "fused_optimizer": updates_in_one_pass(self.config.optimizer),
                "tf32": choices.accelerator == "gpu" and not choices.cached,
                "compiled": bool(self.config.trainer.compile) and not choices.cached,
            },
        }

    def describe(self) -> str:
        """Return one line: the network, what learns, on which device."""
        choices, config = self.bench.choices, self.config
        views = config.data.views
        shown = f"{views} augmented views" if views else "one plain view (augment is not used)"
        cached = f" on cached features, {shown} of each training picture" if choices.cached else ""
        return (
            f"{config.model.name}: {choices.strategy}{cached}, {choices.accelerator}, "
            f"{choices.precision}, {config.model.image_size} px"
        )

    def fit(
        self,
        train: Rows,
        watch: Rows | None,
        epochs: int | None,
        where: Path,
        *,
        shown: Rows | None = None,
    ) -> Fitted:
        """Fit the network; see `Fitter`."""
        loaders = self._get_loaders()
        parts = {"val": watch, "test": shown}
        evaluated = {name: rows for name, rows in parts.items() if rows is not None and len(rows)}
        classifier = self._classifier(train, evaluated)
        folder = RunFolder(where)
        callbacks = assembly.build_callbacks(self.config, folder, has_val="val" in evaluated)
        # of nested fits the first one that holds validation pictures out, not the last on all
        first = epochs is None and where in (self.folder.root, self.folder.inner(0))
        if first and self._panel_wanted():
            callbacks.append(self._panel(train, watch))
        checkpoints = next(c for c in callbacks if isinstance(c, RunCheckpoints))
        choices = self.bench.choices
        trainer = assembly.build_trainer(
            self.config,
            folder,
            callbacks,
            accelerator=choices.accelerator,
            # a cached head is small and float32 by decision; autocast would only cost
            precision="32-true" if choices.cached else choices.precision,
            epochs=epochs,
        )
        if where == self.folder.root:
            self._log_start(trainer, train)
        classifier.train()  # as Lightning expects it; each epoch then says what is frozen
        with loaders.threads_for_fit(), cheap_device_checks():
            trainer.fit(
                classifier,
                loaders.train(train),
                [loaders.plain(rows) for rows in evaluated.values()] or None,
                # of an interrupted fit; a new run finds no checkpoint in its folder
                ckpt_path=str(checkpoints.last) if checkpoints.last.exists() else None,
                weights_only=True,
            )
        for logger in trainer.loggers:
            logger.finalize("success")
        if choices.cached and where == self.folder.root:
            complete(checkpoints.best, self.bench.network)

        def score(rows: Rows) -> dict[int, float]:
            # the head alone, where the backbone is frozen and cached
            state = network_state(load(checkpoints.best))
            self.bench.network.load_state_dict(state, strict=not choices.cached)
            return scores_of(classifier, loaders.plain(rows), choices)

        def embed(rows: Rows) -> NDArray[np.float32] | None:
            if loaders.features is not None:
                return stored_vectors(loaders.features, rows)
            return last_inputs_of(classifier, loaders.plain(rows), choices)

        return Fitted(checkpoints.best_epoch + 1, trainer.current_epoch, score, embed)

    def _panel_wanted(self) -> bool:
        """Say whether a panel is drawn; of a compiled network it would be compiled again."""
        asked = self.config.callbacks.panel > 0 and self.config.logger.name == "tensorboard"
        return asked and not (self.config.trainer.compile and not self.bench.choices.cached)

    def _panel(self, train: Rows, watch: Rows | None) -> Panel:
        """Return a panel of validation pictures, of training ones where there is no such part."""
        part, rows = ("training", train) if watch is None else ("validation", watch)
        chosen = panel_rows(self.data, rows, self.config.callbacks.panel)
        return Panel(
            self.bench.network,
            torch.stack([self.data.picture(row) for row in chosen.tolist()]),
            torch.from_numpy(self.data.labels[chosen]),
            part,
            self.bench.choices,
            sparse=self.bench.choices.cached,
        )

    def _get_loaders(self) -> Loaders:
        """Return the loaders, over features computed at the first fit."""
        if self._loaders is None:
            self._loaders = Loaders(self.config, self.data, self.bench, self.record, self.console)
        return self._loaders

    def _classifier(self, train: Rows, evaluated: Mapping[str, Rows]) -> CastingClassifier:
        """Return a module to fit, its network as it was before the first fit."""
        L.seed_everything(self.config.seed, verbose=False)
        network, choices = self.bench.network, self.bench.choices
        network.load_state_dict(self.bench.start, strict=False)
        network.zero_grad(set_to_none=True)
        finetune = self.config.finetune
        weights = loss_weights(
            self.data,
            [train, *evaluated.values()],
            by_group=finetune.sample_weights == "group",
            balanced=finetune.class_weights == "balanced",
        )
        return assembly.build_classifier(
            self.config,
            network,
            strategy=choices.strategy,
            cached=choices.cached,
            weights=weights,
            provenance=self.provenance,
            evaluated=list(evaluated),
        )

    def _log_start(self, trainer: L.Trainer, train: Rows) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                sample = training_sample(self._get_loaders().sample, self.data.labels, train)
                log_start(logger.experiment, self.provenance["config"], sample)


@torch.no_grad()  # as Lightning validates in a fit: a compiled network is not compiled again
def scores_of(
    classifier: CastingClassifier, batches: Iterable[Mapping[str, torch.Tensor]], choices: Choices
) -> dict[int, float]:
    """Return the log-odds of normal by position in the data module's table."""
    classifier.to(choices.device).eval()
    precision = "32-true" if choices.cached else choices.precision
    scores: dict[int, float] = {}
    for number, batch in enumerate(batches):
        moved = {key: value.to(choices.device, non_blocking=True) for key, value in batch.items()}
        with autocast(choices.device, precision):
            indices, log_odds = classifier.predict_step(moved, number)
        scores.update(zip(indices.tolist(), log_odds.tolist(), strict=True))
    return scores


def stored_vectors(features: CachedFeatures, rows: Rows) -> NDArray[np.float32]:
    """Return the stored features of pictures, a grid as the mean over its places, (n, d).

    Training pictures of which augmented views alone are stored are seen by the first of them.
    """
    plain = [keys[0] for keys in features.keys(rows)]
    lacking = set(features.store.missing(plain))
    views = [keys[0] for keys in features.keys(rows, augmented=True)]
    keys = [view if key in lacking else key for key, view in zip(plain, views, strict=True)]
    found = np.asarray(features.store.take(keys), dtype=np.float32)
    return found if found.ndim == 2 else found.reshape(*found.shape[:2], -1).mean(axis=2)


@torch.inference_mode()
def last_inputs_of(
    classifier: CastingClassifier, batches: Iterable[Mapping[str, torch.Tensor]], choices: Choices
) -> NDArray[np.float32] | None:
    """Return what the last linear layer is given for each picture, in order, (n, d).

    Of a network that judges several regions of a picture, one after the other, the mean over them.
    None where there is no such layer or its rows are not of pictures.
    """
    linear = [module for module in classifier.modules() if isinstance(module, nn.Linear)]
    if not linear:
        return None
    given: list[torch.Tensor] = []
    found: list[torch.Tensor] = []

    def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        given.append(inputs[0].float().flatten(1).cpu())

    hook = linear[-1].register_forward_pre_hook(keep)
    try:
        for batch in batches:
            given.clear()
            scores_of(classifier, [batch], choices)
            pictures = len(batch["label"])
            if len(given) != 1 or len(given[0]) % pictures:
                return None
            rows = given[0].reshape(pictures, -1, given[0].shape[1])
            found.append(rows.mean(dim=1))
    finally:
        hook.remove()
    return torch.cat(found).numpy()
