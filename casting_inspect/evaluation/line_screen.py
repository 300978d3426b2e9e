"""What the verdicts do, in sentences for the screen: on the line, and for the people beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from casting_inspect.percent import percent

_UNITS: Final = {"file": "each picture counted as a part", "part": "by part"}


def consequence_sentences(figures: Mapping[str, Any]) -> list[str]:
    """Return the lines that stand under the headline of a split.

    Args:
        figures: A split's, with what ``consequences`` adds; nothing is said of what is not there.
    """
    return [
        *_one_score(figures.get("one_score")),
        *_by_part(figures.get("by_part", {})),
        *_review(figures.get("review", {})),
        *_line(figures.get("line", {})),
        *_repeatability(figures.get("repeatability", {})),
    ]


def slice_warnings(slices: Mapping[str, Any]) -> list[str]:
    """Return a line for each slice that is significantly worse than the rest.

    Args:
        slices: What ``metrics.json`` holds of them.
    """
    words = {"escape": "defective ones pass", "overkill": "good ones are rejected"}
    return [
        f"{row['column']}={row['value']}: {_rate(row, 'rate')} of {words[row['error']]} "
        f"({row['groups']:,} groups), elsewhere {percent(row['rest_rate'], 1)}; p = "
        f"{row['p_holm']:.2g}, corrected for {slices['tests']:,} tests: significantly worse."
        for row in slices.get("warnings", [])
    ]


def _one_score(score: float | None) -> list[str]:
    if score is None:
        return []
    return [f"Every score is the same, {score:.4g}: no threshold tells good from defective ones."]


def _by_part(parts: Mapping[str, Any]) -> list[str]:
    if not parts:
        return []
    ways = {"any": "any rejected picture rejects a part", "mean": "the mean of a part's pictures"}
    rates = (
        f"{words} {_rate(parts[f'{key}_by_group'])}"
        for key, words in (
            ("escape_rate", "escape rate"),
            ("overkill_rate", "overkill rate"),
            ("balanced_accuracy", "balanced accuracy"),
        )
    )
    lines = [f"By part, {ways[parts['aggregate']]}: {parts['n']:,} parts, {', '.join(rates)}."]
    if parts["in_several_groups"]:
        lines.append(
            f"{parts['in_several_groups']:,} parts have pictures in several groups, and a split by "
            "group can put them on both sides: let group_wide name the part."
        )
    return lines


def _repeatability(found: Mapping[str, Any]) -> list[str]:
    if not found.get("measured"):
        return []
    return [
        f"{_rate(found)} of {found['parts']:,} parts get one verdict in all their captures "
        f"({found['captures']:,} captures)."
    ]


def _review(review: Mapping[str, Any]) -> list[str]:
    if not review:
        return []
    automatic = review["automatic"]
    wrong = " and ".join(
        f"{_rate(automatic[f'{what}_rate_by_group'])} of the {kind} ones among them {verb}"
        for what, kind, verb in (
            ("escape", "defective", "pass"),
            ("overkill", "good", "are rejected"),
        )
    )
    looked = review["review_rate_by_group"]
    unit = review["unit"]
    return [
        f"A person looks at {_rate(looked)} by group, {percent(review['review_rate'], 1)} by "
        f"{unit}; of the rest, {automatic['n']:,} {unit}s, {wrong}. "
        "Above, what a person looks at counts as rejected."
    ]


def _line(line: Mapping[str, Any]) -> list[str]:
    if not line:
        return []
    counts = line["per_million"]
    words = [
        f"{_count(counts[key])} {what}"
        for key, what in (("escapes", "escapes"), ("good_rejected", "good ones rejected"))
        if counts[key]["value"] is not None
    ]
    if not words:
        return []
    if counts["person"]["value"]:
        words.append(f"{_count(counts['person'])} for a person")
    truly, cost = line["rejects_truly_defective"], line["cost_per_million"]
    if truly["value"] is not None:
        words.append(f"{_rate(truly)} of rejects truly defective")
    if cost is not None and cost["value"] is not None:
        words.append(f"cost {_count(cost)}")
    start = f"Of a million parts, {percent(line['prevalence'], 2)} of them defective"
    return [f"{start} ({_UNITS[line['unit']]}): {', '.join(words)}."]


def _count(figure: Mapping[str, Any]) -> str:
    low, high = (f"{figure[key]:,.0f}" for key in ("low", "high"))
    return f"{figure['value']:,.0f} ({low} to {high})"


def _rate(figure: Mapping[str, Any], key: str = "value") -> str:
    if figure[key] is None:
        return "-"
    low, high = (percent(figure[end], 1) for end in ("low", "high"))
    return f"{percent(figure[key], 1)} ({low.removesuffix(' %')} to {high})"
