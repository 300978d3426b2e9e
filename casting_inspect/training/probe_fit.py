"""Solves the head on frozen features: the strengths of its penalty are the epochs of a fit."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from casting_inspect.errors import UserError
from casting_inspect.evaluation.metrics import auroc
from casting_inspect.files import replace_text
from casting_inspect.labels import DEFECTIVE, NORMAL
from casting_inspect.models.heads import PooledHead
from casting_inspect.models.probe import Probe, fit_probes
from casting_inspect.training import assembly
from casting_inspect.training.callbacks import FIELDS
from casting_inspect.training.checkpoints import RunCheckpoints, complete, save
from casting_inspect.training.classifier import CHECKPOINT_FORMAT, CHECKPOINT_KEY
from casting_inspect.training.fitting import Fitted, Rows
from casting_inspect.training.network_fit import NetworkFitter, stored_vectors
from casting_inspect.training.run_folder import RunFolder
from casting_inspect.training.weighting import loss_weights

Floats = NDArray[np.float64]


class ProbeFitter(NetworkFitter):
    """A `Fitter` that solves a linear head on cached vectors (see `models.probe`).

    The penalty's strengths, from the strongest to the weakest, stand for epochs: the held-out rows
    of each inner fold say which is best, the refit takes the median. A fit lasts seconds, so an
    interrupted one begins anew and gives the same.
    """

    def describe(self) -> str:
        """Return one line: the network, what is solved."""
        config = self.config
        return (
            f"{config.model.name}: linear probe on frozen features, L2 from "
            f"{', '.join(f'{value:g}' for value in self.strengths)}, {config.model.image_size} px"
        )

    @property
    def strengths(self) -> list[float]:
        """The penalties to try, the strongest first."""
        return sorted((float(value) for value in self.config.finetune.l2), reverse=True)

    def fit(
        self,
        train: Rows,
        watch: Rows | None,
        epochs: int | None,
        where: Path,
        *,
        shown: Rows | None = None,
    ) -> Fitted:
        """Solve the head for each strength and keep the best; see `Fitter`.

        Args:
            train: Rows to learn from.
            watch: Rows whose log loss chooses the strength; None: the last one counts.
            epochs: How many strengths, from the strongest; None: all.
            where: The fit's own folder.
            shown: Rows whose figures stand in the history too.
        """
        rows, owners = self._training_vectors(train)
        wanted = self.strengths[:epochs]
        # without rows to choose by, only the last one is wanted
        tried = list(enumerate(wanted, start=1))[0 if watch is not None else -1 :]
        weights = self._weights([train, *(part for part in (watch, shown) if part is not None)])
        normal = self.data.labels == NORMAL
        parts = {"train": train, "val": watch, "test": shown}
        evaluated = {
            split: (part, self._vectors(part))
            for split, part in parts.items()
            if part is not None and len(part)
        }
        best: tuple[float, int, Probe | None] = (np.inf, 0, None)
        history: list[dict[str, Any]] = []
        probes = fit_probes(rows, normal[owners], weights[owners], [l2 for _, l2 in tried])
        for (epoch, _), probe in zip(tried, probes, strict=True):
            for split, (part, vectors) in evaluated.items():
                figures = figures_of(probe.logits(vectors), normal[part], weights[part])
                history.append({"epoch": epoch, "split": split, **figures})
                if split == ("train" if watch is None else "val") and figures["loss"] < best[0]:
                    best = (figures["loss"], epoch, probe)
        _, best_epoch, chosen = best
        assert chosen is not None
        self._keep(chosen, where, history)

        def score(wanted_rows: Rows) -> dict[int, float]:
            found = chosen.logits(self._vectors(wanted_rows))
            return dict(zip(wanted_rows.tolist(), found.tolist(), strict=True))

        def embed(wanted_rows: Rows) -> NDArray[np.float32]:
            return stored_vectors(self._features(), wanted_rows)

        return Fitted(best_epoch, len(wanted), score, embed)

    def _features(self) -> Any:
        features = self._get_loaders().features
        assert features is not None
        if not features.rows_are_vectors() or not isinstance(self._head(), PooledHead):
            raise UserError(
                f"finetune=probe solves a linear head, and model.head={self.config.model.head} is "
                "none: take model.head=gap or pyramid, or finetune=frozen"
            )
        return features

    def _head(self) -> nn.Module | None:
        return getattr(self.bench.network, "head", None)

    def _vectors(self, rows: Rows) -> NDArray[np.float32]:
        """Return the plain vectors of rows, float32 (n, d)."""
        features = self._features()
        keys = [key for keys in features.keys(rows) for key in keys]
        return np.asarray(features.store.take(keys), dtype=np.float32)

    def _training_vectors(self, rows: Rows) -> tuple[NDArray[np.float32], Rows]:
        """Return the vectors of all views of rows, and the row that each one shows."""
        features = self._features()
        keys = features.keys(rows, augmented=True)
        vectors = features.store.take([key for views in keys for key in views])
        return np.asarray(vectors, dtype=np.float32), np.repeat(rows, len(keys[0]))

    def _weights(self, parts: list[Rows]) -> Floats:
        """Return the weight of every row of the table, nought outside the parts."""
        finetune = self.config.finetune
        found = loss_weights(
            self.data,
            parts,
            by_group=finetune.sample_weights == "group",
            balanced=finetune.class_weights == "balanced",
        )
        if found.rows is not None:
            return found.rows
        of_class = np.ones(2) if found.classes is None else np.asarray(found.classes)
        return np.asarray(of_class[self.data.labels], dtype=np.float64)

    def _keep(self, probe: Probe, where: Path, history: list[dict[str, Any]]) -> None:
        """Put the solution into the head, and write checkpoint and history."""
        head = self._head()
        assert isinstance(head, PooledHead)
        install(probe, head)
        folder = RunFolder(where)
        best = RunCheckpoints(folder.checkpoints, None).best
        names = {id(head): name for name, head in self.bench.network.named_modules()}
        prefix = f"network.{names[id(head)]}."
        state = {prefix + key: value.clone() for key, value in head.state_dict().items()}
        ours = {"format": CHECKPOINT_FORMAT, **self.provenance}
        save({"state_dict": state, CHECKPOINT_KEY: ours}, best)
        if where == self.folder.root:
            complete(best, self.bench.network)
        out = io.StringIO()
        writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {
                key: f"{value:.9g}" if isinstance(value, float) else value
                for key, value in row.items()
            }
            for row in history
        )
        replace_text(folder.history, out.getvalue())
        assembly.quieten()


def install(probe: Probe, head: PooledHead) -> None:
    """Give a head the values with which its logits differ by the probe's log-odds."""
    deviation = torch.from_numpy(probe.deviation)
    with torch.no_grad():
        head.standardise.running_mean.copy_(torch.from_numpy(probe.mean))  # type: ignore[union-attr]
        variance = deviation.square() - head.standardise.eps
        # what batch normalisation adds to the variance is taken off; a smaller one goes into w
        head.standardise.running_var.copy_(variance.clamp(min=0))  # type: ignore[union-attr]
        used = (variance.clamp(min=0) + head.standardise.eps).sqrt()
        half = torch.from_numpy(probe.coefficients) * used / deviation / 2
        head.linear.weight[NORMAL], head.linear.weight[DEFECTIVE] = half.float(), -half.float()
        head.linear.bias[NORMAL], head.linear.bias[DEFECTIVE] = probe.bias / 2, -probe.bias / 2


def figures_of(log_odds: Floats, normal: NDArray[np.bool_], weights: Floats) -> dict[str, float]:
    """Return weighted log loss, and by file accuracy, rates and AUROC at a threshold of one half.

    Args:
        log_odds: Of normal, (n,).
        normal: The class, (n,).
        weights: In the loss, (n,), not all zero.
    """
    losses = np.logaddexp(0, np.where(normal, -log_odds, log_odds))
    passes = log_odds > 0
    figures = {
        "loss": float(np.average(losses, weights=weights)),
        "accuracy": float(np.mean(passes == normal)),
        "escape_rate": float(np.mean(passes[~normal])) if (~normal).any() else 0.0,
        "overkill_rate": float(np.mean(~passes[normal])) if normal.any() else 0.0,
    }
    if normal.any() and not normal.all():
        figures["auroc"] = float(auroc(log_odds, normal)[0])
    return figures
