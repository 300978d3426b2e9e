"""A panel of a few pictures, the same ones each time, that shows a fit at work in TensorBoard."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from torch import Tensor, nn

from casting_inspect.data.module import CastingDataModule
from casting_inspect.errors import UserError
from casting_inspect.evaluation.overlays import overlay
from casting_inspect.evaluation.pointing import peak
from casting_inspect.labels import DEFECTIVE, NORMAL
from casting_inspect.models import maps
from casting_inspect.training.fitting import Rows
from casting_inspect.training.loaders import Choices
from casting_inspect.training.neighbours import one_of_each
from casting_inspect.training.precision import autocast
from casting_inspect.training.tensorboard import framed_grid

SIDE: Final = 224
"""Pixels of a picture's longer side; its map stands beside it."""
SMOOTH: Final = 0.02
_STRIP: Final = 24
_WHITE: Final = (255, 255, 255)
_WRONG: Final = (255, 150, 60)


class Panel(Callback):
    """Draws maps of evidence and verdicts of the same pictures after some of the epochs.

    After epochs 1, 2, 4, 8, ... and the last; with ``sparse`` after the first and the last, for a
    head on cached features learns faster than the backbone shows a picture. It changes nothing of
    the fit.

    Args:
        network: What is trained, with its backbone.
        images: uint8 (N, 3, S, S).
        labels: int64 (N,).
        part: ``validation`` or ``training``: where the pictures come from.
        choices: Device and precision of the run.
        sparse: Draw seldom.
    """

    def __init__(
        self,
        network: nn.Module,
        images: Tensor,
        labels: Tensor,
        part: str,
        choices: Choices,
        *,
        sparse: bool = False,
    ) -> None:
        self.network = network
        self.images = images
        self.labels = labels
        self.tag = f"panel/{part}_pictures_orange_is_defective_blue_is_normal"
        self.choices = choices
        self.sparse = sparse
        self._ended = self._drawn = 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw if it is this epoch's turn."""
        del pl_module
        self._ended = trainer.current_epoch + 1
        if self._ended == 1 or (not self.sparse and self._ended & (self._ended - 1) == 0):
            self._draw(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the last epoch, whichever it was."""
        del pl_module
        if self._ended > self._drawn:
            self._draw(trainer)

    def _draw(self, trainer: Trainer) -> None:
        self._drawn = self._ended
        p_normal, heats = looked_at(self.network, self.images, self.choices)
        picture = panel_picture(self.images, self.labels, p_normal, heats)
        wrong = (p_normal > 0.5) != (self.labels.numpy() == NORMAL)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(self.tag, picture, self._ended)
                logger.experiment.add_scalar("panel/wrong", int(wrong.sum()), self._ended)


def panel_rows(data: CastingDataModule, rows: Rows, count: int) -> Rows:
    """Return at most so many rows, half of each class as far as there are, a casting once."""
    known = one_of_each(data, rows)
    shuffled = np.random.default_rng(0).permutation(known)
    normal = data.labels[shuffled] == NORMAL
    defective, good = shuffled[~normal], shuffled[normal]
    half = max(count // 2, count - len(good))
    return np.concatenate([defective[:half], good[: count - min(half, len(defective))]])


def looked_at(
    network: nn.Module, images: Tensor, choices: Choices
) -> tuple[NDArray[np.float64], NDArray[np.float32] | None]:
    """Return p_normal (N,) and maps (N, S, S) of pictures, None where a network has none.

    Every module is left in the mode that it was in.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    shown = images.to(choices.device).float().div(255)
    try:
        with autocast(choices.device, choices.precision):
            try:
                logits, found = maps.picture_maps(network, shown, smooth=SMOOTH)
            except UserError:  # a network of the user's own without a layer that has places
                with torch.no_grad():
                    logits, found = network(shown), None
    finally:
        for module, mode in modes:
            module.training = mode
    log_odds = logits.detach().double().cpu()
    p_normal = torch.sigmoid(log_odds[:, NORMAL] - log_odds[:, DEFECTIVE]).numpy()
    return p_normal, None if found is None else found.cpu().numpy()


def panel_picture(
    images: Tensor,
    labels: Tensor,
    p_normal: NDArray[np.float64],
    heats: NDArray[np.float32] | None,
) -> Tensor:
    """Return one uint8 picture (3, H, W): each picture beside its map, verdict written below."""
    tiles = []
    for at, image in enumerate(images):
        picture = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        heat = np.zeros((1, 1), np.float32) if heats is None else heats[at]
        tile = overlay(picture, heat, *(peak(heat) if heats is not None else (-1, -1)), side=SIDE)
        wrong = bool((p_normal[at] > 0.5) != (int(labels[at]) == NORMAL))
        words = f"p_normal {p_normal[at]:.2f}{'  WRONG' if wrong else ''}"
        tiles.append(torch.from_numpy(_captioned(tile, words, _WRONG if wrong else _WHITE)))
    return framed_grid(torch.stack(tiles).permute(0, 3, 1, 2), labels, columns=2)


def _captioned(tile: NDArray[np.uint8], words: str, colour: tuple[int, int, int]) -> Any:
    """Return a picture with a line of text below it."""
    strip = np.zeros((_STRIP, *tile.shape[1:]), np.uint8)
    cv2.putText(
        strip, words, (6, _STRIP - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA
    )
    return np.concatenate([tile, strip])
