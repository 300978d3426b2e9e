"""The loaders of a run, over pictures or over cached features, and what was chosen for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console

from casting_inspect.data.module import CastingDataModule
from casting_inspect.models.protocol import is_split
from casting_inspect.training import assembly
from casting_inspect.training.features import CachedFeatures
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


class Loaders:
    """The loaders of a run, over pictures or over cached features, which it computes first."""

    def __init__(
        self,
        config: DictConfig,
        data: CastingDataModule,
        choices: Choices,
        network: torch.nn.Module,
        record: RunRecord,
        console: Console,
    ) -> None:
        self.config = config
        self.data = data
        self.features: CachedFeatures | None = None
        watched = ["test"] if config.callbacks.watch_test else []
        self.evaluated = [s for s in ["val", *watched] if len(data.rows(s))]
        if not choices.cached:
            return
        assert is_split(network)
        self.features = CachedFeatures(
            network,
            data,
            root=assembly.feature_root(config),
            max_gb=config.cache.max_gb,
            device=choices.device,
            precision=choices.precision,
            views=config.data.views,
        )
        with record.timed("features"):
            done = self.features.compute(["train", "val", "test"])
        counts = {"rows": done.rows, "computed": done.computed, "derived": done.derived}
        record.update(features=counts)
        console.print(
            f"features: {done.rows} rows, of which {done.computed} computed and {done.derived} "
            f"derived in {done.seconds:.1f} s, kept in {done.folder}"
        )

    def train(self) -> Any:
        """Return the loader that the fit runs over."""
        if self.features is None:
            return self.data.train_dataloader()
        batch = self.config.finetune.cached_batch_size
        return self.features.loader("train", batch, shuffle=True, seed=self.config.seed)

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

    def plain(self, split: str) -> Any:
        """Return a loader over a split in order, nothing augmented."""
        if self.features is None:
            return self.data.plain_dataloader(split)
        return self.features.loader(split, 512, shuffle=False, seed=0)
