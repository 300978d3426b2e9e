"""Made-up photographs, and a stand-in for the search for groups that knows the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd


@dataclass(frozen=True)
class StandIn:
    """What the search for groups answers."""

    group: Any
    group_wide: Any
    links: pd.DataFrame
    embedding: Any
    facts: dict[str, Any]


def truth_of(path: Path) -> str:
    """Return the photograph of a test file: what stands before the last underscore."""
    return path.stem.rpartition("_")[0]


def texture(seed: int, side: int = 72, level: float = 128.0) -> np.ndarray:
    """Return one made-up photograph, uint8 (side, side): blobs that no other seed has."""
    noise = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.2)
    grey = level + 28.0 * smooth / smooth.std()
    return np.clip(grey, 0, 255).astype(np.uint8)


def write(root: Path, name: str, picture: np.ndarray) -> str:
    """Write a picture and return its path in the manifest."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return name
