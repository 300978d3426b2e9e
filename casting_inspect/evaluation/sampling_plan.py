"""Acceptance tests by counting: how many castings, how many errors are allowed, and the power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from casting_inspect.evaluation.escape import castings_needed

MOST_ALLOWED: Final = 1_000
"""Errors allowed at most; a plan that needs more asks for rates that lie too close together."""


@dataclass(frozen=True)
class Plan:
    """A single-sampling plan by attributes.

    Attributes:
        castings: To be tested, of one class, every one once.
        allowed: Errors among them with which the test is still passed.
        limit: The rate that is excluded when it is passed, above 0 and below 1.
        risk: Probability to pass at ``limit``, at most 1 - confidence.
        expected: The rate that the inspector is expected to have.
        power: Probability to pass at ``expected``.
    """

    castings: int
    allowed: int
    limit: float
    risk: float
    expected: float
    power: float


def pass_probability(
    rate: ArrayLike, castings: int, allowed: int, lot: int | None = None
) -> NDArray[np.float64]:
    """Return the operating characteristic: the probability of at most ``allowed`` errors.

    Args:
        rate: True error rates, 0 to 1, any shape.
        castings: Castings tested.
        allowed: Errors allowed.
        lot: Size of the finite lot that they are drawn from without putting back, at least
            ``castings``; the errors in it are ``rate * lot`` rounded. None: no end of castings.

    Returns:
        Probabilities in the shape of ``rate``: binomial, or hypergeometric in a lot.
    """
    rates = np.asarray(rate, dtype=np.float64)
    if lot is None:
        return np.asarray(stats.binom.cdf(allowed, castings, rates), dtype=np.float64)
    wrong = np.rint(rates * lot).astype(int)
    return np.asarray(stats.hypergeom.cdf(allowed, lot, wrong, castings), dtype=np.float64)


def plan_with(limit: float, allowed: int, expected: float, confidence: float = 0.95) -> Plan:
    """Return the smallest plan that excludes ``limit`` with so many errors allowed.

    Args:
        limit: Rate to be excluded, above 0 and below 1.
        allowed: Errors allowed, at least 0.
        expected: Rate at which the power is stated, at least 0.
        confidence: Of the exact one-sided bound, above 0.5 and below 1.

    Source: Clopper and Pearson 1934; without an error the success-run formula
    n = ln(1 - confidence) / ln(1 - limit), rounded up (Hahn and Meeker 1991).
    """
    castings = castings_needed(limit, allowed, confidence)
    return Plan(
        castings,
        allowed,
        limit,
        float(pass_probability(limit, castings, allowed)),
        expected,
        float(pass_probability(expected, castings, allowed)),
    )


def smallest_plan(
    limit: float, expected: float, confidence: float = 0.95, power: float = 0.8
) -> Plan | None:
    """Return the plan of fewest castings that excludes ``limit`` and is likely to be passed.

    The number of castings and the power at ``expected`` both rise with the errors allowed, so the
    first number with enough power is the smallest plan.

    Args:
        limit: Rate to be excluded.
        expected: True rate, at which the test is to be passed with probability ``power``.
        confidence: Of the exact one-sided bound.
        power: Above 0 and below 1.

    Returns:
        None where even `MOST_ALLOWED` errors allowed do not give the power.
    """
    low, high = 0, 1
    if plan_with(limit, 0, expected, confidence).power >= power:
        return plan_with(limit, 0, expected, confidence)
    while plan_with(limit, high, expected, confidence).power < power:
        low, high = high, 2 * high
        if high > MOST_ALLOWED:
            return None
    # power need not rise at every single step, since castings are whole: look at each
    for allowed in range(low + 1, high + 1):
        if (found := plan_with(limit, allowed, expected, confidence)).power >= power:
            return found
    return None


def alternatives(plan: Plan, confidence: float = 0.95) -> list[Plan]:
    """Return the plans from no error allowed to one more than a plan allows, at most ten."""
    first = max(0, plan.allowed - 5)
    wanted = sorted({*range(4), *range(first, plan.allowed + 2)})
    return [plan_with(plan.limit, allowed, plan.expected, confidence) for allowed in wanted]


def characteristic(plans: Sequence[Plan], points: int = 201) -> NDArray[np.float64]:
    """Return the curve of each plan over rates from 0 to three times its limit, at most 1.

    Returns:
        (plans, points, 2): rate and probability to pass.
    """
    found = []
    for plan in plans:
        rates = np.linspace(0.0, min(1.0, 3.0 * plan.limit), points)
        found.append(np.stack([rates, pass_probability(rates, plan.castings, plan.allowed)], 1))
    return np.stack(found)
