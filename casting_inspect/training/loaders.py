"""The loaders of a run, over pictures or over cached features, and what was chosen for it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from rich.console import Console
from torch import Tensor

from casting_inspect.data.device_augment import DeviceAugmenter
from casting_inspect.data.feature_store import FeatureStore
from casting_inspect.data.module import CastingDataModule
from casting_inspect.models.protocol import is_split
from casting_inspect.training import assembly
from casting_inspect.training.device_loader import DeviceLoader, DevicePixels, fits_device
from casting_inspect.training.features import CachedFeatures
from casting_inspect.training.fitting import Rows
from casting_inspect.training.run_folder import RunRecord


@dataclass(frozen=True)
class Choices:
    """What was decided by looking at the machine and the network."""

    accelerator: str
    device: torch.device
    precision: str
    strategy: str
    cached: bool
    channels_last: bool


@dataclass(frozen=True)
class Bench:
    """What the fits of a run share, over all its folds.

    Attributes:
        choices: What was decided by looking at the machine and the network.
        network: The network; fits change what of it may learn.
        start: What may learn as it was before the first fit, by name.
        stores: Feature stores that are open, by folder.
        said: Lines that were printed and are not repeated.
        pixels: The pictures on the device, at most one table, by what it holds.
    """

    choices: Choices
    network: torch.nn.Module
    start: dict[str, torch.Tensor]
    stores: dict[Path, FeatureStore] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    pixels: dict[str, DevicePixels] = field(default_factory=dict)


class Loaders:
    """The loaders of a run, over pictures or cached features, which are made ready first."""

    def __init__(
        self,
        config: DictConfig,
        data: CastingDataModule,
        bench: Bench,
        record: RunRecord,
        console: Console,
    ) -> None:
        self.config = config
        self.data = data
        self.features: CachedFeatures | None = None
        self.pixels: DevicePixels | None = None
        choices, network = bench.choices, bench.network
        if not choices.cached:
            self._keep_pixels(bench, record, console)
            return
        assert is_split(network)
        self.features = CachedFeatures(
            network,
            data,
            root=assembly.cache_folder(config) / "features",
            max_gb=config.cache.max_gb,
            device=choices.device,
            precision=choices.precision,
            views=config.data.views,
            stores=bench.stores,
        )
        # training rows are scored too where inner folds hold them out
        scored = ["val", "test", *(["train"] if data.inner_folds else [])]
        plain = np.sort(np.concatenate([data.rows(split) for split in scored]))
        with record.timed("features"):
            done = self.features.compute(plain, data.rows("train"))
        counts = {"rows": done.rows, "computed": done.computed, "derived": done.derived}
        record.update(features=counts)
        console.print(
            f"features: {done.rows} rows, of which {done.computed} computed and {done.derived} "
            f"derived in {done.seconds:.1f} s, kept in {done.folder}"
        )

    def _keep_pixels(self, bench: Bench, record: RunRecord, console: Console) -> None:
        """Decode the pictures of all parts once; epochs and workers map them, or a GPU has them."""
        used = np.flatnonzero(self.data.frame["split"] != "")
        with record.timed("pixels"):
            kept = self.data.keep_pixels(used)
            self.pixels = self._on_device(used, bench)
        if self.pixels is not None:
            record.took(pixels="on the device", augmentation="on the device")
            return
        record.took(augmentation="cpu")
        if kept is None:
            return
        record.update(pixels={"rows": kept.rows, "decoded": kept.decoded})
        record.took(pixels="decoded in each epoch" if kept.problem else "decoded once, mapped")
        if kept.problem:
            line = (
                f"pixels: cannot be kept in {kept.folder.parent} ({kept.problem}), so that each "
                "epoch decodes all pictures; cache.dir=DIR names another place"
            )
        else:
            line = (
                f"pixels: {kept.rows} pictures, of which {kept.decoded} decoded in "
                f"{kept.seconds:.1f} s, kept in {kept.folder}"
            )
        if line not in bench.said:
            bench.said.add(line)
            console.print(line)

    def _on_device(self, rows: Rows, bench: Bench) -> DevicePixels | None:
        """Return the pictures on the device, where they go there; folds share them."""
        device, data = bench.choices.device, self.data
        needed = DevicePixels.size(data, rows)
        if not fits_device(self.config.augment.device, device, needed):
            return None
        name = f"{data.window} {hashlib.sha256(rows.tobytes()).hexdigest()}"
        if name not in bench.pixels:
            bench.pixels.clear()
            bench.pixels[name] = DevicePixels(data, rows, device)
        return bench.pixels[name]

    def _device_loader(self, rows: Rows, *, augmented: bool) -> DeviceLoader:
        assert self.pixels is not None
        data = self.data
        strength, pictures = data.augmenter.strength, len(data.frame)
        return DeviceLoader(
            self.pixels,
            data.labels[rows],
            rows,
            data.batch_size,
            augmenter=DeviceAugmenter(strength, data.seed, pictures) if augmented else None,
            shuffle=augmented,
            seed=data.seed,
        )

    def sample(self, rows: Rows) -> Tensor:
        """Return training pictures, uint8 (n, 3, S, S), as the first epoch gives them."""
        if self.pixels is not None:
            batches = self._device_loader(rows, augmented=True)
            batches.sampler.shuffle = False
            return torch.cat([batch["image"].cpu() for batch in batches])
        augmented = self.features is None or self.config.data.views > 0
        view = 0 if augmented else None
        return torch.stack([self.data.picture(row, view) for row in rows.tolist()])

    def train(self, rows: Rows) -> Any:
        """Return the loader that a fit on these rows runs over."""
        if self.pixels is not None:
            return self._device_loader(rows, augmented=True)
        if self.features is None:
            return self.data.loader(rows, augmented=True)
        batch = self.config.finetune.cached_batch_size
        return self.features.loader(
            rows, batch, shuffle=True, seed=self.config.seed, augmented=True
        )

    @contextlib.contextmanager
    def threads_for_fit(self) -> Iterator[None]:
        """Use one thread where a step on cached vectors is shorter than waking a second one."""
        threads = torch.get_num_threads()
        if self.features is not None and self.features.rows_are_vectors():
            torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    def plain(self, rows: Rows) -> Any:
        """Return a loader over rows in order, nothing augmented."""
        if self.pixels is not None:
            return self._device_loader(rows, augmented=False)
        if self.features is None:
            return self.data.loader(rows)
        return self.features.loader(rows, 512, shuffle=False, seed=0)
