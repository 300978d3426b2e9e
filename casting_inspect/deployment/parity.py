"""The parity gate: how far a bundle's model is from its checkpoint, and whether it may ship."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.deployment.scorer import probabilities
from casting_inspect.deployment.verdict import Limits
from casting_inspect.evaluation.differences import error_rates, sign_flip
from casting_inspect.evaluation.parts import judged
from casting_inspect.evaluation.predictions import BAND
from casting_inspect.evaluation.significance import SIGNIFICANT
from casting_inspect.evaluation.terms import Terms
from casting_inspect.labels import DEFECTIVE, NORMAL

Floats = NDArray[np.float64]

MAX_CHANGES: Final = {"fp32": 0.0, "fp16": 0.002, "int8": 0.01}
"""Largest share of verdicts that may change, by precision."""


def parity(
    table: pd.DataFrame, reference: Floats, found: Floats, limits: Limits, terms: Terms
) -> dict[str, Any]:
    """Return how far a model is from its checkpoint on some pictures, as plain data.

    Args:
        table: A complete predictions table, for labels, groups and parts.
        reference: The checkpoint's log-odds of normal, calibrated and shifted, (n,).
        found: The model's, (n,).
        limits: On these log-odds.
        terms: What is passed or rejected: pictures or parts.

    Returns:
        ``n``; ``p_normal`` and ``log_odds``: {``largest``, ``mean``} absolute difference;
        ``verdict_changes`` and ``verdict_change_share``; ``escapes`` and ``overkills``, by group:
        {``reference``, ``bundle``, ``difference``, ``p`` (two-sided), ``groups_that_differ``}, None
        where the class is missing.
    """
    gap = np.abs(found - reference)
    gap_p = np.abs(probabilities(found) - probabilities(reference))
    before, after = (verdict_numbers(scores, limits) for scores in (reference, found))
    changes = int(np.count_nonzero(before != after))
    tables = [_with_scores(table, scores, limits, terms) for scores in (reference, found)]
    return {
        "n": len(table),
        "p_normal": {"largest": float(gap_p.max()), "mean": float(gap_p.mean())},
        "log_odds": {"largest": float(gap.max()), "mean": float(gap.mean())},
        "verdict_changes": changes,
        "verdict_change_share": changes / len(table),
        "escapes": _errors(tables, DEFECTIVE),
        "overkills": _errors(
            [one.assign(threshold=one[BAND]) for one in tables],
            NORMAL,
        ),
    }


def verdict_numbers(scores: Floats, limits: Limits) -> NDArray[np.int8]:
    """Return 1 for pass, 0 for reject, -1 for a person, (n,); see `Limits.divide`."""
    found = np.where(scores > limits.high, 1, -1).astype(np.int8)
    found[scores <= limits.low] = 0
    return found


def _with_scores(table: pd.DataFrame, scores: Floats, limits: Limits, terms: Terms) -> pd.DataFrame:
    """Return a table of what is judged, with some scores in place of its own."""
    # ranks of log-odds, because p_normal of a table lies from 0 to 1 and may saturate there
    columns = {"logit": scores, "p_normal": probabilities(scores)}
    rows = judged(table.assign(**columns), terms)
    scaled = rows["logit"].to_numpy(np.float64)
    return rows.assign(p_normal=scaled, threshold=limits.high, **{BAND: limits.low})


def _errors(tables: list[pd.DataFrame], label: int) -> dict[str, Any] | None:
    rates = [error_rates(table, label, "group_wide") for table in tables]
    if not len(rates[0]):
        return None
    gap = (rates[1] - rates[0]).to_numpy(np.float64)
    test = sign_flip(gap)
    return {
        "reference": float(rates[0].mean()),
        "bundle": float(rates[1].mean()),
        "difference": float(gap.mean()),
        "p": test.p,
        "groups_that_differ": test.differing,
    }


def expected_changes(margins: Floats, differences: Floats) -> float:
    """Return the share of verdicts that would change if scores had some margins.

    Pictures that a network has learnt lie far from the threshold, and hardly a verdict changes
    there. Scores of pictures that a network had not seen, out of fold, lie as new ones will; each
    is given each of the differences that were measured.

    Args:
        margins: Log-odds less the limit, (m,).
        differences: Of the bundle's log-odds from the checkpoint's, (n,).
    """
    ordered = np.sort(differences)
    # a score above the limit falls to it or below where the difference is at most -margin; a
    # score at the limit or below rises above it where the difference is larger than that
    fallen = np.searchsorted(ordered, -margins, side="right") / len(ordered)
    return float(np.where(margins > 0, fallen, 1.0 - fallen).mean())


def complaints(figures: Mapping[str, Any], max_changes: float) -> list[str]:
    """Return why a model may not ship, by one comparison; nothing where it may.

    Args:
        figures: What `parity` gives, with ``expected_change_share`` where that was computed.
        max_changes: Largest share of verdicts that may change.
    """
    found = []
    share = figures["verdict_change_share"]
    if share > max_changes:
        found.append(
            f"{figures['verdict_changes']} of {figures['n']} verdicts change ({share:.2%}, at most "
            f"{max_changes:.2%} may)"
        )
    expected = figures.get("expected_change_share")
    # less than one picture more or less is no finding
    if expected is not None and expected > max_changes + 1.0 / figures["n"]:
        found.append(
            f"{expected:.2%} of verdicts on pictures that are new to it would change (at most "
            f"{max_changes:.2%} may)"
        )
    for what in ("escapes", "overkills"):
        errors = figures[what]
        if errors is not None and errors["difference"] > 0 and errors["p"] < SIGNIFICANT:
            found.append(
                f"{what} rise from {errors['reference']:.2%} to {errors['bundle']:.2%} by group "
                f"(p = {errors['p']:.3g})"
            )
    return found
