"""The LightningModule: one network, its loss, its metrics and what learns when."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import BinaryAUROC, BinaryStatScores

from casting_inspect.errors import UserError
from casting_inspect.labels import DEFECTIVE, NORMAL
from casting_inspect.models.protocol import is_split
from casting_inspect.training import strategy as strategies

CHECKPOINT_KEY = "casting_inspect"
CHECKPOINT_FORMAT = 1


class CastingClassifier(L.LightningModule):
    """Trains a network to tell normal castings from defective ones.

    Batches are dicts with ``label`` (B,), ``index`` (B,) and either ``image`` uint8 (B, 3, S, S)
    or, when the backbone is frozen and cached, ``features`` float32 (B, ...).

    Args:
        network: Any module from float (B, 3, S, S) in 0..1 to logits (B, 2).
        strategy: ``frozen``, ``gradual`` or ``full``.
        cached: Whether batches bring features; the backbone then stays out of checkpoints.
        head_lr: Learning rate of the head, or of a network without a backbone.
        backbone_lr: Learning rate of a pretrained backbone.
        open_every: Epochs between the openings of ``gradual``.
        make_optimizer: From parameter groups to an optimizer.
        make_schedule: From (total steps, steps an epoch) to a factor of the step.
        class_weights: Weights of (defective, normal) in the loss, or None.
        row_weights: The weight in the loss of each row that a batch's ``index`` may name, of mean
            1 over a part; they take the place of class weights.
        seed: Together with the step it decides dropout.
        provenance: Plain data that checkpoints carry (configuration, window, ...).
        evaluated: Names of the validation loaders, such as ``("val",)``.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        strategy: str = "full",
        cached: bool = False,
        head_lr: float = 1e-3,
        backbone_lr: float = 1e-5,
        open_every: int = 1,
        make_optimizer: Callable[[list[dict[str, Any]]], Optimizer] = torch.optim.AdamW,
        make_schedule: Callable[[int, int], Callable[[int], float]] | None = None,
        class_weights: Sequence[float] | None = None,
        row_weights: np.ndarray | None = None,
        seed: int = 0,
        provenance: Mapping[str, Any] | None = None,
        evaluated: Sequence[str] = ("val",),
    ) -> None:
        super().__init__()
        self.network = network
        self.strategy = strategy
        self.cached = cached
        self.head_lr = head_lr
        self.backbone_lr = backbone_lr
        self.open_every = open_every
        self.make_optimizer = make_optimizer
        self.make_schedule = make_schedule
        self.seed = seed
        self.provenance = dict(provenance or {})
        self.evaluated = tuple(evaluated)
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)
        rows = None if row_weights is None else torch.tensor(row_weights, dtype=torch.float32)
        self.register_buffer("row_weights", rows, persistent=False)
        self.train_metrics = EpochMetrics(with_auroc=False)
        self.evaluation_metrics = nn.ModuleList(EpochMetrics(with_auroc=True) for _ in evaluated)
        if cached:
            # a cached run's checkpoints hold the head alone; see on_save_checkpoint
            self.strict_loading = False

    def forward(self, images: Tensor) -> Tensor:
        """Return logits float32 (B, 2) of uint8 images (B, 3, S, S)."""
        values = images.float().div(255)
        if self.network._compiled_call_impl is not None:
            # compiled once for training and once for evaluation, and not again for the smaller
            # batch at the end of each loader
            torch._dynamo.maybe_mark_dynamic(values, 0)
        logits: Tensor = self.network(values)
        return logits.float()

    def logits_of(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return logits float32 (B, 2) of a batch of images or of cached features."""
        if "features" in batch:
            assert is_split(self.network)
            return self.network.head_logits(batch["features"])
        logits: Tensor = self(batch["image"])
        return logits

    def loss_of(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the weighted cross-entropy () of logits (B, 2), a mean over the batch."""
        rows = self._buffers["row_weights"]
        if rows is None:
            return F.cross_entropy(logits, batch["label"], weight=self._buffers["class_weights"])
        # over the number of rows and not over their weights: a batch of copies of one photograph
        # shall count little
        each = F.cross_entropy(logits, batch["label"], reduction="none")
        return (each * rows[batch["index"]]).mean()

    # -- training ---------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Open what learns in this epoch."""
        opened = strategies.open_modules(
            self.network, self.strategy, self.current_epoch, self.open_every
        )
        strategies.set_trainable(self.network, opened)

    def on_train_batch_start(self, batch: Mapping[str, Tensor], batch_idx: int) -> None:
        """Seed the global generators from (seed, step), so that a resumed run repeats them."""
        del batch, batch_idx
        state = np.random.SeedSequence([self.seed, self.global_step]).generate_state(1, np.uint64)
        if self.device.type == "cpu":
            # torch.manual_seed also writes a traceback for each kind of device that is not there
            torch.default_generator.manual_seed(int(state[0]))
        else:
            torch.manual_seed(int(state[0]))

    def training_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of one batch.

        Raises:
            UserError: If it is not finite.
        """
        logits = self.logits_of(batch)
        loss = self.loss_of(logits, batch)
        if self._looks_at_loss(batch_idx) and not math.isfinite(loss.item()):
            raise not_finite(loss.item(), self)
        self.train_metrics.update(loss.detach(), logits.detach(), batch["label"])
        return loss

    def _looks_at_loss(self, batch_idx: int) -> bool:
        # reading a value stops a GPU's queue, so there only now and then
        return self.device.type == "cpu" or batch_idx % 20 == 0

    # -- evaluation -------------------------------------------------------------------------

    def validation_step(
        self, batch: Mapping[str, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Count one batch of the loader's split."""
        del batch_idx
        logits = self.logits_of(batch)
        loss = self.loss_of(logits, batch)
        self._evaluation(dataloader_idx).update(loss, logits, batch["label"])

    def on_validation_epoch_end(self) -> None:
        """Make each evaluated split's figures known to callbacks, such as ``val/loss``."""
        for position, name in enumerate(self.evaluated):
            values = self._evaluation(position).figures()
            named = {f"{name}/{key}": value for key, value in values.items()}
            self.log_dict(named, logger=False)  # the history hands them on, by epoch

    def _evaluation(self, position: int) -> EpochMetrics:
        metrics = self.evaluation_metrics[position]
        assert isinstance(metrics, EpochMetrics)
        return metrics

    def predict_step(self, batch: Mapping[str, Tensor], batch_idx: int) -> tuple[Tensor, Tensor]:
        """Return (index int64 (B,), log-odds of normal float64 (B,))."""
        del batch_idx
        logits = self.logits_of(batch).double()
        return batch["index"], logits[:, NORMAL] - logits[:, DEFECTIVE]

    # -- optimizer and checkpoints ------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its schedule by step."""
        groups = strategies.parameter_groups(
            self.network, self.strategy, self.head_lr, self.backbone_lr
        )
        optimizer = self.make_optimizer(groups)
        if self.make_schedule is None:
            return optimizer
        total = int(self.trainer.estimated_stepping_batches)
        epochs = self.trainer.max_epochs or 1
        factor = self.make_schedule(total, max(1, total // epochs))
        scheduler = LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the provenance; leave a cached run's backbone out, it never changes."""
        checkpoint[CHECKPOINT_KEY] = {"format": CHECKPOINT_FORMAT, **self.provenance}
        if self.cached:
            assert is_split(self.network)
            for key in strategies.backbone_keys(self.network):
                del checkpoint["state_dict"][f"network.{key}"]


def not_finite(loss: float, module: CastingClassifier) -> UserError:
    """Return the error for a training loss that is infinite or not a number."""
    groups = module.trainer.optimizers[0].param_groups
    rates = ", ".join(f"{group['lr']:.2g}" for group in groups)
    return UserError(
        f"the loss became {loss} in epoch {module.current_epoch + 1}, step {module.global_step} at "
        f"learning rate {rates}: lower finetune.head_lr and finetune.backbone_lr, or use "
        "trainer.precision=32-true"
    )


class EpochMetrics(nn.Module):
    """Counts one split over one epoch: loss, verdicts at 0.5 and, if asked for, AUROC.

    Rates are by file with normal as the positive class, as ``evaluate`` computes them. Metrics are
    updated once an epoch: for a small head an update takes as long as the step itself, and what is
    noted of a picture until then is 16 bytes.
    """

    def __init__(self, *, with_auroc: bool) -> None:
        super().__init__()
        self.counts = BinaryStatScores(validate_args=False)
        self.auroc = BinaryAUROC(validate_args=False) if with_auroc else None
        self._noted: list[tuple[Tensor, Tensor, Tensor]] = []

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Note a batch: its mean loss (), logits (B, 2) and labels (B,)."""
        # a copy, because a worker's tensor holds a file open
        self._noted.append((loss, logits, labels.clone()))

    def figures(self) -> dict[str, Tensor]:
        """Return and forget loss, accuracy, escape and overkill rate and AUROC."""
        losses, logits, labels = zip(*self._noted, strict=True)
        self._noted = []
        values = {"loss": mean_loss(losses, [len(batch) for batch in labels])}
        log_odds = torch.cat([each[:, NORMAL] - each[:, DEFECTIVE] for each in logits])
        truth = torch.cat(labels)
        # a tie is defective, so normal is what lies strictly above
        self.counts.update((log_odds > 0).long(), truth)
        tp, fp, tn, fn, _ = self.counts.compute().float()
        self.counts.reset()
        values |= {
            "accuracy": (tp + tn) / (tp + tn + fp + fn),
            "escape_rate": fp / (fp + tn).clamp(min=1),
            "overkill_rate": fn / (tp + fn).clamp(min=1),
        }
        if self.auroc is not None and (tp + fn) * (tn + fp) > 0:  # of one class there is none
            # double, because the sigmoid of a large float32 is exactly 1
            self.auroc.update(torch.sigmoid(log_odds.double()), truth)
            values["auroc"] = self.auroc.compute().float()
            self.auroc.reset()
        return values


def mean_loss(losses: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """Return the mean over pictures of batches' mean losses, added up in their order in float32."""
    products = torch.stack(list(losses)).float().cpu() * torch.tensor(sizes, dtype=torch.float32)
    return torch.tensor(sum(products.numpy(), np.float32(0)) / np.float32(sum(sizes)))
