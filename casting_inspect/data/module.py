"""The data of a run: from a folder or a manifest to batches for training, validation and test."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import logging
import multiprocessing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from rich.console import Console
from torch.utils.data import DataLoader

from casting_inspect.cores import usable_cores
from casting_inspect.data.augment import Augmenter
from casting_inspect.data.crew import Crew
from casting_inspect.data.dataset import CastingDataset, EpochSampler, Sample, start_worker
from casting_inspect.data.decode import Window, auto_window
from casting_inspect.data.folds import units_of
from casting_inspect.data.manifest import check_files, dataset_digest, find_manifest
from casting_inspect.data.outcome import recorded_window
from casting_inspect.data.pixel_cache import Kept, PixelCache
from casting_inspect.data.splits import BY_GROUP, Assignment, SplitRule, assign, assign_inner
from casting_inspect.errors import UserError, suggestion
from casting_inspect.files import sha256_of_file
from casting_inspect.labels import CLASS_NAMES

PARTS = ("train", "val", "test")
MOST_WORKERS = 8
_log = logging.getLogger(__name__)


class CastingDataModule(L.LightningDataModule):
    """Pictures of castings, split, made square and batched.

    A batch is a dict of ``image`` uint8 (B, 3, S, S) RGB, ``label`` int64 (B,) (0 defective,
    1 normal) and ``index`` int64 (B,), the row in `frame`. Batches are the same for any number of
    workers and any way to start them.

    Args:
        root: Folder of the pictures: its ``manifest.csv``, or its normal and defective folders.
        manifest: Another table than the folder's own; paths stay relative to ``root``.
        split: ``group``, ``lot``, ``time``, ``file``, ``vendor`` or ``manifest``: see `SplitRule`,
            also for its other attributes, which are keywords here.
        image_size: Pixels a side, S.
        fit: ``pad`` or ``stretch``, for pictures that are not square.
        window: For pictures of more than 8 bits: the two values that become black and white, or
            ``auto``: what `prepare` was given, else quantiles over all training pictures.
        batch_size: Pictures a batch; the last one of an epoch may be smaller.
        workers: Processes that load pictures: 0 is this one, ``auto`` one a core, 8 at most.
        augment: ``none``, ``light`` or ``strong``, for training pictures.
        augment_options: What replaces the named set's: see `Strength`.
        seed: Of order and augmentation, at least 0.
        aliases: Further names of class folders.
        normal: Names of folders with good castings; every other one is a kind of defect then.
        group_from: What names the castings of pictures without a group: see `naming.names_from`.
        lot_from: What names their lots.
        start_method: How workers are started: ``fork``, ``spawn`` or ``forkserver``; None is
            Python's default.
        cache_dir: The folder of all pixel caches, see `keep_pixels`; None: pictures are decoded
            each time.
        cache_gb: Bound on that folder and the feature stores beside it, in units of 10^9 bytes.
        limit: For a trial: pictures a part at most, spread evenly over it and its classes.
        split_options: Further attributes of `SplitRule`.

    Raises:
        UserError: If a value is not valid; from `setup`, if the folder, the manifest or the split
            will not do.
    """

    def __init__(
        self,
        root: Path | str,
        manifest: Path | str | None = None,
        *,
        split: str = "group",
        image_size: int = 224,
        fit: str = "pad",
        window: str | Sequence[float] | None = "auto",
        batch_size: int = 32,
        workers: int | str = 0,
        augment: str = "none",
        augment_options: Mapping[str, Any] | None = None,
        seed: int = 0,
        aliases: Mapping[str, str] | None = None,
        normal: Sequence[str] | None = None,
        group_from: str | None = None,
        lot_from: str | None = None,
        start_method: str | None = None,
        cache_dir: Path | None = None,
        cache_gb: float = 20.0,
        limit: int | None = None,
        **split_options: Any,
    ) -> None:
        super().__init__()
        self.root = Path(root)
        self.manifest = Path(manifest) if manifest is not None else None
        self.rule = SplitRule(split, **split_options)
        self.image_size = _at_least(1, image_size, "model.image_size")
        self.fit = _one_of(("pad", "stretch"), fit, "data.fit")
        self.window = _given_window(window)
        self.batch_size = _at_least(1, batch_size, "data.batch_size")
        self.workers = _worker_count(workers)
        self.seed = _at_least(0, seed, "seed")
        self.augmenter = Augmenter(augment, seed, **(augment_options or {}))
        self.naming: dict[str, Any] = {
            "aliases": dict(aliases or {}),
            "normal": normal,
            "group_from": group_from,
            "lot_from": lot_from,
        }
        if start_method is not None:
            _one_of(multiprocessing.get_all_start_methods(), start_method, "start_method")
        self.start_method = start_method
        self._window_is_auto = window == "auto"
        self.cache_dir = cache_dir
        self.cache_gb = cache_gb
        self._caches: dict[Path, PixelCache] = {}
        self.limit = None if limit is None else _at_least(2, limit, "data.limit")
        self._frame: pd.DataFrame | None = None
        self._assignment: Assignment | None = None
        self.inner_folds = 0
        self._whole: dict[bool, CastingDataset] = {}

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (all parts at once)
        """Read the manifest, find groups where needed, split it, and find the window.

        A second call does nothing.

        Raises:
            UserError: If the folder, the manifest, a file or the split will not do.
        """
        if self._frame is not None:
            return
        frame = find_manifest(self.root, self.manifest, **self.naming)
        # rows by path: order and augmentation go by the row, and the table's own order shall not
        # matter
        frame = frame.sort_values("path", kind="stable", ignore_index=True)
        check_files(frame, self.root)
        frame["sha256"] = [
            digest or sha256_of_file(self.root / path)
            for path, digest in zip(frame["path"], frame["sha256"], strict=True)
        ]
        if self.rule.split in BY_GROUP:
            frame = grouped(frame, self.root)
        self._divide(frame)

    def _divide(self, frame: pd.DataFrame) -> None:
        """Give every row its part and inner fold, and find the window of the training part."""
        frame = frame.copy()
        self._assignment = assign(frame, self.rule)
        frame["split"] = self._assignment.part
        if self.limit is not None:
            frame["split"] = limited(frame, self.limit)
        frame["inner"], self.inner_folds = assign_inner(frame, frame["split"], self.rule)
        if self._window_is_auto:
            training = frame.loc[frame["split"] == "train", "path"]
            chosen = recorded_window(self.root)
            self.window = chosen or auto_window([self.root / path for path in training])
        self._frame = frame
        every = np.arange(len(frame))
        self._whole = {augmented: self._dataset(every, augmented) for augmented in (False, True)}

    def with_fold(self, fold: int | None) -> CastingDataModule:
        """Return the same pictures with another test part; they are not read again.

        Args:
            fold: See `SplitRule`.
        """
        other = copy.copy(self)
        other.rule = dataclasses.replace(self.rule, fold=fold)
        # whatever the vendor's split was, a split by group does not look at it
        other._divide(self.frame)
        return other

    @property
    def assignment(self) -> Assignment:
        """How the rows were split: what was left out and why, groups with both labels."""
        if self._assignment is None:
            raise RuntimeError("CastingDataModule: call setup() first")
        return self._assignment

    @property
    def frame(self) -> pd.DataFrame:
        """The manifest as used: sorted by path, every digest known, ``split`` as assigned.

        ``inner`` is the inner fold that holds a training row out, as text, or empty.
        """
        if self._frame is None:
            raise RuntimeError("CastingDataModule: call setup() first")
        return self._frame

    @property
    def labels(self) -> np.ndarray:
        """The class of every row of `frame`, int64 (rows,)."""
        return np.array([CLASS_NAMES.index(label) for label in self.frame["label"]], dtype=np.int64)

    @property
    def units(self) -> np.ndarray:
        """The number of every row's unit, intp (rows,): see `folds.units_of`."""
        return units_of(self.frame)

    def rows(self, split: str) -> np.ndarray:
        """Return the rows of `frame` in a part, int64, ascending; empty if the part has none."""
        if split not in PARTS:
            raise ValueError(f"split '{split}' must be one of {', '.join(PARTS)}")
        return np.flatnonzero(self.frame["split"] == split).astype(np.int64)

    def inner_rows(self, inner: int) -> np.ndarray:
        """Return the training rows that inner fold ``inner`` holds out, int64, ascending."""
        return np.flatnonzero(self.frame["inner"] == str(inner)).astype(np.int64)

    def dataset(self, split: str, augmented: bool) -> CastingDataset:
        """Return the pictures of a part; keys are rows of `frame`."""
        return self._dataset(self.rows(split), augmented)

    def picture(self, row: int, view: int | None = None) -> torch.Tensor:
        """Return one picture, uint8 (3, S, S); threads may call this.

        Args:
            row: Row of `frame`.
            view: None for the plain picture, else augmented as in the epoch of that number.
        """
        return self._whole[view is not None][view or 0, row]["image"]

    def pixels(self, row: int) -> np.ndarray:
        """Return one plain picture, uint8 (S, S, 3), or (S, S, 1) if grey; threads may call it."""
        return self._whole[False].pixels(row)

    def channels(self, rows: np.ndarray) -> int:
        """Return 1 where all pictures of these rows are kept and grey, else 3."""
        cache = self._whole[False].cache
        if cache is None:
            return 3
        kept = [cache.get(digest) for digest in self.frame["sha256"].to_numpy()[rows].tolist()]
        return 1 if all(one is not None and one.shape[2] == 1 for one in kept) else 3

    def keep_pixels(self, rows: np.ndarray) -> Kept | None:
        """Decode pictures that are not in the cache yet, so that loaders find all of them there.

        Args:
            rows: Rows of `frame`.

        Returns:
            What came of it; None without a cache.
        """
        dataset = self._whole[False]
        if dataset.cache is None:
            return None
        digests = self.frame["sha256"].to_numpy()[rows].tolist()
        pictures = dict(zip(digests, rows.tolist(), strict=True))
        shown = Console(stderr=True).is_terminal
        crew = Crew(progress=shown)
        return dataset.cache.fill(pictures, dataset.pixels, max_gb=self.cache_gb, crew=crew)

    def augmentation_digest(self) -> str:
        """Return a digest of all that decides what an augmented view of a row looks like.

        The data set is part of it, for a row's number depends on which other rows there are.
        """
        what = [
            dataclasses.asdict(self.augmenter.strength),
            self.augmenter.seed,
            dataset_digest(self.frame),
        ]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return augmented training batches, in an order of its own for each epoch."""
        return self.loader(self.rows("train"), augmented=True)

    def val_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Return validation batches in the order of `frame`, or an empty list without that part."""
        return self.plain_dataloader("val") if len(self.rows("val")) else []

    def test_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Return test batches in the order of `frame`, or an empty list without that part."""
        return self.plain_dataloader("test") if len(self.rows("test")) else []

    def predict_dataloader(self) -> DataLoader[Sample]:
        """Return every row that is in a part, plain, in the order of `frame`."""
        return self.loader(np.flatnonzero(self.frame["split"] != "").astype(np.int64))

    def plain_dataloader(self, split: str) -> DataLoader[Sample]:
        """Return a part's batches in the order of `frame`, nothing augmented."""
        return self.loader(self.rows(split))

    def loader(self, rows: np.ndarray, *, augmented: bool = False) -> DataLoader[Sample]:
        """Return batches of any rows of `frame`.

        Args:
            rows: int64 (n,).
            augmented: Changed as in the epoch, in an order of its own for each; else plain, in
                the order given.
        """
        return self._loader(self._dataset(rows, augmented), rows, shuffle=augmented)

    def _dataset(self, rows: np.ndarray, augmented: bool) -> CastingDataset:
        return CastingDataset(
            self.frame.iloc[rows],
            self.root,
            self.image_size,
            fit=self.fit,
            window=self.window,
            augmenter=self.augmenter if augmented else None,
            cache=self._cache(),
        )

    def _cache(self) -> PixelCache | None:
        """Return the cache of pictures of this size, fit and window, the same one to all parts."""
        if self.cache_dir is None:
            return None
        cache = PixelCache(self.cache_dir, self.image_size, self.fit, self.window)
        return self._caches.setdefault(cache.folder, cache)

    def _loader(
        self, dataset: CastingDataset, rows: np.ndarray, *, shuffle: bool
    ) -> DataLoader[Sample]:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=EpochSampler(rows, shuffle, self.seed),
            num_workers=self.workers,
            worker_init_fn=start_worker,
            persistent_workers=self.workers > 0,
            multiprocessing_context=self.start_method if self.workers > 0 else None,
            pin_memory=torch.cuda.is_available(),
            # its own generator: making an iterator draws a number, from the global one otherwise
            generator=torch.Generator().manual_seed(self.seed),
        )


