"""A finished run opened again: its predictions, and the network that made each of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn
from yaml import YAMLError  # type: ignore[import-untyped]

from casting_inspect.data.decode import Window, read_rgb, resize_square
from casting_inspect.data.manifest import read_manifest
from casting_inspect.errors import UserError, first_line
from casting_inspect.evaluation.predictions import read_predictions
from casting_inspect.evaluation.tables import REPORTED
from casting_inspect.labels import CLASS_NAMES, DEFECTIVE, NORMAL
from casting_inspect.models import maps
from casting_inspect.models.floors import is_floor, refuse_floor
from casting_inspect.training.assembly import data_root
from casting_inspect.training.checkpoints import load_network
from casting_inspect.training.precision import (
    autocast,
    device_of,
    resolve_accelerator,
    resolve_precision,
)
from casting_inspect.training.run_folder import RunFolder

REFERENCES = 12
"""Training pictures, half of each class, over which a map's channel weights are averaged; the level
that good castings reach is of those among them."""
BATCH = 8


@dataclass(frozen=True)
class MapChoice:
    """How maps of evidence are made; see ``models.maps``.

    Attributes:
        layer: Its full name, ``auto``, or ``own`` (the network's own map).
        weights: ``mean`` of some training pictures', each ``picture``'s own, ``excess`` (mean, of
            what is above the level of good training castings), or ``auto``.
        smooth: Width of a Gaussian as a share of the side.
        turns: Turned copies that are averaged: 1, 4 or 8.
    """

    layer: str = maps.AUTO
    weights: str = "auto"
    smooth: float = 0.02
    turns: int = 1


class References(NamedTuple):
    """Training pictures, uint8 (n, S, S, 3), and which of them show good castings, bool (n,)."""

    pictures: NDArray[np.uint8]
    good: NDArray[np.bool_]


@dataclass(frozen=True)
class Inspector:
    """One trained network, with all that it takes to show it a picture as in its run.

    Attributes:
        network: In evaluation mode, on the device.
        device: Where it runs.
        precision: A Lightning precision name; the run's own, resolved on this machine.
        image_size: Pixels a side that it sees.
        fit: How pictures that are not square are made so.
        window: For pictures of more than 8 bits, or None.
        choice: How its maps are made.
        weights: Of the map's channels, (C,), or None for each picture's own.
        level: What of each channel good castings show, (C,), or None where all of it counts.
    """

    network: nn.Module
    device: torch.device
    precision: str
    image_size: int
    fit: str
    window: Window | None
    choice: MapChoice = MapChoice()
    weights: Tensor | None = None
    level: Tensor | None = None

    def log_odds(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the log-odds of normal (N,) of pictures (N, S, S, 3), in one batch."""
        with torch.inference_mode(), autocast(self.device, self.precision):
            return _log_odds(self.network(self._images(pictures)))

    def look(self, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return the log-odds of normal (N,) of pictures (N, S, S, 3), and their maps (N, S, S)."""
        choice, found = self.choice, []
        for start in range(0, len(pictures), BATCH):
            images = self._images(pictures[start : start + BATCH])
            with autocast(self.device, self.precision):
                found.append(
                    maps.picture_maps(
                        self.network,
                        images,
                        layer=choice.layer,
                        weights=self.weights,
                        level=self.level,
                        smooth=choice.smooth,
                        turns=choice.turns,
                    )
                )
        log_odds = _log_odds(torch.cat([each for each, _ in found]))
        return log_odds, torch.cat([each for _, each in found]).cpu().numpy()

    def referred(self, shown: References) -> Inspector:
        """Return the same with channel weights, and where asked for a level, of some pictures."""
        weights = self._mean_of(maps.mean_weights, shown.pictures)
        if self.choice.weights == "mean":
            return replace(self, weights=weights)
        level = self._mean_of(maps.usual_level, shown.pictures[shown.good])
        return replace(self, weights=weights, level=level)

    def _mean_of(
        self, of_layer: Callable[[nn.Module, Tensor, str], Tensor], pictures: NDArray[np.uint8]
    ) -> Tensor:
        """Return the mean over pictures (N, S, S, 3) of what a function says of a layer, (C,)."""
        found = []
        for start in range(0, len(pictures), BATCH):
            images = self._images(pictures[start : start + BATCH])
            with autocast(self.device, self.precision):
                mean = of_layer(self.network, images, self.choice.layer)
            found.append(mean * len(images))
        return torch.stack(found).sum(dim=0) / len(pictures)

    def _images(self, pictures: NDArray[np.uint8]) -> Tensor:
        """Return pictures (N, S, S, 3) as the network takes them."""
        images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
        images = images.to(self.device, memory_format=torch.channels_last)
        return images.float().div(255)

    def square(self, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return a picture as it is, RGB (H, W, 3), and as the network sees it, (S, S, 3).

        Raises:
            UserError: If it cannot be read.
        """
        picture = read_rgb(path, self.window)
        return picture, resize_square(picture, self.image_size, self.fit)


def _log_odds(logits: Tensor) -> NDArray[np.float64]:
    exact = logits.double().cpu()
    return np.asarray((exact[:, NORMAL] - exact[:, DEFECTIVE]).numpy(), dtype=np.float64)


class TrainedRun:
    """A run folder whose networks can be asked again.

    Args:
        folder: The run's folder, as ``train`` left it.
        root: Where its pictures are now; None for where they were.
        choice: How maps are made; None where none are.
        allow_targets: Classes of the user's own that its checkpoints may instantiate.

    Raises:
        UserError: If it is no run folder, or a floor's.
    """

    def __init__(
        self,
        folder: Path,
        root: Path | None = None,
        choice: MapChoice | None = None,
        allow_targets: Sequence[str] = (),
    ) -> None:
        self.folder = RunFolder(folder)
        self.config = read_config(self.folder)
        self.choice = choice
        self.allow_targets = tuple(allow_targets)
        if is_floor(str(self.config.model._target_)):
            raise refuse_floor(str(self.config.model.name))
        self._root = root

    @property
    def root(self) -> Path:
        """The folder of its pictures; synthetic castings are drawn again where they are gone."""
        return data_root(self.config.data) if self._root is None else self._root

    def scored(self) -> pd.DataFrame:
        """Return the predictions of networks that the run keeps: test rows, else validation ones.

        Raises:
            UserError: If there is no table, or all its rows come from networks of inner folds.
        """
        if not self.folder.predictions.exists():
            raise UserError(
                f"{self.folder.root} has no predictions.csv: the run is not finished, or was made "
                "with trainer.evaluate=false"
            )
        table = read_predictions(self.folder.predictions)
        kept = table[table["inner"] == ""]
        for split in REPORTED:
            rows = kept[kept["split"] == split]
            if len(rows):
                return rows.reset_index(drop=True)
        raise UserError(
            f"{self.folder.predictions} holds scores of inner folds alone, whose networks are not "
            "kept: run it with trainer.evaluate=true"
        )

    def folder_of(self, fold: int) -> RunFolder:
        """Return the folder with the network that scored the rows of a fold."""
        own = self.folder.fold(fold)
        return own if own.root.is_dir() else self.folder

    def inspectors(self, table: pd.DataFrame) -> Iterator[tuple[NDArray[np.intp], Inspector]]:
        """Yield the rows of each fold with the network that scored them, one at a time.

        Raises:
            UserError: If a checkpoint is missing, damaged or not allowed.
        """
        for fold in sorted(table["fold"].unique().tolist()):
            rows = np.flatnonzero((table["fold"] == fold).to_numpy())
            yield rows, self.inspector(int(fold))

    def inspector(self, fold: int) -> Inspector:
        """Return the network that scored the rows of a fold.

        Raises:
            UserError: If its checkpoint is missing, damaged or not allowed.
        """
        return self.inspector_in(self.folder_of(fold))

    def inspector_in(self, folder: RunFolder) -> Inspector:
        """Return the network of a run folder, this run's own or that of one of its folds.

        Raises:
            UserError: If its checkpoint is missing, damaged or not allowed.
        """
        network, provenance = load_network(folder.checkpoints / "best.ckpt", self.allow_targets)
        accelerator = resolve_accelerator("auto")  # the run's machine may have been another
        device = device_of(accelerator)
        window = provenance.get("window")
        inspector = Inspector(
            network.to(device, memory_format=torch.channels_last),  # type: ignore[call-overload]
            device,
            resolve_precision(str(self.config.trainer.precision), accelerator),
            int(self.config.model.image_size),
            str(self.config.data.fit),
            None if window is None else (float(window[0]), float(window[1])),
            self.choice or MapChoice(),
        )
        if self.choice is None or self.choice.layer == maps.OWN:
            return inspector
        kind = self.choice.weights
        if kind in ("mean", "excess") or (kind == "auto" and maps.takes_mean_weights(network)):
            inspector = inspector.referred(self.references(inspector, folder))
        return inspector

    def references(self, inspector: Inspector, folder: RunFolder) -> References:
        """Return some training pictures, half of each class as far as there are."""
        manifest = read_manifest(folder.manifest)
        trained = manifest[manifest["split"] == "train"]
        of_class = [
            trained.loc[trained["label"] == label, "path"]
            .sample(frac=1.0, random_state=np.random.default_rng(int(self.config.seed)))
            .tolist()
            for label in CLASS_NAMES
        ]
        dealt = [name for pair in itertools.zip_longest(*of_class) for name in pair if name]
        dealt = dealt[:REFERENCES]
        pictures = np.stack([inspector.square(self.path_of(name))[1] for name in dealt])
        return References(pictures, np.isin(dealt, of_class[NORMAL]))

    def path_of(self, name: str) -> Path:
        """Return the file of a row's ``path``."""
        return self.root / PurePosixPath(name)


def read_config(folder: RunFolder) -> DictConfig:
    """Return a run's configuration.

    Raises:
        UserError: If there is none.
    """
    if not folder.config.exists():
        raise UserError(f"{folder.root} is no run folder: it has no config.yaml")
    try:
        config: Any = OmegaConf.load(folder.config)
        needed = ("model._target_", "model.image_size", "data.fit", "trainer.precision", "seed")
        absent = [key for key in needed if OmegaConf.select(config, key) is None]
    except (OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
        raise UserError(f"{folder.config} cannot be read: {first_line(error)}") from error
    if absent:
        raise UserError(f"{folder.config} is not a configuration of train: it has no {absent[0]}")
    assert isinstance(config, DictConfig)
    return config
