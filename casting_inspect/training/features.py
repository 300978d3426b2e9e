"""Frozen means cached: run the backbone once over each picture and train on what it gave."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from casting_inspect.data.feature_store import FeatureStore
from casting_inspect.data.row_store import make_room
from casting_inspect.training.feature_loader import FeatureLoader, FeatureRows, FeatureTable
from casting_inspect.training.precision import autocast
from casting_inspect.training.strategy import backbone_keys

if TYPE_CHECKING:
    from casting_inspect.data.module import CastingDataModule
    from casting_inspect.models.protocol import SplitNetwork

# what one cached row means; raised when decoding, resizing or augmentation change their pixels
FORMAT = 1
SHARD_ROWS = 512


@dataclass(frozen=True)
class Extraction:
    """How many rows were needed, computed by the backbone, and derived from another layer's."""

    rows: int
    computed: int
    derived: int
    seconds: float
    folder: Path


def store_name(
    network: SplitNetwork,
    image_size: int,
    fit: str,
    window: object,
    precision: str,
    layer: str | None = None,
) -> str:
    """Return the folder name of the store for this backbone and this way of reading pictures.

    Args:
        network: The network with the backbone.
        image_size: Pixels a side.
        fit: How pictures are made square.
        window: The grey window, or None.
        precision: The autocast that the backbone runs under.
        layer: Another layer than the network's own.
    """
    layer = layer or network.cache_layer
    what = {
        "format": FORMAT,
        "network": type(network).__name__,
        "weights": backbone_digest(network),
        "layer": layer,
        "image_size": image_size,
        "fit": fit,
        "window": window,
        "precision": precision,
    }
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    return f"{type(network).__name__.lower()}-{layer}-{image_size}-{digest}"


