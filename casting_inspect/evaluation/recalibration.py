"""How far log-odds are from meaning what they say: calibration slope and intercept over groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from casting_inspect.evaluation.metrics import UNDEFINED, Figure

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.intp]

_STEPS: Final = 100
_TOLERANCE: Final = 1e-10
NO_OVERLAP: Final = "the classes' scores do not overlap: any steeper slope fits as well"


@dataclass(frozen=True)
class FitRows:
    """The rows of one trained model, both classes among them.

    Attributes:
        logits: Log-odds of normal, (n,).
        normal: The truth, (n,).
        shares: Weight of each file, (n,); groups weigh equally within a class, and classes equally.
        groups: The group's number of each file, the same in all fits, (n,).
    """

    logits: Floats
    normal: Bools
    shares: Floats
    groups: Integers


def overlap(rows: FitRows) -> bool:
    """Say whether the classes' scores overlap, so that a slope can be found."""
    good, bad = rows.logits[rows.normal], rows.logits[~rows.normal]
    return bool(good.min() < bad.max() and bad.min() < good.max())


def slope(fits: Sequence[FitRows]) -> Figure:
    """Return the mean over fits of the slope of a logistic regression on the log-odds.

    1 is right, below 1 too sure. None where the scores of a fit do not overlap.

    Source: Cox 1958; the limits are cluster-robust, Student's t over groups within class.
    """
    if not all(overlap(rows) for rows in fits):
        return dict(UNDEFINED)
    return _mean_of_fits(fits, 0)


def intercept(fits: Sequence[FitRows]) -> Figure:
    """Return the mean over fits of the intercept of such a regression with the slope held at 1.

    0 is right, above 0 too strict: parts are normal more often than the log-odds say.

    Source: calibration in the large (Van Calster and others 2019).
    """
    return _mean_of_fits(fits, 1)


def _mean_of_fits(fits: Sequence[FitRows], which: int) -> Figure:
    """Return the mean over fits of slope (0) or intercept (1), with limits over groups.

    A group's influence on an estimate is the sum of its files'; over fits influences add up, so
    that a group in several fits is still one.
    """
    values = []
    units = 2 * (1 + max(int(rows.groups.max()) for rows in fits))
    influence, present = np.zeros(units), np.zeros(units, dtype=np.bool_)
    for rows in fits:
        value, of_file = (_with_slope if which == 0 else _with_intercept)(rows)
        unit = 2 * rows.groups + rows.normal
        values.append(value)
        influence += np.bincount(unit, of_file, units) / len(fits)
        present[unit] = True
    value = float(np.mean(values))
    variance, fewest = 0.0, np.inf
    for kind in (0, 1):
        inside = influence[kind::2][present[kind::2]]
        count = len(inside)
        fewest = min(fewest, count)
        if count > 1:
            variance += count / (count - 1) * float(np.square(inside - inside.mean()).sum())
    if fewest < 2:
        return {"value": value, "low": None, "high": None}
    reach = float(stats.t.ppf(0.975, fewest - 1)) * variance**0.5
    return {"value": value, "low": value - reach, "high": value + reach}


def _with_slope(rows: FitRows) -> tuple[float, Floats]:
    """Return the slope and each file's influence on it, (n,)."""
    scale = float(np.std(rows.logits)) or 1.0  # so that both directions are alike to the solver
    columns = np.stack([rows.logits / scale, np.ones(len(rows.logits))], axis=1)
    found, influence = _newton(columns, rows, np.zeros(len(rows.logits)))
    return float(found[0]) / scale, influence[:, 0] / scale


def _with_intercept(rows: FitRows) -> tuple[float, Floats]:
    """Return the intercept at a slope of 1 and each file's influence on it, (n,)."""
    found, influence = _newton(np.ones((len(rows.logits), 1)), rows, rows.logits)
    return float(found[0]), influence[:, 0]


def _newton(columns: Floats, rows: FitRows, offset: Floats) -> tuple[Floats, Floats]:
    """Return the weighted logistic regression and each file's influence, (n, k)."""
    truth, shares = rows.normal.astype(np.float64), rows.shares
    found = np.zeros(columns.shape[1])

    def loss(at: Floats) -> float:
        z = offset + columns @ at
        return float(shares @ (np.logaddexp(0.0, z) - truth * z))

    now = loss(found)
    for _ in range(_STEPS):
        p = expit(offset + columns @ found)
        gradient = columns.T @ (shares * (truth - p))
        step = np.linalg.lstsq(_curvature(columns, shares, p), gradient, rcond=None)[0]
        step *= min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-300))
        while (then := loss(found + step)) > now + 1e-15 and np.abs(step).max() > _TOLERANCE:
            step = step / 2.0
        found, now = found + step, then
        if np.abs(step).max() <= _TOLERANCE:
            break
    p = expit(offset + columns @ found)
    inverse = np.linalg.pinv(_curvature(columns, shares, p))
    return found, (columns * (shares * (truth - p))[:, None]) @ inverse


def _curvature(columns: Floats, shares: Floats, p: Floats) -> Floats:
    return np.asarray((columns * (shares * p * (1.0 - p))[:, None]).T @ columns, np.float64)
