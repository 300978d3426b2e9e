"""Scores become probabilities: calibrated on unseen rows, shifted to the line's defect rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from casting_inspect.evaluation.intervals import effective_groups
from casting_inspect.evaluation.metrics import truths
from casting_inspect.evaluation.predictions import log_odds
from casting_inspect.evaluation.thresholds import shares_by_group

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Calibration:
    """A straight line through the log-odds: ``slope * logit + intercept``.

    Attributes:
        slope: Above 0; 1 / temperature.
        intercept: Log-odds that a logit of 0 stands for; 0 for a temperature.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def log_odds(self, logits: Floats) -> Floats:
        """Return calibrated log-odds of normal where both classes are equally frequent, (n,)."""
        return np.asarray(self.slope * logits + self.intercept, np.float64)

    def probabilities(self, logits: Floats, prevalence: float = 0.5) -> Floats:
        """Return probabilities of normal where a share ``prevalence`` of parts is defective."""
        return np.asarray(expit(self.log_odds(logits) + prior_shift(prevalence)), np.float64)

    def logit_of(self, probability: float, prevalence: float = 0.5) -> float:
        """Return the logit whose calibrated probability of normal is ``probability``."""
        odds = float(log_odds(np.asarray(probability))) - prior_shift(prevalence)
        return (odds - self.intercept) / self.slope


def prior_shift(prevalence: float) -> float:
    """Return what is added to log-odds of normal made at equal classes (Saerens and others 2002).

    Args:
        prevalence: Share of defective parts on the line, above 0 and below 1.
    """
    return -float(log_odds(np.asarray(prevalence)))


def fit_temperature(logits: Floats, normal: Bools, shares: Floats) -> Calibration:
    """Return the temperature of the smallest weighted log loss (Guo and others 2017).

    Args:
        logits: Log-odds of normal of files that the model has not learnt, (n,).
        normal: The truth, (n,); both classes are there.
        shares: Weight of each file, (n,); ``thresholds.shares_by_group`` lets groups weigh equally
            within a class, and classes equally.
    """
    targets = smoothed(normal, shares)
    return Calibration(slope=_solve(logits, targets, shares, intercept=False)[0])


def fit_platt(logits: Floats, normal: Bools, shares: Floats) -> Calibration:
    """Return slope and intercept of the smallest weighted log loss (Platt 1999); see above."""
    slope, intercept = _solve(logits, smoothed(normal, shares), shares, intercept=True)
    return Calibration(slope, intercept)


METHODS: Final = {"temperature": fit_temperature, "platt": fit_platt}
"""What ``decide.calibration`` may be."""


def fitted(method: str, table: pd.DataFrame) -> Calibration:
    """Return the calibration of a predictions table, groups weighing equally within a class.

    Args:
        method: One of ``METHODS``.
        table: A complete predictions table of files that the model has not learnt, both classes.
    """
    normal = truths(table)
    shares = shares_by_group(table, normal)
    return METHODS[method](table["logit"].to_numpy(np.float64), normal, shares)


def smoothed(normal: Bools, shares: Floats) -> Floats:
    """Return targets short of 0 and 1 (Platt 1999), so that scores without overlap have a slope.

    What counts is not files but groups: Kish's effective number of each class's weights.
    """
    targets = np.zeros(len(normal))
    for kind in (False, True):
        effective = effective_groups(shares[normal == kind])
        certain = (effective + 1.0) / (effective + 2.0)
        targets[normal == kind] = certain if kind else 1.0 - certain
    return targets


def _solve(
    logits: Floats, targets: Floats, shares: Floats, *, intercept: bool
) -> tuple[float, float]:
    from scipy.optimize import minimize

    scale = float(np.abs(logits).max()) or 1.0  # so that the solver's steps fit any scores
    x, weights = logits / scale, shares / shares.sum()

    def loss(values: Floats) -> tuple[float, Floats]:
        slope = np.exp(values[0])
        z = slope * x + (values[1] if intercept else 0.0)
        value = -weights @ (targets * log_expit(z) + (1.0 - targets) * log_expit(-z))
        error = weights * (expit(z) - targets)
        gradient = [error @ x * slope, error.sum()] if intercept else [error @ x * slope]
        return float(value), np.array(gradient)

    start = np.array([1.0, 0.0] if intercept else [1.0])
    # the slope is the exponential of what is sought: above 0, and not without end
    bounds = [(-15.0, 10.0)] + [(-50.0, 50.0)] * intercept
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(np.exp(found[0]) / scale), float(found[1]) if intercept else 0.0
