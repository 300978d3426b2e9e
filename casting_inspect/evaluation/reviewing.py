"""Where a person looks: the band between two thresholds, by costs, by bounds or conformal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from casting_inspect.errors import UserError
from casting_inspect.evaluation.bands import (
    Band,
    by_bounds,
    by_conformal,
    by_cost,
    conformal_levels,
    on_scores,
)
from casting_inspect.evaluation.calibration import fitted
from casting_inspect.evaluation.metrics import truths

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Argued:
    """A band and why it is this one.

    Attributes:
        band: On ``p_normal``.
        reason: What follows its numbers in a sentence.
        facts: What was asked for and found, plain values for ``run.json``.
    """

    band: Band
    reason: str
    facts: dict[str, Any]


def words_of(band: Band) -> str:
    """Return a band's ends for a sentence."""
    if band.low == band.high:
        return f"threshold {band.high:.6g}, nobody looks"
    rejected = f"rejected at or below {band.low:.6g}" if band.low >= 0.0 else "never rejected"
    return f"passed above {band.high:.6g}, {rejected}, a person between"


def by_least_cost(table: pd.DataFrame, options: Options) -> Argued:
    """Return the band of least expected cost on calibrated, prior-shifted probabilities.

    Args:
        table: A complete predictions table with both classes.
        options: ``cost_escape``, ``cost_overkill``, ``cost_review`` (None: nobody looks),
            ``prevalence``, ``calibration``.
    """
    calibration = fitted(options.get("calibration", "platt"), table)
    prevalence = float(options["prevalence"])
    escape, overkill = float(options["cost_escape"]), float(options["cost_overkill"])
    review = options.get("cost_review")
    look = None if review is None else float(review)
    band = on_scores(by_cost(escape, overkill, look), calibration, prevalence)
    facts = {
        **{"cost_escape": escape, "cost_overkill": overkill, "cost_review": look},
        "prevalence": prevalence,
        "calibration": {"slope": calibration.slope, "intercept": calibration.intercept},
    }
    looks = "" if look is None else f", a look {look:g}"
    reason = (
        f"least expected cost where {prevalence:.3%} of parts are defective, an escape costs "
        f"{escape:g}, a good part rejected {overkill:g}{looks}"
    )
    return Argued(band, reason, facts)


def by_both_bounds(table: pd.DataFrame, options: Options) -> Argued:
    """Return the narrowest band that bounds escapes and good parts rejected without a person.

    Where castings are too few for a bound, ``best_effort`` takes the end at which none of them is
    judged wrongly.

    Raises:
        UserError: If they are too few and ``best_effort`` is false.
    """
    normal = truths(table)
    asked = [float(options["max_escape"]), float(options["max_overkill"])]
    band, *found = by_bounds(
        table["p_normal"].to_numpy(np.float64), normal, table["group_wide"].to_numpy(), *asked
    )
    facts: dict[str, Any] = {}
    lacking, kept = [], []
    for bound, (what, kind), limit in zip(found, _ERRORS, asked, strict=True):
        facts |= {
            f"max_{what}": limit,
            f"{what}_rate": bound.escape_rate,
            f"{what}_bound": bound.bound,
            f"groups_{kind}": bound.groups,
            f"{what}_supported": bound.supported,
            f"groups_needed_{kind}": bound.needed,
        }
        words = f"{_WORDS[what]} of at most {limit:.2%}"
        if bound.supported:
            kept.append(f"{words} by {bound.groups} {kind} castings (bound {bound.bound:.2%})")
        else:
            lacking.append(
                f"{words} cannot be supported by {bound.groups} {kind} castings: without any the "
                f"bound is {bound.bound:.2%}, and {bound.needed} without one would do"
            )
    facts["supported"] = not lacking
    return _unless_refused(Argued(band, "; ".join([*kept, *lacking]), facts), lacking, options)


def by_conformal_levels(table: pd.DataFrame, options: Options) -> Argued:
    """Return the class-conditional conformal band, one file a casting.

    Where a level is below 1 / (G + 1), which G castings can keep at least, ``best_effort`` takes
    that.

    Raises:
        UserError: If a level is and ``best_effort`` is false.
    """
    normal, groups = truths(table), table["group_wide"].to_numpy()
    facts: dict[str, Any] = {}
    lacking, levels = [], []
    for what, kind in _ERRORS:
        of_class = normal if kind == "normal" else ~normal
        count = len(np.unique(groups[of_class]))
        level, least = float(options[f"max_{what}"]), conformal_levels(count)
        levels.append(max(level, least))
        facts |= {
            f"max_{what}": level,
            f"level_{what}": levels[-1],
            f"smallest_level_{what}": least,
            f"groups_{kind}": count,
        }
        if level < least:
            lacking.append(
                f"{_WORDS[what]} of at most {level:.2%} are below 1 / ({count} + 1) = {least:.2%}, "
                f"the smallest level that {count} {kind} castings can keep"
            )
    scores = table["p_normal"].to_numpy(np.float64)
    band = by_conformal(scores, normal, groups, levels[0], levels[1])
    facts["supported"] = not lacking
    kept = (
        f"conformal, one file a casting: {levels[0]:.2%} of defective castings may pass and "
        f"{levels[1]:.2%} of good ones be rejected, on average over such sets"
    )
    return _unless_refused(Argued(band, "; ".join([kept, *lacking]), facts), lacking, options)


def _unless_refused(found: Argued, lacking: list[str], options: Options) -> Argued:
    if lacking and not options["best_effort"]:
        words = "; ".join(lacking)
        raise UserError(f"decide=review: {words}; or take decide.best_effort=true")
    return found


_ERRORS: Final = (("escape", "defective"), ("overkill", "normal"))
_WORDS: Final = {"escape": "escapes", "overkill": "good parts rejected"}
WAYS: Final[dict[str, Callable[[pd.DataFrame, Options], Argued]]] = {
    "costs": by_least_cost,
    "bounds": by_both_bounds,
    "conformal": by_conformal_levels,
}
"""What ``decide.by`` may be."""
