"""A finished run as a scorer: its own network in torch, in float32, at its frozen threshold."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from casting_inspect.data.decode import Window
from casting_inspect.deployment.decided import Decided, decided_by
from casting_inspect.deployment.evidence import evidence_of
from casting_inspect.deployment.graph import Shipped
from casting_inspect.deployment.runtimes import Scored
from casting_inspect.deployment.scorer import BATCH, squared, verdicts_of
from casting_inspect.deployment.verdict import Limits, Picture, Verdict
from casting_inspect.errors import UserError
from casting_inspect.files import sha256_of_file
from casting_inspect.training.run_folder import read_record
from casting_inspect.training.trained_run import Inspector, TrainedRun


class RunScorer:
    """A run's network, judging as its bundle would; safe to call from several threads.

    In float32 whatever the run was trained in: that is what bundles are held to.

    Args:
        folder: The run's.
        allow_targets: Classes of the user's own that its checkpoint may instantiate.
        heatmaps: Whether maps will be asked for, which take some of the run's training pictures:
            if these are not there, that is said now.

    Raises:
        UserError: If the run has no network, is not finished, or is a floor's.
    """

    def __init__(
        self, folder: Path, allow_targets: Sequence[str] = (), heatmaps: bool = False
    ) -> None:
        self._run, self.inspector = network_of(folder, allow_targets)
        self.decided: Decided = decided_by(read_record(self._run.folder.record), folder)
        self._digest = sha256_of_file(self._run.folder.checkpoints / "best.ckpt")
        self._shipped: dict[bool, Shipped] = {}
        self._one_looks = threading.Lock()
        if heatmaps:
            self._ready(heatmaps)

    @property
    def limits(self) -> Limits:
        """The scores that divide the verdicts."""
        return self.decided.limits

    @property
    def digest(self) -> str:
        """SHA-256 of the checkpoint, in hexadecimal."""
        return self._digest

    @property
    def window(self) -> Window | None:
        """What maps pictures of more than 8 bits to 8 (``decode.apply_window``)."""
        return self.inspector.window

    def __call__(self, pictures: Sequence[Picture], heatmaps: bool = False) -> list[Verdict]:
        """Return a verdict for each decoded picture, in order; see `Scorer`."""
        side, fit = self.inspector.image_size, self.inspector.fit
        found: list[Verdict] = []
        for start in range(0, len(pictures), BATCH):
            some = pictures[start : start + BATCH]
            pixels = np.stack([squared(each, side, fit) for each in some])
            # one at a time: maps are taken by a hook in the network, which threads share
            with self._one_looks:
                shipped = self._ready(heatmaps)
                with torch.inference_mode():
                    outputs = shipped(torch.from_numpy(pixels).to(self.inspector.device))
            p_normal, log_odds, *rest = (values.cpu().numpy() for values in outputs)
            scored = Scored(log_odds.astype(np.float64), p_normal, rest[0] if rest else None)
            limits = self.decided.limits_log_odds
            found += verdicts_of(scored, some, fit, side, limits, heatmaps)
        return found

    def _ready(self, heatmaps: bool) -> Shipped:
        """Return the network with all around it, with its map or without.

        Raises:
            UserError: If a map takes pictures that are not there.
        """
        if heatmaps not in self._shipped:
            try:
                evidence = evidence_of(self._run, self.inspector) if heatmaps else None
            except UserError as error:
                raise UserError(
                    f"{error} (heatmaps of a run take some of its training pictures; a bundle "
                    "needs none: casting-inspect export)"
                ) from error
            inspector, decided = self.inspector, self.decided
            shipped = Shipped(inspector.network, decided.calibration, decided.shift, evidence)
            self._shipped[heatmaps] = shipped.eval().to(inspector.device)
        return self._shipped[heatmaps]


def network_of(folder: Path, allow_targets: Sequence[str] = ()) -> tuple[TrainedRun, Inspector]:
    """Return a run and its one network.

    Raises:
        UserError: If there is none, or one a fold.
    """
    run = TrainedRun(folder, allow_targets=allow_targets)
    if run.config.data.fold == "all":
        raise UserError(
            f"{folder} holds a network for each fold and none for all pictures: name one of its "
            "fold_N folders, or train with data.fold=final"
        )
    checkpoint = run.folder.checkpoints / "best.ckpt"
    if not checkpoint.is_file():
        raise UserError(
            f"{folder} has no checkpoints/best.ckpt: the run is not finished (resume={folder} goes "
            "on), or its checkpoint was removed"
        )
    # `folder_of` would take fold_0 of a final run
    return run, run.inspector_in(run.folder)