def backbone_digest(network: SplitNetwork) -> str:
    """Return the digest of the weights file, or of the values themselves where there is no file."""
    if network.weights_digest != "none":
        return network.weights_digest
    assert isinstance(network, nn.Module)
    digest = hashlib.sha256()
    state = network.state_dict()
    for key in sorted(backbone_keys(network)):
        digest.update(key.encode())
        digest.update(state[key].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def view_keys(
    digests: Sequence[str], rows: Sequence[int], views: int, augmentation: str
) -> list[list[str]]:
    """Return each picture's row keys: its plain view, or ``views`` augmented ones.

    Args:
        digests: SHA-256 of each picture's file.
        rows: Each picture's row in the data module's table, on which its augmentation depends.
        views: Number of augmented views; 0 means the plain one.
        augmentation: A digest of augmentation options, seed and data set.
    """
    if views == 0:
        return [[f"{digest}:plain"] for digest in digests]
    return [
        [f"{digest}:{augmentation}:{row}:{view}" for view in range(views)]
        for digest, row in zip(digests, rows, strict=True)
    ]


class CachedFeatures:
    """Computes missing rows of a data module's pictures and serves loaders over them.

    Loaders share one table of what was computed: many fits over parts of a data set hold it once.

    Args:
        network: The network whose backbone is frozen.
        data: A data module after ``setup``.
        root: The folder of all feature stores.
        max_gb: Bound on all stores together in units of 10^9 bytes.
        device: Where the backbone runs.
        precision: A Lightning precision name; the backbone runs under its autocast.
        views: Augmented views of each training picture; 0 for one plain view.
        stores: Stores that are open already, by folder; this one is added.
    """

    def __init__(
        self,
        network: SplitNetwork,
        data: CastingDataModule,
        *,
        root: Path,
        max_gb: float,
        device: torch.device,
        precision: str,
        views: int = 0,
        stores: dict[Path, FeatureStore] | None = None,
    ) -> None:
        self.network = network
        self.data = data
        self.max_gb = max_gb
        self.device = device
        self.precision = precision
        self.views = views
        self.root = root
        own = self._store_of(network.cache_layer)
        self.store = own if stores is None else stores.setdefault(own.folder, own)
        self._tables: dict[bool, FeatureTable] = {}

    def _store_of(self, layer: str) -> FeatureStore:
        data = self.data
        name = store_name(
            self.network, data.image_size, data.fit, data.window, self.precision, layer
        )
        return FeatureStore(self.root / name)

    def keys(self, rows: np.ndarray, *, augmented: bool = False) -> list[list[str]]:
        """Return the row keys of pictures: of the plain view, or of the augmented ones.

        Args:
            rows: Positions in the data module's table.
            augmented: As training pictures; without ``views`` they are plain too.
        """
        digests = self.data.frame["sha256"].to_numpy()[rows].tolist()
        views = self.views if augmented else 0
        return view_keys(digests, rows.tolist(), views, self.data.augmentation_digest())

    def compute(self, plain: np.ndarray, augmented: np.ndarray | None = None) -> Extraction:
        """Bring pictures into the store; what is there is not done again.

        Args:
            plain: Positions of the pictures whose plain view is needed.
            augmented: Positions of those whose ``views`` are, or, without views, the plain one.
        """
        trained = np.empty(0, dtype=np.int64) if augmented is None else augmented
        if not self.views:
            plain, trained = np.union1d(plain, trained), trained[:0]
        wanted: dict[str, tuple[int, int | None]] = {}
        rows_of = {False: plain, True: trained}
        keys_of = {kind: self.keys(rows, augmented=kind) for kind, rows in rows_of.items()}
        for kind, rows in rows_of.items():
            for row, views in zip(rows.tolist(), keys_of[kind], strict=True):
                for view, key in enumerate(views):
                    wanted.setdefault(key, (row, view if kind else None))
        started = time.perf_counter()
        waiting = "another run is computing these features; waiting for it"
        with self.store.locked(on_wait=waiting):
            self.store.load(mend=True)
            derived = self._derive(self.store.missing(list(wanted)))
            missing = self.store.missing(list(wanted))
            if missing:
                self._run_backbone(missing, [wanted[key] for key in missing])
        for kind, rows in rows_of.items():
            if len(rows):
                self._tables[kind] = FeatureTable(rows, FeatureRows(self.store, keys_of[kind]))
        seconds = time.perf_counter() - started
        return Extraction(len(wanted), len(missing), derived, seconds, self.store.folder)

    def _derive(self, keys: list[str]) -> int:
        """Take rows that follow from another layer's stored ones, and return how many."""
        if not keys:  # reading another store would check all of it for nothing
            return 0
        count = 0
        for layer, function in getattr(self.network, "derivable", {}).items():
            source = self._store_of(layer)
            source.load()
            absent = set(source.missing(keys))
            present = [key for key in keys if key not in absent]
            for start in range(0, len(present), SHARD_ROWS):
                chunk = present[start : start + SHARD_ROWS]
                rows = function(torch.from_numpy(source.take(chunk)).float()).numpy()
                if start == 0:
                    self._make_room(rows[0].size, len(present))
                self.store.add(chunk, rows)
            count += len(present)
        return count

    def _make_room(self, values: int, rows: int) -> None:
        """Bring the caches below their bound before ``rows`` rows of ``values`` values come."""
        make_room(self.store.folder, 2 * values * rows, self.max_gb)

    def _run_backbone(self, keys: list[str], pictures: list[tuple[int, int | None]]) -> None:
        if self.views > 1:  # each of these is needed several times
            changed = {row for row, view in pictures if view is not None}
            self.data.keep_pixels(np.array(sorted(changed), dtype=np.int64))
        batch = 32 if self.device.type == "cpu" else 128
        assert isinstance(self.network, nn.Module)
        self.network.to(self.device).eval()
        pending_keys: list[str] = []
        pending_rows: list[np.ndarray] = []
        with _progress(len(keys)) as progress, torch.inference_mode():
            task = progress.add_task("backbone", total=len(keys), speed="")
            started = time.perf_counter()
            done = 0
            for chunk, images in self._batches(keys, pictures, batch):
                with autocast(self.device, self.precision):
                    features = self.network.backbone_features(images.float().div_(255))
                rows = features.float().cpu().numpy()
                if done == 0:
                    self._make_room(rows[0].size, len(keys))
                pending_keys += chunk
                pending_rows.append(rows)
                done += len(chunk)
                rate = done / (time.perf_counter() - started)
                progress.update(task, completed=done, speed=f"{rate:.1f} images/s")
                if len(pending_keys) >= SHARD_ROWS or done == len(keys):
                    self.store.add(pending_keys, np.concatenate(pending_rows))
                    pending_keys, pending_rows = [], []

    def _batches(
        self, keys: list[str], pictures: list[tuple[int, int | None]], batch: int
    ) -> Iterator[tuple[list[str], Tensor]]:
        """Yield (keys, uint8 images on the device), decoded in threads ahead of the network."""
        starts = range(0, len(keys), batch)
        with ThreadPoolExecutor(max_workers=_decode_threads(self.device)) as pool:

            def submit(start: int) -> list[Future[Tensor]]:
                wanted = pictures[start : start + batch]
                return [pool.submit(self.data.picture, row, view) for row, view in wanted]

            ahead = {start: submit(start) for start in starts[:2]}
            for position, start in enumerate(starts):
                images = torch.stack([future.result() for future in ahead.pop(start)])
                if position + 2 < len(starts):
                    ahead[starts[position + 2]] = submit(starts[position + 2])
                images = images.to(self.device, memory_format=torch.channels_last)
                yield keys[start : start + batch], images

    def rows_are_vectors(self) -> bool:
        """Say whether a cached row is a vector and no grid; some rows must have been computed."""
        return len(self.store.row_shape()) == 1

    def loader(
        self,
        rows: np.ndarray,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        augmented: bool = False,
    ) -> FeatureLoader:
        """Return a loader over pictures that the last `compute` was asked for.

        Args:
            rows: Positions in the data module's table.
            batch_size: Pictures a batch.
            shuffle: Whether each epoch has an order of its own.
            seed: Of the order.
            augmented: As training pictures; without ``views`` they are plain too.
        """
        table = self._tables[augmented and self.views > 0]
        return FeatureLoader(
            table.rows,
            self.data.labels[rows],
            rows,
            batch_size,
            places=table.places(rows),
            shuffle=shuffle,
            seed=seed,
        )


def _decode_threads(device: torch.device) -> int:
    # on the CPU the network itself needs the cores; one thread hides 1 ms of decoding behind it
    return 1 if device.type == "cpu" else 8


def _progress(total: int) -> Progress:
    console = Console(stderr=True)
    console.print(f"running the frozen backbone over {total} pictures once; then it is cached")
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} {task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
