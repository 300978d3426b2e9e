"""What a finished run decided, as a network that ships needs it: calibration and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from casting_inspect.deployment.verdict import Limits
from casting_inspect.errors import UserError
from casting_inspect.evaluation.calibration import Calibration
from casting_inspect.evaluation.predictions import log_odds

SURE: Final = 1e9
"""Log-odds that no score reaches: limits that pass nothing, or reject nothing."""


@dataclass(frozen=True)
class Decided:
    """A run's decision, on the scale on which its network ships.

    Attributes:
        calibration: Turns the network's log-odds into those of equally frequent classes.
        shift: Added to them for the line's share of defective parts.
        raw: The run's limits, on the network's own probability.
        limits: The same on the probability after calibration and shift.
        limits_log_odds: And on log-odds.
        frozen: What the run keeps of the calibration, or None: there was nothing to fit it on.
        decision: What the run keeps of the rule, its reason and its facts.
    """

    calibration: Calibration
    shift: float
    raw: Limits
    limits: Limits
    limits_log_odds: Limits
    frozen: Mapping[str, Any] | None
    decision: Mapping[str, Any]


def decided_by(record: Mapping[str, Any], folder: Path) -> Decided:
    """Return what a run decided.

    Args:
        record: Its ``run.json``.
        folder: Where it lies, for messages.

    Raises:
        UserError: If it has not come to a decision.
    """
    decision = record.get("decision") or {}
    threshold = decision.get("threshold", record.get("threshold"))
    if record.get("status") != "finished" or threshold is None:
        raise UserError(
            f"the run in {folder} has no threshold: it is not finished, or holds several folds "
            "without a model of all groups; train with data.fold=final, and resume=RUN_DIR "
            "finishes a run"
        )
    low = decision.get("threshold_low")
    raw = Limits(float(threshold), float(threshold if low is None else low))
    frozen = record.get("calibration")
    calibration, shift = Calibration(), 0.0
    if frozen is not None:
        calibration = Calibration(float(frozen["slope"]), float(frozen["intercept"]))
        shift = float(frozen["prior_shift"])
    high, lower = (shipped_log_odds(value, calibration, shift) for value in (raw.high, raw.low))
    return Decided(
        calibration,
        shift,
        raw,
        Limits(shipped_probability(high), shipped_probability(lower)),
        Limits(high, lower),
        frozen,
        decision or {"rule": "unknown", "threshold": threshold, "threshold_low": None},
    )


def shipped_log_odds(limit: float, calibration: Calibration, shift: float) -> float:
    """Return a limit on the network's own probability as one on the log-odds that ship.

    Limits at 0 and 1 or beyond, which let every score through or none, stay so.
    """
    if limit <= 0.0 or limit >= 1.0:
        return SURE if limit >= 1.0 else -SURE
    return float(calibration.log_odds(log_odds(np.asarray(limit)))) + shift


def shipped_probability(limit: float) -> float:
    """Return the probability of a limit on log-odds."""
    return float(Calibration().probabilities(np.asarray(limit)))
