"""The loaders of a run, over pictures or over cached features, and what was chosen for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from rich.console import Console

from casting_inspect.data.feature_store import FeatureStore
from casting_inspect.data.module import CastingDataModule
from casting_inspect.models.protocol import is_split
from casting_inspect.training import assembly
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
    """

    choices: Choices
    network: torch.nn.Module
    start: dict[str, torch.Tensor]
    stores: dict[Path, FeatureStore] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)


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
        """Decode the pictures of all parts once; every epoch and worker then maps them."""
        used = np.flatnonzero(self.data.frame["split"] != "")
        with record.timed("pixels"):
            kept = self.data.keep_pixels(used)
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

    def train(self, rows: Rows) -> Any:
        """Return the loader that a fit on these rows runs over."""
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
        if self.features is None:
            return self.data.loader(rows)
        return self.features.loader(rows, 512, shuffle=False, seed=0)
