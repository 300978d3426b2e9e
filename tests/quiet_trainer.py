"""A Lightning trainer that prints and keeps nothing that a test does not ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L


def quiet_trainer(folder: Path, epochs: int, **options: Any) -> L.Trainer:
    """Return a trainer on the CPU without logger, bars and sanity check."""
    return L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        **options,
    )
