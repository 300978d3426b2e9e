"""Learning-rate factors as pure functions of the step."""

from __future__ import annotations

import math
from collections.abc import Callable


def warmup_cosine(
    total_steps: int, warmup_steps: int, final_fraction: float = 0.0
) -> Callable[[int], float]:
    """Return the factor of a linear warm-up followed by half a cosine.

    Loshchilov and Hutter (2017), "SGDR", eq. 5 without restarts.

    Args:
        total_steps: Optimizer steps of the whole run, at least 1.
        warmup_steps: Steps of the linear rise from 1/warmup_steps to 1.
        final_fraction: The factor at the last step.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return final_fraction + (1 - final_fraction) * 0.5 * (1 + math.cos(math.pi * min(1, done)))

    return factor


def constant(total_steps: int, warmup_steps: int) -> Callable[[int], float]:
    """Return the factor of a linear warm-up followed by 1."""
    del total_steps

    def factor(step: int) -> float:
        return min(1.0, (step + 1) / max(1, warmup_steps))

    return factor
