"""The verdict of a report: can this go on a line, at which threshold, and what is not supported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from casting_inspect.evaluation.acceptance import (
    ACCEPTED,
    Criterion,
    criteria_of,
    limits_of,
    models_tested,
)
from casting_inspect.evaluation.casting_names import casting_names, casting_note
from casting_inspect.evaluation.claims import TOLERATED
from casting_inspect.evaluation.escape import upper_limit
from casting_inspect.evaluation.report.sources import Source
from casting_inspect.percent import percent

_ASKED: Final = {"max_escape": "escapes", "max_overkill": "good parts rejected"}
FEW: Final = 10
"""Groups of a class below which no figure is worth much."""


@dataclass(frozen=True)
class Verdict:
    """What stands first on the page.

    Attributes:
        level: ``good``, ``warn`` or ``bad``.
        first: Can it go on a line, at which threshold.
        second: What is not supported.
        more: Further sentences.
    """

    level: str
    first: str
    second: str
    more: list[str]


def verdict(source: Source) -> Verdict:
    """Return the verdict on a run, or on another tool's table.

    A limit holds when the one-sided 95 % upper limit of its rate keeps it, as in the acceptance
    record (``acceptance.criterion``).
    """
    escape, overkill = error_rates(source)
    normals, defectives = (source.by_group[f"n_groups_{kind}"] for kind in ("normal", "defective"))
    at = threshold_words(source)
    limits = asked(source)
    second = _unsupported(source, normals, defectives)
    more = [_reason(source)]
    leak = source.metrics.get("leak") or {}
    if leak.get("share", 0.0) > TOLERATED:
        first = (
            f"No: {percent(leak['share'], 1)} of the {leak['of']:,} files that it was tested on "
            "have a copy of their photograph or casting in training, so these figures say little "
            "about a new casting."
        )
        return Verdict("bad", first, second, ["Split by group: data.split=group.", *more])
    if source.split != "test":
        part = {"val": "validation", "train": "training"}[source.split]
        first = f"Not known: nothing was tested; these are figures of {part} files."
        return Verdict("bad", first, second, more)
    if escape["value"] is None or overkill["value"] is None:
        kind = "defective" if escape["value"] is None else "normal"
        return Verdict("bad", f"Not known: no {kind} castings were tested.", second, more)
    if (score := source.figures.get("one_score")) is not None:
        first = f"No: every casting has the same score, {score:.4g}, so nothing is told apart."
        return Verdict("bad", first, second, more)
    rates = (
        f"at {at} {_of_hundred(escape)} of 100 defective castings would pass and "
        f"{_of_hundred(overkill)} of 100 good ones be rejected{_looks(source)}"
    )
    if min(normals, defectives) < FEW:
        first = f"Not shown: {rates}, but {min(normals, defectives)} castings of a class decide."
        return Verdict("bad", first, second, more)
    if not limits:
        first = f"Whether this is enough the line has to say: {rates}."
        more.append("No limit was asked for: decide=escape decide.max_escape=0.05 asks for one.")
        return Verdict("warn", first, second, more)
    measured = {key: one for key, one in criteria_of(source).items() if key in limits}
    more.insert(0, _bounds(measured))
    wished = " and ".join(
        f"at most {percent(limit, 1)} {_ASKED[key]}" for key, limit in limits.items()
    )
    if any(one.result != ACCEPTED for one in measured.values()):
        first = f"Not yet: {wished} were asked for and are not shown on the test; {rates}."
        return Verdict("warn", first, second, more)
    if (models := models_tested(source)) > 1:
        more.insert(1, f"{models} models were tested, each on other castings: the limits hold for "
                       "inspectors made this way; the one that goes on the line has still to be "
                       "tested (acceptance.html).")  # fmt: skip
    if "max_overkill" not in limits:
        first = f"{wished.capitalize()} hold, for parts like these: {rates}."
        more.insert(0, "Whether the line bears so many good parts rejected is not said: "
                       "report.max_overkill=0.05 asks for it.")  # fmt: skip
        return Verdict("warn", first, second, more)
    first = f"Yes, for parts like these: {rates}; {wished} hold."
    if (names := casting_names(source.rows)).unknown:
        first = f"{wished.capitalize()} hold if every picture shows another casting: {rates}."
        return Verdict("warn", first, second, [casting_note(names), *more])
    return Verdict("good", first, second, more)


def error_rates(source: Source) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return escape and overkill rate by group, the headline; of verdicts without a person."""
    figures = source.by_group if source.review is None else source.review
    return figures["escape_rate_by_group"], figures["overkill_rate_by_group"]


