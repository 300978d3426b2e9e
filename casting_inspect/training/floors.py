"""A floor's run: the same rows, splits and tables as a network's, fitted in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from omegaconf import DictConfig

from casting_inspect.data.module import CastingDataModule
from casting_inspect.evaluation.metrics import auroc, confusion_counts, file_figures
from casting_inspect.labels import NORMAL
from casting_inspect.models.floors import FLOORS, Features, fitted_floor, log_odds_of
from casting_inspect.training.fitting import Fitted, Rows
from casting_inspect.training.floor_features import seen_of_pictures
from casting_inspect.training.weighting import loss_weights

SHOWN = ("floor_histogram", "floor_background")
"""The floors that stand beside a figure of a split that can leak."""


class FloorFitter:
    """Fits the floor of the ``model`` node (see ``fitting.Fitter``); it has no epochs.

    Args:
        config: The composed configuration.
        data: The run's pictures.
    """

    def __init__(self, config: DictConfig, data: CastingDataModule) -> None:
        self.name = str(config.model.name)
        self.cost, self.gamma = float(config.model.cost), config.model.gamma
        self.by_group = config.finetune.get("sample_weights", "file") == "group"
        self.data = data
        self.features = features_of(data, progress=bool(config.callbacks.progress_bar))

    @property
    def facts(self) -> Mapping[str, Any]:
        """What ``run.json`` says of it."""
        seen = self.features[self.name.removeprefix("floor_")]
        return {
            "digests": {"weights": "none"},
            "weights": "none",
            "paths_taken": {"device": "cpu", "floor": self.name, "features": seen.shape[1]},
        }

    def describe(self) -> str:
        """Return one line for the screen."""
        features = self.facts["paths_taken"]["features"]
        return (
            f"{self.name}: RBF-SVM on {features} numbers a picture, C={self.cost:g}, "
            f"gamma={self.gamma}; a floor, no epochs and no checkpoint"
        )

    def fit(
        self,
        train: Rows,
        watch: Rows | None,  # noqa: ARG002 (no epochs to choose from)
        epochs: int | None,  # noqa: ARG002
        where: Path,  # noqa: ARG002 (nothing to keep)
        *,
        shown: Rows | None = None,  # noqa: ARG002
    ) -> Fitted:
        """Fit on ``train``."""
        seen = self.features[self.name.removeprefix("floor_")]
        labels = self.data.labels
        weights = group_weights(self.data, train) if self.by_group else None
        options = {"cost": self.cost, "gamma": self.gamma}
        floor = fitted_floor(self.name, seen[train], labels[train], weights, **options)

        def score(rows: Rows) -> dict[int, float]:
            return dict(zip(rows.tolist(), log_odds_of(floor, seen[rows]).tolist(), strict=True))

        return Fitted(best_epoch=1, epochs=1, score=score)


def features_of(data: CastingDataModule, *, progress: bool = False) -> dict[str, Features]:
    """Return what floors see of every row of a data module's table."""
    return seen_of_pictures(data.frame, data.root, window=data.window, progress=progress)


def group_weights(data: CastingDataModule, rows: Rows) -> NDArray[np.float64]:
    """Return weights of rows, mean 1 in each class, with which a class's groups count the same.

    The classifier then weighs the classes by their numbers of files, as without weights.

    Raises:
        UserError: If no group is known.
    """
    known = loss_weights(data, [rows], by_group=True, balanced=True).rows
    assert known is not None
    weights, labels = known[rows], data.labels[rows]
    means = np.bincount(labels, weights) / np.bincount(labels)
    return np.asarray(weights / means[labels], dtype=np.float64)


def floors_beside(
    data: CastingDataModule, train: Rows, test: Rows, names: tuple[str, ...] = SHOWN
) -> dict[str, dict[str, float | None]]:
    """Return each floor's figures by file, fitted and tested on the rows of another model's run.

    Args:
        data: The run's pictures.
        train: Rows that the model learnt from.
        test: Rows that it is tested on.
        names: Which floors, of ``FLOORS``.

    Returns:
        For each name the figures of ``metrics.file_figures`` at a threshold of one half, ``n`` and
        ``auroc``.
    """
    assert set(names) <= set(FLOORS)
    features, labels = features_of(data), data.labels
    beside = {}
    for name in names:
        seen = features[name.removeprefix("floor_")]
        scores = log_odds_of(fitted_floor(name, seen[train], labels[train]), seen[test])
        beside[name] = _figures(data.frame["label"].iloc[test], labels[test] == NORMAL, scores)
    return beside


def _figures(
    words: pd.Series, normal: NDArray[np.bool_], scores: NDArray[np.float64]
) -> dict[str, float | None]:
    passes = (scores > 0).astype(np.float64)
    table = pd.DataFrame({"label": words.to_numpy(), "p_normal": passes, "threshold": 0.5})
    area = float(auroc(scores, normal)[0])
    by_file = file_figures(confusion_counts(table))
    return {"n": len(scores), **by_file, "auroc": None if np.isnan(area) else area}
