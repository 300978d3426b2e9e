"""One way to time for every question: interleaved, warmed up, medians and their spread."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from settings import REPEATS


@dataclass(frozen=True)
class Timed:
    """Seconds of the repetitions of one candidate."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median in seconds."""
        return statistics.median(self.seconds)

    def per(self, count: float) -> Timed:
        """Return the seconds of one of ``count`` things that were timed together."""
        return Timed(tuple(value / count for value in self.seconds))


def side_by_side(
    candidates: Mapping[str, Callable[[], object]], repeats: int = REPEATS
) -> dict[str, Timed]:
    """Time candidates in turn, ``repeats`` times round, after one round that does not count.

    Interleaving spreads whatever else the machine does over all of them alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for round_ in range(repeats + 1):
        for name, run in candidates.items():
            took = timed(run)
            if round_:
                seconds[name].append(took)
    return {name: Timed(tuple(values)) for name, values in seconds.items()}


def timed(run: Callable[[], object]) -> float:
    """Return the seconds of one call, a GPU's queue emptied."""
    started = time.perf_counter()
    run()
    wait_for_device()
    return time.perf_counter() - started


def wait_for_device() -> None:
    """Wait until a GPU, where there is one, has done what it was given."""
    torch = sys.modules.get("torch")  # not imported for this alone
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def extrapolated(epochs: Sequence[float], measured: int, wanted: int, number: int) -> float:
    """Return the seconds of ``number`` epochs on ``wanted`` pictures from a few on ``measured``.

    The fastest measured epoch counts, which is the peer's best: the first one warms up.

    Args:
        epochs: Seconds of the measured epochs.
        measured: Pictures in each of them.
        wanted: Pictures of an epoch that is asked for.
        number: Epochs asked for.
    """
    if not epochs or measured < 1:
        raise ValueError("at least one epoch of one picture must have been measured")
    return min(epochs) / measured * wanted * number