def _looks(source: Source) -> str:
    """Return how many castings a person would look at, where there are two thresholds."""
    if source.review is None:
        return ""
    seen = (source.review[f"review_rate_{kind}_by_group"] for kind in ("defective", "normal"))
    defective, good = (f"{100 * figure['value']:.1f}" for figure in seen)
    return f", while a person looks at {defective} of the defective and {good} of the good ones"


def asked(source: Source) -> dict[str, float]:
    """Return the limits agreed on, of the report or else of the rule: max_escape, max_overkill."""
    return {key: limit for key, limit in limits_of(source).items() if limit is not None}


def _bounds(measured: Mapping[str, Criterion]) -> str:
    """Return what the limits are measured by."""
    each = " and ".join(f"{percent(one.high, 1)} {_ASKED[key]}" for key, one in measured.items())
    return (
        f"Limits are held against the one-sided 95 % upper limit, as in the acceptance record: "
        f"{each}; numbers in brackets are two-sided."
    )


def decisions(source: Source) -> list[Mapping[str, Any]]:
    """Return what was decided: once, or by each fold of a cross-validation."""
    protocol = source.metrics.get("protocol") or {}
    if isinstance(own := protocol.get("decision"), Mapping):
        return [own]
    found = []
    for path in sorted(source.beside.glob("fold_*/run.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(one := record.get("decision"), Mapping):
            found.append(one)
    return found


def threshold_words(source: Source) -> str:
    """Return the threshold in use, or the range of those of the folds."""
    values = source.rows["threshold"]
    low, high = float(values.min()), float(values.max())
    if low == high:
        return f"threshold {low:.4g}"
    return f"the folds' thresholds ({low:.4g} to {high:.4g})"


def _of_hundred(figure: Mapping[str, Any]) -> str:
    value, low, high = (100 * figure[key] for key in ("value", "low", "high"))
    return f"about {value:.1f} ({low:.1f} to {high:.1f})"


def _reason(source: Source) -> str:
    found = decisions(source)
    if len(found) == 1:
        reason = str(found[0].get("reason") or "")
        return f"How the threshold came about: {reason}." if reason else ""
    supported = [(one.get("facts") or {}).get("supported") for one in found]
    if not supported or None in supported:
        return ""
    rule = found[0].get("rule")
    return (
        f"Each fold has its own threshold by decide={rule}; {sum(map(bool, supported))} of "
        f"{len(found)} have enough castings to support what was asked for."
    )


def _unsupported(source: Source, normals: int, defectives: int) -> str:
    """Return the sentence on what these figures cannot show."""
    found = []
    if normals and defectives:
        found.append(
            f"with {defectives:,} defective and {normals:,} good castings, even without any error "
            f"no escape rate below {percent(upper_limit(0, defectives), 1)} and no overkill "
            f"rate below {percent(upper_limit(0, normals), 1)} could be shown (one-sided 95 %)"
        )
    split = str((source.config.get("data") or {}).get("split") or "")
    found.append(
        "nothing is said of another lot, day, camera or part"
        if split != "lot"
        else "nothing is said of lots, cameras or parts beyond those left out in turn"
    )
    if not split:
        found.append("how the table was split, and so whether copies are in training, is not known")
    sentence = "; ".join(found)
    return f"Not supported: {sentence}."
