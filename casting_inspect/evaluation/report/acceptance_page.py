"""The acceptance record: one or two pages to print and sign."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from casting_inspect.evaluation.acceptance import (
    ACCEPTED,
    FAILED,
    NOT_SHOWN,
    Acceptance,
    Criterion,
    acceptance_of,
    sample,
    slips_by_kind,
)
from casting_inspect.evaluation.casting_names import casting_names, casting_note
from casting_inspect.evaluation.escape import upper_limit
from casting_inspect.evaluation.parts import NO_CAPTURES
from casting_inspect.evaluation.provenance import facts
from casting_inspect.evaluation.report.sources import Source
from casting_inspect.evaluation.report.verdict import threshold_words
from casting_inspect.files import replace_text
from casting_inspect.page import render
from casting_inspect.percent import percent

ACCEPTANCE: Final = "acceptance.html"
KINDS_SHOWN: Final = 10
_LEVELS: Final = {ACCEPTED: "good", NOT_SHOWN: "warn", FAILED: "bad"}
_FIRST: Final = {
    ACCEPTED: "Accepted: every limit agreed on is shown to hold.",
    NOT_SHOWN: "Not shown: this test does not show what was agreed on, nor the contrary.",
    FAILED: "Failed: a limit agreed on is exceeded.",
}
_KEPT: Final = "Not shown: the rates keep every limit agreed on, but a test needs more than that."
_NAMES: Final = {
    "escape": ("Slip (escape)", "defective castings that pass"),
    "overkill": ("Pseudo-reject (overkill)", "good castings that are rejected"),
}


def write_acceptance(source: Source) -> Path:
    """Write the acceptance record of a run beside its report, and return its path."""
    path = source.out / ACCEPTANCE
    replace_text(path, render(ACCEPTANCE, **page_values(source, acceptance_of(source))))
    return path


def page_values(source: Source, found: Acceptance) -> dict[str, Any]:
    """Return what the template is filled with."""
    kinds = slips_by_kind(found.rows)
    return {
        "title": "Acceptance record",
        "level": _LEVELS[found.verdict],
        "verdict": _KEPT if found.kept and found.reasons else _FIRST[found.verdict],
        "reasons": found.reasons,
        "identity": identity(source),
        "sample": _sample(source, found),
        "criteria": [_row(one) for one in (found.escape, found.overkill)],
        "kinds": [
            (kind, f"{one.castings:,}", _errors(one), percent(one.high, 1))
            for kind, one in kinds[:KINDS_SHOWN]
        ],
        "kinds_left": max(0, len(kinds) - KINDS_SHOWN),
        "repeatability": _repeatability(source),
        "limits": limits(source, found),
        "signatures": ("Supplier", "Customer"),
    }


def identity(source: Source) -> list[tuple[str, str]]:
    """Return what was tested, so that it can be told from any other."""
    model = str(source.rows["model"].iloc[0])
    named = dict(facts([source.run]))
    found = [("model", model), ("threshold", threshold_words(source).removeprefix("threshold "))]
    found += [(key, named[key]) for key in ("weights", "data digest", "commit") if key in named]
    if started := source.record.get("started"):
        found.append(("trained", str(started)[:16].replace("T", " ")))
    found.append(("predictions", source.beside.name))
    return found


def limits(source: Source, found: Acceptance) -> list[str]:
    """Return what this test does not speak for."""
    by_lot = str((source.config.get("data") or {}).get("split") or "") in ("lot", "time")
    sentences = [
        "It speaks for this part, camera, light and pose, as in these pictures"
        + ("." if by_lot else "; not for another lot, day, light, camera or part."),
    ]
    escape, overkill = found.escape.castings, found.overkill.castings
    if escape and overkill:
        sentences.append(
            f"With {escape:,} defective and {overkill:,} good castings no rate of slip below "
            f"{percent(upper_limit(0, escape), 1)} and none of pseudo-rejects below "
            f"{percent(upper_limit(0, overkill), 1)} could be shown (one-sided 95 %, as above), "
            "even without any error."
        )
    if not source.config:
        sentences.append(
            "The predictions are another tool's: that no casting of this test was used to train it "
            "or to choose its threshold is for the supplier to confirm."
        )
    if source.review is not None:
        seen = (source.review[f"review_rate_{kind}_by_group"] for kind in ("defective", "normal"))
        defective, good = (percent(figure["value"], 1) for figure in seen)
        sentences.append(
            f"A person looks at {defective} of the defective castings and {good} of the good ones; "
            "that the person is right is no part of this test."
        )
    names = casting_names(source.rows)
    if not names.unknown and (note := casting_note(names, "these bounds")):
        sentences.append(note)
    sentences.append(
        "The true class of each casting is taken as it was written down; errors in it count as "
        "errors of the inspector."
    )
    return sentences


def _sample(source: Source, found: Acceptance) -> list[dict[str, str]]:
    pictures = source.files.groupby("label")["path"].nunique()
    keys = {"defective": "defective", "good": "normal"}
    return [
        {
            "name": one["name"],
            "castings": f"{one['castings']:,}",
            "pictures": f"{int(pictures.get(keys[one['name']], 0)):,}",
            **{key: f"{one[key]:,}" if one[key] else "not recorded" for key in ("lot", "capture")},
            "kind": f"{one['kind']:,}" if one["kind"] else "-",
        }
        for one in sample(found.rows)
    ]


def _row(one: Criterion) -> dict[str, str]:
    name, words = _NAMES[one.error]
    return {
        "name": name,
        "words": words,
        "limit": "none" if one.limit is None else percent(one.limit),
        "castings": f"{one.castings:,}",
        "errors": _errors(one),
        "rate": percent(one.rate),
        "bound": "-" if one.rate is None else percent(one.high),
        "result": one.result or "-",
        "level": _LEVELS.get(one.result or "", ""),
    }


def _errors(one: Criterion) -> str:
    return f"{one.errors:.1f}".removesuffix(".0")


def _repeatability(source: Source) -> str:
    found = source.figures.get("repeatability") or {}
    if found.get("value") is None:
        reason = str(found.get("reason") or NO_CAPTURES)
        return reason.removeprefix("repeatability ")
    return f"{percent(found['value'], 1)} of castings have one verdict in all their captures"
