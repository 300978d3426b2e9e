"""Rows of a manifest as pictures for a network, and the order in which an epoch takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TypedDict

import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset, Sampler

from casting_inspect.data.augment import Augmenter
from casting_inspect.data.decode import Window, read_square
from casting_inspect.data.pixel_cache import PixelCache
from casting_inspect.errors import UserError
from casting_inspect.labels import CLASS_NAMES


class Sample(TypedDict):
    """One picture: ``image`` uint8 (3, S, S) RGB, its class, and its place in the manifest."""

    image: torch.Tensor
    label: int
    index: int


def start_worker(worker: int) -> None:  # noqa: ARG001 (the DataLoader passes its number)
    """Keep a worker process to one thread; there is a process for every core already.

    It lies here and not beside the loaders so that a spawned worker need not import Lightning.
    """
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


class UnreadablePictureError(UserError):
    """A picture that cannot be read: one line, also when it comes out of a worker process.

    A DataLoader raises a worker's exception anew with the worker's whole traceback as the message;
    the last line of it is what happened.
    """

    def __init__(self, message: str) -> None:
        last = message.strip().splitlines()[-1]
        super().__init__(last.removeprefix(f"{type(self).__module__}.{type(self).__name__}: "))


class CastingDataset(Dataset[Sample]):
    """Pictures of a manifest's rows, decoded, made square, and augmented where asked for.

    Keys are places in the *whole* manifest, which ``frame.index`` holds, so that a part of it
    (``frame.iloc[rows]``) keeps them; `rows` lists those that are here, in order. A key may come
    with its epoch, as `EpochSampler` yields them: an attribute would not reach a worker process
    that outlives the epoch.

    Args:
        frame: Rows of a manifest with ``path`` and ``label``.
        root: The folder that paths start from.
        image_size: Pixels a side, S.
        fit: ``pad`` or ``stretch``, for pictures that are not square.
        window: The linear window for pictures of more than 8 bits, or None.
        augmenter: Changes pictures, or None to give them plain.
        cache: Decoded pictures by their file's digest, the column ``sha256``, or None.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        root: Path,
        image_size: int,
        fit: str = "pad",
        window: Window | None = None,
        augmenter: Augmenter | None = None,
        cache: PixelCache | None = None,
    ) -> None:
        self.rows = frame.index.to_numpy(dtype=np.int64)
        self.root = root
        self.image_size = image_size
        self.fit = fit
        self.window = window
        self.augmenter = augmenter
        self.cache = cache
        labels = [CLASS_NAMES.index(label) for label in frame["label"]]
        pairs = zip(frame["path"].astype(str), labels, strict=True)
        self._files = dict(zip(self.rows.tolist(), pairs, strict=True))
        digests = frame["sha256"] if cache is not None else [""] * len(frame)
        self._digests = dict(zip(self.rows.tolist(), digests, strict=True))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples in the order of `rows`, as epoch 0."""
        return (self[row] for row in self.rows.tolist())

    def __getitem__(self, key: int | tuple[int, int]) -> Sample:
        """Return the sample at a place in the manifest.

        Args:
            key: The place, or (epoch, place); without an epoch it is 0.

        Raises:
            IndexError: If that place is not among `rows`.
            UserError: If the picture cannot be read.
        """
        epoch, index = key if isinstance(key, tuple) else (0, int(key))
        image = self.pixels(index)
        if self.augmenter is not None:
            image = self.augmenter(image, epoch, index)
        planes = image.transpose(2, 0, 1)
        # a grey picture becomes three channels only here, after all that is done to each of them
        whole = np.repeat(planes, 3, axis=0) if len(planes) == 1 else np.array(planes, order="C")
        label = self._file(index)[1]
        return {"image": torch.from_numpy(whole), "label": label, "index": index}

    def pixels(self, index: int) -> np.ndarray:
        """Return the plain picture at a place in the manifest, uint8 (S, S, 3), grey (S, S, 1)."""
        file = self._file(index)[0]
        cached = self.cache.get(self._digests[index]) if self.cache is not None else None
        if cached is not None:
            return cached
        path = self.root / PurePosixPath(file)
        try:
            return read_square(path, self.image_size, self.fit, self.window)
        except UserError as error:
            raise UnreadablePictureError(
                f"{error}; prepare sorts such files out, or take its row out of the manifest"
            ) from error

    def _file(self, index: int) -> tuple[str, int]:
        """Return (path, class) of a place in the manifest."""
        if index not in self._files:
            raise IndexError(
                f"place {index} of the manifest is not among the {len(self)} rows of this data set;"
                " keys are places in the whole manifest: see `rows`"
            )
        return self._files[index]


class EpochSampler(Sampler[tuple[int, int]]):
    """Yield (epoch, index) once for each index; the order is a pure function of (seed, epoch).

    Lightning calls `set_epoch` before every epoch, also after a resume.

    Args:
        indices: Places in the manifest.
        shuffle: Whether each epoch has an order of its own.
        seed: Non-negative integer.
    """

    def __init__(self, indices: Sequence[int] | np.ndarray, shuffle: bool, seed: int) -> None:
        self.indices = np.asarray(indices, dtype=np.int64)
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration belongs to, from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = self.indices
        if self.shuffle:
            order = order[np.random.default_rng([self.seed, self.epoch]).permutation(len(order))]
        return iter([(self.epoch, index) for index in order.tolist()])
