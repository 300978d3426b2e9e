"""One way to time for every question: interleaved, warmed up, medians and their spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timed:
    """Seconds of the repetitions of one candidate."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median in seconds."""
        return statistics.median(self.seconds)


def side_by_side(
    candidates: Mapping[str, Callable[[], object]], repeats: int = 5
) -> dict[str, Timed]:
    """Time candidates in turn, ``repeats`` times round, after one round that does not count.

    Interleaving spreads whatever else the machine does over all of them alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for round_ in range(repeats + 1):
        for name, run in candidates.items():
            started = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if round_:
                seconds[name].append(time.perf_counter() - started)
    return {name: Timed(tuple(values)) for name, values in seconds.items()}


def matmul_rate(dtype: torch.dtype, device: torch.device, side: int = 2048) -> Callable[[], object]:
    """Return a matrix product of 2 * side^3 operations, the ceiling of every convolution."""
    a = torch.randn(side, side, device=device).to(dtype)
    b = torch.randn(side, side, device=device).to(dtype)
    return lambda: a @ b