def grouped(frame: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Return a manifest in which every picture has a group, found by the audit where it had none.

    Args:
        frame: A manifest with ``sha256``.
        root: What its paths are relative to.
    """
    named = frame["group"] != ""
    if "group_wide" in frame:
        named |= frame["group_wide"] != ""
    if named.all():
        return frame
    from casting_inspect.data.audit.groups import with_groups

    _log.info(
        "%s: %d of %d pictures have no group; looking for copies of one photograph among them "
        "(kept for the next time; data.split=file does without)",
        root,
        (~named).sum(),
        len(frame),
    )
    found: pd.DataFrame = with_groups(frame, root)[0]
    _log.info("%d pictures are of %d photographs or castings", len(found), found["group"].nunique())
    return found


def limited(frame: pd.DataFrame, limit: int) -> pd.Series:
    """Return ``split`` with all but ``limit`` rows a part left out, the rest evenly spread.

    Classes keep their shares, at least one row of each.
    """
    split = frame["split"].copy()
    for part in PARTS:
        sizes = frame["label"][split == part].value_counts()
        for label, size in sizes.items():
            rows = np.flatnonzero((split == part) & (frame["label"] == label))
            keep = min(size, max(1, limit * size // sizes.sum()))
            spread = rows[np.arange(keep) * size // keep]
            split.iloc[np.setdiff1d(rows, spread)] = ""
    return split


def _at_least(least: int, value: int, key: str) -> int:
    if value < least:
        raise UserError(f"{key}={value}: must be {least} or more")
    return value


def _one_of(options: Sequence[str], value: str, key: str) -> str:
    if value not in options:
        raise UserError(
            f"{key}={value}: must be one of {', '.join(options)}.{suggestion(value, options)}"
        )
    return value


def _worker_count(workers: int | str) -> int:
    if isinstance(workers, int):
        return _at_least(0, workers, "data.workers")
    _one_of(("auto",), workers, "data.workers")
    return min(usable_cores(), MOST_WORKERS)


def _given_window(window: str | Sequence[float] | None) -> Window | None:
    """Return the two values of a window; None for ``auto``, until `setup`, and for none."""
    if window is None or window == "auto":
        return None
    if isinstance(window, str) or len(window) != 2 or not float(window[0]) < float(window[1]):
        raise UserError(f"data.window={window}: must be auto or [low, high] with low below high")
    return float(window[0]), float(window[1])
