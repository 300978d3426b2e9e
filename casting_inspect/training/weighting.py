"""What each picture weighs in the loss: as itself, as one of its class, as one of its group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casting_inspect.data.module import CastingDataModule
from casting_inspect.errors import UserError
from casting_inspect.training.fitting import Rows


@dataclass(frozen=True)
class LossWeights:
    """Weights in the loss.

    Attributes:
        classes: Of (defective, normal), or None.
        rows: Of each row of the data module's table, or None; they hold the classes' too.
    """

    classes: list[float] | None = None
    rows: NDArray[np.float64] | None = None


def loss_weights(
    data: CastingDataModule, parts: Iterable[Rows], *, by_group: bool, balanced: bool
) -> LossWeights:
    """Return the weights of a fit.

    Args:
        data: The pictures.
        parts: The training rows first, then those that are watched.
        by_group: Every group weighs the same within a part, however many files it has.
        balanced: Both classes weigh the same, however many files, or groups, each has.

    Raises:
        UserError: If groups are to weigh the same and none is known.
    """
    labels, parts = data.labels, list(parts)
    if not by_group:
        return LossWeights(classes=balanced_weights(labels[parts[0]]) if balanced else None)
    units = data.units
    if len(np.unique(units)) == len(units) and not (data.frame["group"] != "").any():
        raise UserError(
            "finetune.sample_weights=group: no picture has a group; fill the manifest's column "
            "'group', or take data.split=group, which looks for copies of one photograph"
        )
    rows = np.zeros(len(labels))
    for part in parts:
        rows[part] = group_weights(units[part], labels[part], balanced=balanced)
    return LossWeights(rows=rows)


def balanced_weights(labels: NDArray[np.int64]) -> list[float]:
    """Return weights n / (2 n_class), so that both classes count the same in the loss."""
    counts = np.bincount(labels, minlength=2)
    return [float(value) for value in len(labels) / (2 * counts)]


def group_weights(
    units: NDArray[np.intp], labels: NDArray[np.int64], *, balanced: bool
) -> NDArray[np.float64]:
    """Return a weight for each row of a part, of mean 1, equal in sum over groups.

    Args:
        units: The group's number of each row, (n,).
        labels: The class of each row, (n,). A group with both is one group in each.
        balanced: Equal in sum over the classes too.
    """
    _, group, sizes = np.unique(units * 2 + labels, return_inverse=True, return_counts=True)
    weights = 1.0 / sizes[group]
    if balanced:
        sums = np.bincount(labels, weights=weights, minlength=2)
        weights = weights / sums[labels]
    return np.asarray(weights * len(weights) / weights.sum(), dtype=np.float64)
