"""Pictures that lie on the device that trains: batches are cut, changed and expanded there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import torch
from torch import Tensor

from casting_inspect.data.crew import Crew
from casting_inspect.data.device_augment import DeviceAugmenter
from casting_inspect.data.module import CastingDataModule
from casting_inspect.data.row_store import GIGABYTE
from casting_inspect.errors import UserError
from casting_inspect.training.feature_loader import OrderedBatches

SHARE_OF_MEMORY: Final = 0.25
"""Of the device's memory that pictures may take; the network needs the rest."""
_CHUNK: Final = 512


class DevicePixels:
    """Pictures of a data module as one uint8 table on a device, one channel if all are grey.

    Args:
        data: The pictures, set up; best kept (`CastingDataModule.keep_pixels`) before.
        rows: Rows of its ``frame``, ascending.
        device: Where they go.
    """

    def __init__(self, data: CastingDataModule, rows: np.ndarray, device: torch.device) -> None:
        self.device = device
        side, channels = data.image_size, data.channels(rows)
        shape = (len(rows), channels, side, side)
        self.values = torch.empty(shape, dtype=torch.uint8, device=device)
        self._places = np.full(len(data.frame), -1, dtype=np.int64)
        self._places[rows] = np.arange(len(rows))
        with ThreadPoolExecutor(Crew().workers) as pool:
            for start in range(0, len(rows), _CHUNK):
                some = pool.map(data.pixels, rows[start : start + _CHUNK].tolist())
                # a grey picture among coloured ones is written to all three
                planes = [np.broadcast_to(one.transpose(2, 0, 1), shape[1:]) for one in some]
                stacked = torch.from_numpy(np.stack(planes))
                self.values[start : start + len(planes)] = stacked.to(device)

    @staticmethod
    def size(data: CastingDataModule, rows: np.ndarray) -> int:
        """Return the bytes that a table of these rows takes."""
        return len(rows) * data.channels(rows) * data.image_size**2

    def take(self, rows: np.ndarray) -> Tensor:
        """Return uint8 (B, C, S, S) of rows of the data module's ``frame``."""
        places = torch.from_numpy(self._places[rows])
        return self.values[places.to(self.device, non_blocking=True)]


def fits_device(configured: str, device: torch.device, needed: int) -> bool:
    """Say whether pictures lie on the device and are changed there.

    By the size of its memory and not by what is free of it: every fold shall go the same way.

    Args:
        configured: ``augment.device``: ``auto``, ``cpu`` or ``cuda``.
        device: Where the network is.
        needed: Bytes that the pictures take.

    Raises:
        UserError: If they are to lie on a CUDA device and there is none, or it is too small.
    """
    if device.type != "cuda":
        if configured == "cuda":
            raise UserError(
                "augment.device=cuda needs trainer=gpu: leave it out, or train on a CUDA device"
            )
        return False
    room = SHARE_OF_MEMORY * torch.cuda.get_device_properties(device).total_memory
    if configured == "cuda" and needed > room:
        raise UserError(
            f"augment.device=cuda: the pictures take {needed / GIGABYTE:.2f} GB and may take "
            f"{room / GIGABYTE:.2f} GB of the device's memory: use augment.device=cpu or a smaller "
            "model.image_size"
        )
    return configured != "cpu" and needed <= room


class DeviceLoader(OrderedBatches):
    """Batches of ``image`` uint8 (B, 3, S, S), ``label`` and ``index``, on the pictures' device.

    Args:
        pixels: The pictures.
        labels: The class of each, (n,).
        rows: Their rows, (n,).
        batch_size: Pictures a batch; the last one may be smaller.
        augmenter: Changes pictures, or None to give them plain.
        shuffle: Whether each epoch has an order of its own.
        seed: Of the order.
    """

    def __init__(
        self,
        pixels: DevicePixels,
        labels: np.ndarray,
        rows: np.ndarray,
        batch_size: int,
        *,
        augmenter: DeviceAugmenter | None = None,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(labels, rows, batch_size, shuffle=shuffle, seed=seed, device=pixels.device)
        self.pixels = pixels
        self.augmenter = augmenter
        self._rows = rows

    def inputs(self, chosen: np.ndarray) -> dict[str, Tensor]:
        """Return the pictures at these positions."""
        rows = self._rows[chosen]
        images = self.pixels.take(rows)
        if self.augmenter is not None:
            images = self.augmenter(images, self.sampler.epoch, rows)
        return {"image": images.expand(-1, 3, -1, -1).contiguous()}
