"""Callbacks: one line of history an epoch, a progress bar in images/s, early stopping."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, RichProgressBar
from rich.console import Console

from casting_inspect.files import replace_text
from casting_inspect.training.classifier import CastingClassifier, not_finite

FIELDS = ("epoch", "split", "loss", "accuracy", "escape_rate", "overkill_rate", "auroc", "lr")

SPEED = "speed/training_images_per_second"
EPOCH_SECONDS = "speed/seconds_of_training_an_epoch"


class History(Callback):
    """Logs the training figures of an epoch and keeps ``history.csv``, a row an epoch and split.

    Args:
        path: The table; on resume the rows of epochs that are done again are replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self.speed = ImagesPerSecond()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the rows of the epochs before this one."""
        del pl_module
        if trainer.current_epoch > 0 and self.path.exists():
            with self.path.open(encoding="utf-8", newline="") as stream:
                rows = list(csv.DictReader(stream))
            self.rows = [row for row in rows if int(row["epoch"]) <= trainer.current_epoch]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        del trainer, pl_module
        self.speed.restart()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count one batch."""
        del trainer, pl_module, outputs, batch_idx
        self.speed.add(batch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add this epoch's rows, epochs counted from 1."""
        assert isinstance(pl_module, CastingClassifier)
        values = {key: float(value) for key, value in pl_module.train_metrics.figures().items()}
        if not math.isfinite(values["loss"]):
            raise not_finite(values["loss"], pl_module)
        by_epoch = {f"train/{key}": value for key, value in values.items()}
        pl_module.log_dict(by_epoch, logger=False)
        rates = {
            str(group.get("name", number)): float(group["lr"])
            for number, group in enumerate(trainer.optimizers[0].param_groups)
        }
        by_epoch |= {f"learning_rate/{name}": rate for name, rate in rates.items()}
        self._add(trainer.current_epoch, "train", {**values, "lr": max(rates.values())})
        for split in pl_module.evaluated:
            logged = trainer.callback_metrics
            shown = (key for key in FIELDS if f"{split}/{key}" in logged)
            found = {key: float(logged[f"{split}/{key}"]) for key in shown}
            if found:
                self._add(trainer.current_epoch, split, found)
                by_epoch |= {f"{split}/{key}": value for key, value in found.items()}
        by_epoch |= {SPEED: self.speed.rate, EPOCH_SECONDS: self.speed.seconds}
        for logger in trainer.loggers:
            # by epoch, as the table and the figures, where Lightning would count steps
            logger.log_metrics(by_epoch, step=trainer.current_epoch + 1)
        self._write()

    def _add(self, epoch: int, split: str, values: Mapping[str, float]) -> None:
        text = {key: f"{value:.9g}" for key, value in values.items()}
        self.rows.append({"epoch": epoch + 1, "split": split, **text})

    def _write(self) -> None:
        out = io.StringIO()
        writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        replace_text(self.path, out.getvalue())


class ResumableEarlyStopping(EarlyStopping):
    """EarlyStopping that, resumed after it had decided to stop, stops at once."""

    stopped = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop before another epoch when that was decided before the interruption."""
        del pl_module
        trainer.should_stop = self.stopped

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the decision, for the checkpoint that is written next."""
        super().on_train_epoch_end(trainer, pl_module)
        self.stopped = trainer.should_stop

    def state_dict(self) -> dict[str, Any]:
        """Return Lightning's state and the decision."""
        return {**super().state_dict(), "stopped": self.stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up Lightning's state and the decision."""
        super().load_state_dict(state_dict)
        self.stopped = state_dict["stopped"]


class ImagesPerSecond:
    """Counts pictures and seconds of the running epoch, up to its last batch.

    Attributes:
        pictures: That were learnt from.
        seconds: From the epoch's begin to the end of the last batch; validation is not in it.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin an epoch."""
        self.pictures, self.seconds, self._started = 0, 0.0, time.perf_counter()

    def add(self, batch: Mapping[str, Any]) -> None:
        """Count one batch."""
        self.pictures += len(batch["label"])
        self.seconds = time.perf_counter() - self._started

    @property
    def rate(self) -> float:
        """Images per second since the epoch began."""
        return self.pictures / max(1e-9, self.seconds)


class InspectionProgress(RichProgressBar):
    """Lightning's rich bar (it tells what is left) with images per second beside it."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=4, leave=False)
        self.speed = ImagesPerSecond()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self.speed.restart()
        super().on_train_epoch_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count one batch."""
        self.speed.add(batch)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return images/s and the losses."""
        shown: dict[str, int | str | float | dict[str, float]] = {
            "images/s": f"{self.speed.rate:.0f}"
        }
        for key in ("train/loss", "val/loss", "val/accuracy"):
            if key in trainer.callback_metrics:
                shown[key] = f"{float(trainer.callback_metrics[key]):.4f}"
        del pl_module
        return shown


class EpochLines(Callback):
    """For output that is no terminal: one line an epoch, at most one in ``every`` seconds."""

    def __init__(self, console: Console | None = None, every: float = 5.0) -> None:
        self.console = console or Console(stderr=True, soft_wrap=True)
        self.every = every
        self.speed = ImagesPerSecond()
        self._printed = 0.0
        self._fit_started = 0.0
        self._first_epoch = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to time the fit."""
        del pl_module
        self._fit_started = time.perf_counter()
        self._first_epoch = trainer.current_epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        del trainer, pl_module
        self.speed.restart()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count one batch."""
        del trainer, pl_module, outputs, batch_idx
        self.speed.add(batch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's figures, its speed and the time left."""
        del pl_module
        now = time.perf_counter()
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
        if now - self._printed < self.every and epoch != epochs:
            return
        self._printed = now
        values = trainer.callback_metrics
        shown = [
            f"{key} {float(values[key]):.4f}"
            for key in ("train/loss", "train/accuracy", "val/loss", "val/accuracy")
            if key in values
        ]
        left = (now - self._fit_started) / (epoch - self._first_epoch) * (epochs - epoch)
        self.console.print(
            f"epoch {epoch}/{epochs}  {'  '.join(shown)}  {self.speed.rate:.0f} images/s  "
            f"{left:.0f} s left",
            highlight=False,
        )


def progress_callback() -> Callback:
    """Return the bar for a terminal, lines for a file."""
    return InspectionProgress() if Console(stderr=True).is_terminal else EpochLines()
