"""Checkpoints: written in one step, read as plain data, and merged into a whole network."""

from __future__ import annotations

import math
import operator
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import nn

from casting_inspect.errors import UserError
from casting_inspect.files import replacing
from casting_inspect.models.build import build_network
from casting_inspect.training.classifier import CHECKPOINT_FORMAT, CHECKPOINT_KEY


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames; reads with ``weights_only=True``, always.

    Lightning's own writer goes through the system's temporary folder, from where a move to
    another disk is a copy that a kill can cut short.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Save a checkpoint in one step."""
        del storage_options
        save(checkpoint, Path(path))

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Load a checkpoint of tensors and plain data."""
        del weights_only
        return load(Path(path), map_location)


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint to ``path`` in one step.

    Raises:
        UserError: If the disk is full or the folder cannot be written.
    """
    try:
        with replacing(path) as temporary:
            torch.save(checkpoint, temporary)
    except (OSError, RuntimeError) as error:
        raise UserError(f"the checkpoint {path} cannot be written: {error}") from error


def load(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint; nothing in it is executed.

    Raises:
        UserError: If it is missing, damaged, holds more than tensors and plain data, or was not
            written by this package.
    """
    try:
        with warnings.catch_warnings():
            # of a file that is no checkpoint it says so itself, over several lines
            warnings.simplefilter("ignore")
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"there is no checkpoint {path}: did the run finish an epoch?") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"the checkpoint {path} is damaged, or holds something other than tensors and plain "
            "data, and is not loaded"
        ) from error
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"the checkpoint {path} is damaged: {error}") from error
    ours = checkpoint.get(CHECKPOINT_KEY) if isinstance(checkpoint, dict) else None
    if ours is None:
        raise UserError(f"{path} is not a checkpoint of casting_inspect")
    if ours["format"] > CHECKPOINT_FORMAT:
        raise UserError(
            f"the checkpoint {path} has format {ours['format']}, this version reads up to "
            f"{CHECKPOINT_FORMAT}: update casting_inspect"
        )
    result: dict[str, Any] = checkpoint
    return result


class RunCheckpoints(Checkpoint):
    """Keeps ``best.ckpt`` and ``last.ckpt``, both written at the end of an epoch.

    Lightning's ModelCheckpoint remembers its best by absolute path, so a run folder that was
    moved forgets it, and writes ``last`` only when ``best`` was written; here the state is the
    best value and its epoch.

    Args:
        folder: Where the two files go.
        monitor: A logged value, or None to call the last epoch the best.
        mode: ``min`` or ``max``: which way the value is better; of equal ones the first is kept.
    """

    def __init__(self, folder: Path, monitor: str | None, mode: str = "min") -> None:
        self.folder = folder
        self.monitor = monitor
        self.mode = mode
        self.best_value: float | None = None
        self.best_epoch = -1

    @property
    def best(self) -> Path:
        """The file of the best epoch."""
        return self.folder / "best.ckpt"

    @property
    def last(self) -> Path:
        """The file of the last finished epoch, from which a run resumes."""
        return self.folder / "last.ckpt"

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write ``best.ckpt`` if this epoch is the best so far, then ``last.ckpt``."""
        del pl_module
        if self._improved(trainer):
            self.best_epoch = trainer.current_epoch
            trainer.save_checkpoint(self.best)
        trainer.save_checkpoint(self.last)

    def _improved(self, trainer: Trainer) -> bool:
        if self.monitor is None:
            return True
        if self.monitor not in trainer.callback_metrics:
            known = ", ".join(sorted(trainer.callback_metrics))
            raise UserError(f"callbacks.checkpoint.monitor={self.monitor} is not logged: {known}")
        value = float(trainer.callback_metrics[self.monitor])
        better = {"min": operator.lt, "max": operator.gt}[self.mode]
        if self.best_value is not None and not better(value, self.best_value):
            return False
        if math.isnan(value):
            return False
        self.best_value = value
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and its epoch."""
        return {"best_value": self.best_value, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the best value and its epoch."""
        self.best_value = state_dict["best_value"]
        self.best_epoch = state_dict["best_epoch"]


def network_state(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return the network's part of a checkpoint's state, without the ``network.`` prefix."""
    prefix = "network."
    return {
        key[len(prefix) :]: value
        for key, value in checkpoint["state_dict"].items()
        if key.startswith(prefix)
    }


def complete(path: Path, network: nn.Module) -> None:
    """Put the network's whole state into a checkpoint that a cached run wrote without backbone.

    Afterwards the file can be loaded without the pretrained weights at hand.
    """
    checkpoint = load(path)
    whole = {f"network.{key}": value.detach().cpu() for key, value in network.state_dict().items()}
    checkpoint["state_dict"] = {**whole, **checkpoint["state_dict"]}
    save(checkpoint, path)


def load_network(
    path: Path, allow_targets: tuple[str, ...] = ()
) -> tuple[nn.Module, dict[str, Any]]:
    """Build the network that a complete checkpoint describes.

    Args:
        path: A ``best.ckpt``.
        allow_targets: Classes outside this package, torch.nn and torchvision.models that may be
            instantiated, such as ``("my_package.Net",)``.

    Returns:
        The network in evaluation mode on the CPU, and the provenance stored with it.

    Raises:
        UserError: If the checkpoint is damaged or its target is not allowed.
    """
    checkpoint = load(path)
    provenance = checkpoint[CHECKPOINT_KEY]
    model = dict(provenance["config"]["model"])
    if "weights" in model:
        model["weights"] = "none"
    network = build_network(model, allow_targets=allow_targets, trusted=False)
    missing, unexpected = network.load_state_dict(network_state(checkpoint), strict=False)
    if missing or unexpected:
        raise UserError(
            f"the checkpoint {path} does not fit its network: missing {list(missing)[:3]}, "
            f"unexpected {list(unexpected)[:3]}"
        )
    return network.eval(), provenance
