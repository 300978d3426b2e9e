"""The verdict of an acceptance test: what was agreed, what was measured, and what that shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from casting_inspect.evaluation.casting_names import casting_names, casting_note
from casting_inspect.evaluation.claims import TOLERATED, leaky_splits
from casting_inspect.evaluation.escape import CONFIDENCE, castings_needed
from casting_inspect.evaluation.intervals import rate_limits
from casting_inspect.evaluation.metrics import rates_within_groups, truths
from casting_inspect.evaluation.pooling import under_grouping
from casting_inspect.evaluation.report.sources import Source
from casting_inspect.evaluation.review_figures import three_verdicts

ACCEPTED, NOT_SHOWN, FAILED = "accepted", "not shown", "failed"
LIMITS: Final = ("max_escape", "max_overkill")


@dataclass(frozen=True)
class Criterion:
    """One limit and what was measured against it.

    Attributes:
        error: ``escape`` or ``overkill``.
        limit: The largest rate agreed, None where none was.
        castings: Of the class, tested.
        errors: Sum of the castings' own rates, a whole number where each has one picture.
        rate: Mean over castings; None without a casting.
        low: Lower limit of the true rate, one-sided.
        high: Upper limit, one-sided.
        needed: Castings that would do if no further one were judged wrongly; None without a limit.
    """

    error: str
    limit: float | None
    castings: int
    errors: float
    rate: float | None
    low: float
    high: float
    needed: int | None

    @property
    def result(self) -> str | None:
        """What is shown of the limit; None where there is none."""
        if self.limit is None:
            return None
        if self.rate is not None and self.high <= self.limit:
            return ACCEPTED
        return FAILED if self.low > self.limit else NOT_SHOWN


@dataclass(frozen=True)
class Acceptance:
    """An acceptance test.

    Attributes:
        verdict: ``accepted``, ``not shown`` or ``failed``.
        escape: Of defective castings.
        overkill: Of good ones.
        reasons: Why it is not accepted, each a sentence.
        rows: What was judged, one row a picture or a part.
    """

    verdict: str
    escape: Criterion
    overkill: Criterion
    reasons: list[str]
    rows: pd.DataFrame

    @property
    def kept(self) -> bool:
        """Whether the rates keep what was agreed, whatever else there is to object."""
        return self.escape.result == ACCEPTED and self.overkill.result in (ACCEPTED, None)


def acceptance_of(source: Source) -> Acceptance:
    """Return the verdict on a run's test, or on another tool's table.

    It is accepted when every limit agreed on, of escapes at least, is above its one-sided 95 %
    upper limit by casting (as ``plan`` counts them), and the castings were unknown to the one
    model that was tested; failed when the lower limit of a rate is above what was agreed.
    """
    rows = under_grouping(source.rows, source.grouping)
    escape, overkill = criteria_of(source, rows).values()
    reasons = [*_objections(source), *_short(escape), *_short(overkill)]
    if FAILED in (escape.result, overkill.result):
        return Acceptance(FAILED, escape, overkill, reasons, rows)
    return Acceptance(NOT_SHOWN if reasons else ACCEPTED, escape, overkill, reasons, rows)


def criteria_of(source: Source, rows: pd.DataFrame | None = None) -> dict[str, Criterion]:
    """Return what was measured against each of ``LIMITS``, agreed on or not.

    Args:
        source: What is known of the run.
        rows: Its rows under the headline's grouping, where they are at hand.
    """
    if rows is None:
        rows = under_grouping(source.rows, source.grouping)
    limits = limits_of(source)
    return {key: criterion(key.removeprefix("max_"), rows, limits[key]) for key in LIMITS}


def models_tested(source: Source) -> int:
    """Return how many trained models judged the rows that are shown."""
    return len(source.rows[["fold", "seed", "partition"]].drop_duplicates())


def limits_of(source: Source) -> dict[str, float | None]:
    """Return the limits agreed on: those given, else of ``report``, else of ``decide``."""
    places: list[Mapping[str, Any]] = [
        *(source.given, source.config.get("report") or {}, source.config.get("decide") or {})
    ]
    return {
        key: next((float(at[key]) for at in places if at.get(key) is not None), None)
        for key in LIMITS
    }


def criterion(error: str, rows: pd.DataFrame, limit: float | None) -> Criterion:
    """Return what rows show of one rate, of verdicts without a person.

    Args:
        error: ``escape`` or ``overkill``.
        rows: Complete predictions, ``group`` naming the casting.
        limit: The largest rate agreed on, or None.
    """
    normal, verdict = truths(rows), three_verdicts(rows)
    of_class, wrong = (~normal, verdict == 1) if error == "escape" else (normal, verdict == 0)
    if not of_class.any():
        needed = None if limit is None else castings_needed(limit)
        return Criterion(error, limit, 0, 0.0, None, 0.0, 1.0, needed)
    numbers = pd.factorize(rows["group"])[0]
    found = rates_within_groups(wrong[of_class], numbers[of_class])
    low, high = rate_limits(found.rates, found.sizes, 2.0 * CONFIDENCE - 1.0)
    errors = float(np.sum(found.rates))
    counted = math.ceil(errors - 1e-9)
    needed = None if limit is None else castings_needed(limit, counted)
    return Criterion(
        error, limit, len(found.rates), errors, float(np.mean(found.rates)), low, high, needed
    )


def _objections(source: Source) -> list[str]:
    """Return what keeps a test from being one, however good the figures are."""
    found = []
    if source.split != "test":
        found.append("Nothing was tested: these are pictures that the model was chosen on.")
    leak = source.metrics.get("leak") or {}
    split = str((source.config.get("data") or {}).get("split") or "")
    if leak.get("share", 0.0) > TOLERATED:
        found.append(
            f"{100 * leak['share']:.1f} % of the {leak['of']:,} test pictures have a copy of their "
            "photograph or casting in training."
        )
    elif leaky_splits([split]) and "share" not in leak:
        found.append(
            f"The split by {split} can have copies of a casting in training and in the test, and "
            "how many was not measured."
        )
    names = casting_names(source.rows)
    if names.unknown:
        found.append(casting_note(names, "these bounds"))
    if (models := models_tested(source)) > 1:
        found.append(
            f"{models} models were tested, each on castings that it had not learnt: that estimates "
            "what inspectors made this way do, and limits that hold are reason enough to go on. "
            "The one that goes on the line has still to judge castings that it has not learnt: "
            "predict, then evaluate with labels=DIR."
        )
    return found


def _short(one: Criterion) -> list[str]:
    """Return why a criterion is not met."""
    name, of = (
        ("escapes", "defective") if one.error == "escape" else ("good castings rejected", "good")
    )
    if one.limit is None:
        return ["No limit of escapes was agreed on."] if one.error == "escape" else []
    if one.result == ACCEPTED:
        return []
    asked = f"at most {100 * one.limit:.4g} % {name}"
    if one.rate is None:
        return [f"{asked[0].upper()}{asked[1:]}: no {of} casting was tested."]
    if one.result == FAILED:
        return [f"{asked[0].upper()}{asked[1:]} is refuted: at least {100 * one.low:.2f} %."]
    return [
        f"{asked[0].upper()}{asked[1:]} is not shown: with {one.castings:,} castings up to "
        f"{100 * one.high:.2f} % cannot be excluded; {one.needed:,} {of} castings would do, if no "
        "further one were judged wrongly."
    ]


def slips_by_kind(rows: pd.DataFrame) -> list[tuple[str, Criterion]]:
    """Return the escapes of each kind of defect that is named, the weakest first."""
    defective = rows[(rows["label"] == "defective") & (rows["kind"].fillna("") != "")]
    found = [(str(kind), criterion("escape", of, None)) for kind, of in defective.groupby("kind")]
    return sorted(found, key=lambda one: (-one[1].high, one[0]))


def sample(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return for each class its castings, and what of lots, captures and kinds is named."""
    found = []
    for label, name in (("defective", "defective"), ("normal", "good")):
        of_class = rows[rows["label"] == label]
        named = {
            column: of_class.loc[of_class[column].fillna("") != "", column].nunique()
            for column in ("lot", "capture", "kind")
        }
        found.append({"name": name, "castings": of_class["group"].nunique(), **named})
    return found
