"""Decoded pictures kept in this process's memory, within a limit."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch.utils.data import get_worker_info


class PixelCache:
    """Pictures by their place in the manifest, kept until the limit is reached.

    Nothing is thrown out once it is in: each epoch asks for
    every picture once, so that any other rule would only exchange one hit for another. Worker
    processes share the limit: each keeps what it decoded itself up to its part of it.

    Args:
        limit: Bytes; 0 keeps nothing.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._pictures: dict[int, np.ndarray] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return the limit alone: a spawned process starts empty."""
        return {"limit": self.limit, "used": 0, "_pictures": {}}

    def __len__(self) -> int:
        return len(self._pictures)

    def get(self, index: int) -> np.ndarray | None:
        """Return the picture, uint8 (S, S, channels), read-only, or None."""
        return self._pictures.get(index)

    def put(self, index: int, picture: np.ndarray) -> None:
        """Keep a uint8 (S, S, channels) picture, if there is room."""
        worker = get_worker_info()
        room = self.limit // (worker.num_workers if worker else 1) - self.used
        if picture.nbytes > room:
            return
        kept = picture.copy()
        kept.flags.writeable = False
        self._pictures[index] = kept
        self.used += kept.nbytes
