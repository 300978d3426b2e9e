"""What an inspector's rates mean on a line: of a million parts, at the line's defect rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from casting_inspect.evaluation.metrics import UNDEFINED, Figure
from casting_inspect.evaluation.terms import Terms

MILLION: Final = 1_000_000.0
Weighted = tuple[float, Mapping[str, Any]]
"""A weight, at least 0, and a figure with its limits."""


def line_figures(rates: Mapping[str, Any], terms: Terms) -> dict[str, Any]:
    """Return what happens to a million parts, with limits that follow from those of the rates.

    Args:
        rates: What ``review_figures`` returns: rates by group with limits.
        terms: The line's.

    Returns:
        ``prevalence``; ``per_million`` {``escapes``, ``good_rejected``, ``person``};
        ``rejects_truly_defective``, a share; ``cost_per_million``, None where a cost that it needs
        is not known. Each is {``value``, ``low``, ``high``}, None where a class is missing.

    Source: the limits of sums are MOVER's (Zou and Donner 2008); those of the share take both rates
    at the ends of their limits at once, which is on the safe side.
    """
    bad, good = MILLION * terms.prevalence, MILLION * (1.0 - terms.prevalence)
    escapes = (bad, rates["escape_rate_by_group"])
    rejected = (good, rates["overkill_rate_by_group"])
    looks = [
        (bad, rates["review_rate_defective_by_group"]),
        (good, rates["review_rate_normal_by_group"]),
    ]
    return {
        "prevalence": terms.prevalence,
        "per_million": {
            "escapes": weighted_sum([escapes]),
            "good_rejected": weighted_sum([rejected]),
            "person": weighted_sum(looks),
        },
        "rejects_truly_defective": share_of_sum(
            (bad, rates["reject_rate_defective_by_group"]), rejected
        ),
        "cost_per_million": _cost(escapes, rejected, looks, terms),
    }


def weighted_sum(parts: Sequence[Weighted]) -> Figure:
    """Return a sum of weight times figure, with MOVER's limits; undefined where a figure is."""
    if any(figure["value"] is None for _, figure in parts):
        return dict(UNDEFINED)
    value = sum(weight * figure["value"] for weight, figure in parts)
    down = np.hypot.reduce([weight * (figure["value"] - figure["low"]) for weight, figure in parts])
    up = np.hypot.reduce([weight * (figure["high"] - figure["value"]) for weight, figure in parts])
    return {"value": float(value), "low": float(value - down), "high": float(value + up)}


def share_of_sum(first: Weighted, second: Weighted) -> Figure:
    """Return first / (first + second) with limits; undefined where a figure is, or both are 0."""
    if first[1]["value"] is None or second[1]["value"] is None:
        return dict(UNDEFINED)

    def share(one: str, other: str) -> float | None:
        parts = first[0] * first[1][one], second[0] * second[1][other]
        return float(parts[0] / sum(parts)) if sum(parts) > 0.0 else None

    value = share("value", "value")
    if value is None:
        return dict(UNDEFINED)
    low, high = share("low", "high"), share("high", "low")
    return {
        "value": value,
        "low": 0.0 if low is None else low,
        "high": 1.0 if high is None else high,
    }


def _cost(
    escapes: Weighted, rejected: Weighted, looks: Sequence[Weighted], terms: Terms
) -> Figure | None:
    """Return the cost of a million parts, or None where one that it needs is not known."""
    if terms.cost_escape is None or terms.cost_overkill is None:
        return None
    nobody_looks = all(figure["value"] in (0.0, None) for _, figure in looks)
    if terms.cost_review is None and not nobody_looks:
        return None
    parts = [
        (terms.cost_escape * escapes[0], escapes[1]),
        (terms.cost_overkill * rejected[0], rejected[1]),
    ]
    if not nobody_looks and terms.cost_review is not None:
        parts += [(terms.cost_review * weight, figure) for weight, figure in looks]
    return weighted_sum(parts)
