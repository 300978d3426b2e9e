"""Batches of cached features, in an order that is a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from casting_inspect.data.feature_store import FeatureStore

# rows of a set smaller than this are held in memory, larger ones stay mapped
RESIDENT_BYTES = 128 * 1024**2


class FeatureRows:
    """Rows of many pictures by position, from memory when they are few, else mapped.

    Args:
        store: A loaded store that holds every key.
        keys: For each picture the keys of its views, the same number for all.
    """

    def __init__(self, store: FeatureStore, keys: list[list[str]]) -> None:
        self.views = len(keys[0])
        self._keys = [key for views in keys for key in views]
        self._store = store
        size = len(self._keys) * int(np.prod(store.row_shape())) * 2
        self._resident = (
            torch.from_numpy(store.take(self._keys)) if size <= RESIDENT_BYTES else None
        )

    def take(self, positions: np.ndarray, view: np.ndarray) -> Tensor:
        """Return float32 rows (n, ...) of pictures ``positions`` in their ``view``."""
        flat = positions * self.views + view
        if self._resident is not None:
            return self._resident[torch.from_numpy(flat)].float()
        return torch.from_numpy(self._store.take([self._keys[i] for i in flat])).float()


class FeatureTable:
    """Which of a data module's pictures `FeatureRows` hold, and where.

    Args:
        pictures: Positions in the data module's table, ascending, each once.
        rows: Their rows, in that order.
    """

    def __init__(self, pictures: np.ndarray, rows: FeatureRows) -> None:
        self.pictures = pictures
        self.rows = rows

    def places(self, pictures: np.ndarray) -> np.ndarray:
        """Return the places of pictures among the rows.

        Raises:
            KeyError: If one is not there.
        """
        found = np.searchsorted(self.pictures, pictures)
        there = self.pictures[np.minimum(found, len(self.pictures) - 1)] == pictures
        if not there.all():
            raise KeyError(f"no features of picture {pictures[~there][0]}: compute them first")
        return found


class EpochOrder:
    """The order of one epoch, a pure function of (seed, epoch); Lightning sets the epoch."""

    def __init__(self, length: int, *, shuffle: bool, seed: int) -> None:
        self.length = length
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration belongs to."""
        self.epoch = epoch

    def positions(self) -> np.ndarray:
        """Return the positions 0..length-1 in this epoch's order."""
        if not self.shuffle:
            return np.arange(self.length)
        return np.random.default_rng([self.seed, self.epoch]).permutation(self.length)


class OrderedBatches:
    """Batches as dicts of inputs, ``label`` and ``index`` int64, the order one of `EpochOrder`.

    Args:
        labels: The class of each picture, (n,).
        indices: The ``index`` of each picture, (n,).
        batch_size: Pictures a batch; the last one may be smaller.
        shuffle: Whether each epoch has an order of its own.
        seed: Of the order.
        device: Where labels and indices lie.
    """

    batch_sampler = None  # Lightning looks for it wherever there is a sampler

    def __init__(
        self,
        labels: np.ndarray,
        indices: np.ndarray,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        device: torch.device | None = None,
    ) -> None:
        kept = (np.ascontiguousarray(values, dtype=np.int64) for values in (labels, indices))
        self.labels, self.indices = (torch.from_numpy(values).to(device) for values in kept)
        self.batch_size = batch_size
        self.sampler = EpochOrder(len(labels), shuffle=shuffle, seed=seed)

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        positions = self.sampler.positions()
        for start in range(0, len(positions), self.batch_size):
            chosen = positions[start : start + self.batch_size]
            at = torch.from_numpy(chosen).to(self.labels.device, non_blocking=True)
            yield {**self.inputs(chosen), "label": self.labels[at], "index": self.indices[at]}

    def inputs(self, chosen: np.ndarray) -> dict[str, Tensor]:
        """Return what the network is given of the pictures at these positions."""
        raise NotImplementedError


class FeatureLoader(OrderedBatches):
    """Batches of cached rows: ``features`` float32, ``label`` and ``index``.

    With several views a picture, epoch e takes view (e + position) modulo their number.

    Args:
        rows: Where features are taken from.
        labels: The class of each picture, (n,).
        indices: The ``index`` of each picture, (n,).
        batch_size: Pictures a batch; the last one may be smaller.
        places: The place of each picture among ``rows``, (n,).
        shuffle: Whether each epoch has an order of its own.
        seed: Of the order.
    """

    def __init__(
        self,
        rows: FeatureRows,
        labels: np.ndarray,
        indices: np.ndarray,
        batch_size: int,
        *,
        places: np.ndarray,
        shuffle: bool,
        seed: int,
    ) -> None:
        super().__init__(labels, indices, batch_size, shuffle=shuffle, seed=seed)
        self.rows = rows
        self.places = places

    def inputs(self, chosen: np.ndarray) -> dict[str, Tensor]:
        """Return the features at these positions, in this epoch's view."""
        view = (chosen + self.sampler.epoch) % self.rows.views
        return {"features": self.rows.take(self.places[chosen], view)}
