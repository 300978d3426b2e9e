"""What a run asks of a model: to be fitted on some rows, and to score others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
"""Positions in the table of the run's data module (``CastingDataModule.frame``)."""


@dataclass(frozen=True)
class Fitted:
    """A model after its fit.

    Attributes:
        best_epoch: The epoch whose state scores, from 1; 1 for a model that has no epochs.
        epochs: Epochs that were run; 1 for a model that has none.
        score: From rows, any of the table's, to the log-odds of normal by row (the logit column
            of the predictions table; above 0 is normal at a threshold of one half). Called before
            the fitter's next ``fit``.
        embed: From rows to what the last layer sees of each picture, (n, d); None for a model
            without layers. Called after ``score``.
    """

    best_epoch: int
    epochs: int
    score: Callable[[Rows], dict[int, float]]
    embed: Callable[[Rows], NDArray[np.float32] | None] | None = None


class Fitter(Protocol):
    """Fits one kind of model, as often as a run needs: for each inner fold, then once more.

    Every fit begins anew from the same state and depends on its arguments, the configuration and
    the data alone, not on the fits before it. A fitter knows the configuration and the data
    module; splits, nesting, thresholds, predictions and metrics are none of its business.
    """

    @property
    def facts(self) -> Mapping[str, Any]:
        """What ``run.json`` says of it.

        ``digests`` {"weights"}, ``weights``, ``paths_taken`` and the like.
        """

    def describe(self) -> str:
        """Return one line for the screen: what is fitted, how."""

    def fit(
        self,
        train: Rows,
        watch: Rows | None,
        epochs: int | None,
        where: Path,
        *,
        shown: Rows | None = None,
    ) -> Fitted:
        """Fit on ``train`` and nothing else.

        Args:
            train: Rows to learn from.
            watch: Rows that choose the best epoch and may stop the fit early; None: all epochs
                run and the last one counts. A model without epochs takes no notice of it.
            epochs: How many; None: as configured.
            where: The fit's own folder for checkpoints, history and events. What an interrupted
                fit left there is gone on from, to the same bits.
            shown: Rows whose figures are drawn by epoch and choose nothing.
        """
