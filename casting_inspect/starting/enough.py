"""The answer in plain words: what would pass and be rejected, is it enough, what would be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casting_inspect.evaluation.acceptance import criteria_of
from casting_inspect.evaluation.escape import castings_needed, upper_limit
from casting_inspect.evaluation.report.sources import read_source
from casting_inspect.evaluation.sampling_plan import smallest_plan


@dataclass(frozen=True)
class Limits:
    """What the line asks for, shares from 0 to 1.

    Attributes:
        max_escape: Of defective castings that pass.
        max_overkill: Of good castings that are rejected.
    """

    max_escape: float
    max_overkill: float


def headline_figures(test: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the figures by group of ``metrics.json`` under the grouping of its headline."""
    under_wide = "by_group_wide" in test and test["headline"]["grouping"] == "group_wide"
    figures: Mapping[str, Any] = test["by_group_wide"] if under_wide else test
    return figures


@dataclass(frozen=True)
class Bounds:
    """One-sided 95 % upper limits of the two rates by casting, by which it is decided.

    Attributes:
        escape: Of the share of defective castings that pass, 0 to 1.
        overkill: Of the share of good castings that are rejected, 0 to 1.
    """

    escape: float
    overkill: float


def bounds_of(run: Path) -> Bounds:
    """Return the limits of a run's rates as its report and its acceptance record have them.

    Args:
        run: The folder of a finished run.
    """
    found = criteria_of(read_source(run, run / "predictions.csv"))
    return Bounds(found["max_escape"].high, found["max_overkill"].high)


def answer(
    test: Mapping[str, Any], limits: Limits, bounds: Bounds, *, strict: bool = False
) -> list[str]:
    """Return two sentences: what the inspector does, and whether that is enough.

    Args:
        test: The figures of the test split in ``metrics.json``.
        limits: What the line asks for.
        bounds: What is held against them.
        strict: Whether the threshold is one at which no known defective casting passes, because
            there are too few of them for what was asked.
    """
    figures = headline_figures(test)
    return [_does(figures, bounds), _enough(figures, limits, bounds, strict)]


def _does(figures: Mapping[str, Any], bounds: Bounds) -> str:
    escape, overkill = (figures[f"{key}_rate_by_group"]["value"] for key in ("escape", "overkill"))
    return (
        f"Of 100 defective castings about {_number(100 * escape)} (at most "
        f"{_highest(bounds.escape)}) would pass, and of 100 good castings about "
        f"{_number(100 * overkill)} (at most {_highest(bounds.overkill)}) would be rejected "
        f"(found on {figures['n_groups_defective']:,} defective and "
        f"{figures['n_groups_normal']:,} good castings that the inspector had never seen; each "
        "'at most' holds with 95 % confidence)."
    )


def _number(value: float) -> str:
    """Return a number of castings of 100, whole unless small."""
    return f"{value:.0f}" if value >= 9.95 or value == 0 else f"{value:.1f}"


def _highest(bound: float) -> str:
    """Return an upper limit in castings of 100, rounded up, so that it stays on its side."""
    value = 100 * bound
    scale = 100 if value < 1 else 10
    return f"{math.ceil(round(value * scale, 6)) / scale:g}"


def _enough(figures: Mapping[str, Any], limits: Limits, bounds: Bounds, strict: bool) -> str:
    """Return whether the rates keep the limits, surely, and how many castings would show it."""
    escape, overkill = (figures[f"{key}_rate_by_group"]["value"] for key in ("escape", "overkill"))
    defective, good = figures["n_groups_defective"], figures["n_groups_normal"]
    passes, rejected = bounds.escape, bounds.overkill
    asked = (
        f"at most {100 * limits.max_escape:g} of 100 defective castings may pass and at most "
        f"{100 * limits.max_overkill:g} of 100 good ones be rejected"
    )
    if passes <= limits.max_escape and rejected <= limits.max_overkill:
        return (
            f"That is enough for a line on which {asked}, for castings like these in the same "
            "light; a new lot, camera or part has to be tested again, and this very inspector, "
            "before it decides on a line, with castings that it has not learnt from."
        )
    reasons = []
    if passes > limits.max_escape:
        reasons.append(_escapes(escape, defective, passes, limits.max_escape))
    if rejected > limits.max_overkill:
        reasons.append(_rejects(overkill, good, rejected, limits.max_overkill, strict))
    return f"That is not enough for a line on which {asked}: {'; '.join(reasons)}."


def _escapes(rate: float, castings: int, bound: float, limit: float) -> str:
    if rate > limit:
        return (
            "too many defective castings pass, so more or better pictures of such defects are "
            f"needed first; to show it then takes {castings_needed(limit):,} defective castings of "
            f"which none passes, {castings_needed(limit, 1):,} with one"
        )
    return (
        f"{castings:,} defective castings are too few to know, for up to {_highest(bound)} of "
        f"100 could pass; it takes {_would_do(rate, castings, limit)}"
    )


def _rejects(rate: float, castings: int, bound: float, limit: float, strict: bool) -> str:
    if rate > limit and strict:
        return (
            "too many good castings are rejected, because so few defective ones are known that the "
            "inspector has to be strict; more castings of both kinds help"
        )
    if rate > limit:
        return (
            "too many good castings are rejected, so more good castings are needed to learn from, "
            "or a line that bears it"
        )
    return (
        f"{castings:,} good castings are too few to know, for up to {_highest(bound)} of 100 "
        f"could be rejected; it takes {_would_do(rate, castings, limit)}"
    )


def _would_do(rate: float, castings: int, limit: float) -> str:
    """Return how many castings show a limit: without an error, and as often wrong as now."""
    without = castings_needed(limit)
    ways = [f"{without:,} with no such error"] if castings < without else []
    plan = smallest_plan(limit, rate) if rate > 0.0 else None
    if plan is not None:
        ways.append(f"about {plan.castings:,} if errors stay as frequent as here")
    return " or ".join(ways) or "far more, for the rate found is close to what is asked for"


def too_few(defective: int, good: int, least: int) -> str | None:
    """Return why so many castings are too few to begin with; None where they will do.

    Args:
        defective: Castings, not pictures.
        good: Castings.
        least: Of each class, below which no figure is worth anything.
    """
    if min(defective, good) >= least:
        return None
    return (
        f"{defective:,} defective and {good:,} good castings are too few to learn from and to test "
        f"on: even without any error up to {_highest(upper_limit(0.0, max(1, defective)))} "
        f"of 100 defective castings could pass. Photograph at least {least} different castings of "
        f"each class, better 100; {castings_needed(0.05):,} of each show 5 of 100, "
        f"{castings_needed(0.01):,} show 1 of 100"
    )
