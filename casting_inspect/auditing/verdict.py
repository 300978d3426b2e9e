"""The verdict of an audit: can a score on this split be trusted, and why not, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from casting_inspect.auditing.findings import Finding, counted, share_words
from casting_inspect.evaluation.claims import (
    TOLERATED,
    least_upper_limit,
    most_balanced_accuracy,
)

FEW_GROUPS: Final = 10
"""Groups of a class below which no figure is worth much."""


@dataclass(frozen=True)
class Verdict:
    """What stands first on the page.

    Attributes:
        level: ``good``, ``warn`` or ``bad``.
        headline: One sentence.
        reasons: Further sentences, the weightiest first.
    """

    level: str
    headline: str
    reasons: list[str]


def verdict(findings: dict[str, Finding], files: int) -> Verdict:
    """Return the verdict on a data set.

    Args:
        findings: By key; all that an audit makes.
        files: Files that decode.
    """
    level, headline = _on_the_split(findings, files)
    reasons = [findings["random_split"].sentence] if _worth_saying(findings) else []
    second = findings["second_opinion"]
    if second.share is not None and second.share > TOLERATED:
        reasons.append(
            "Even after a split by these groups a second method suspects copies for "
            f"{share_words(second.share)} of the test files: look at its pairs first."
        )
        level = "warn" if level == "good" else level
    for key in ("conflicts", "shortcuts", "identical_bytes", "undecodable", "given_groups"):
        found = findings[key]
        if found.severity not in ("note",) and found.count:
            reasons.append(found.sentence)
            level = "warn" if level == "good" else level
    reasons.append(_at_best(findings))
    return Verdict(level, headline, [reason for reason in reasons if reason])


def _on_the_split(findings: dict[str, Finding], files: int) -> tuple[str, str]:
    """Return level and headline: what the split that was delivered is worth."""
    leak, drawn = findings["straddling"], findings["random_split"]
    groups = findings["balance"].count
    if leak.count:
        of = leak.details["of"]
        level = "bad" if (leak.share or 0) >= 0.01 else "warn"
        held = "cannot be trusted" if level == "bad" else "is slightly too good"
        return level, (
            f"A score on the delivered split {held}: {leak.count:,} of its {of:,} {leak.unit} "
            f"({share_words(leak.share or 0.0)}) have a copy of their own photograph in training."
        )
    if leak.share is not None:
        return "good", (
            f"The delivered split keeps photographs apart: none of its {leak.details['of']:,} "
            f"{leak.unit} has a copy in training."
        )
    if drawn.share:
        return "warn", (
            f"Split these files by group, never at random: {counted(files, 'file')} show only "
            f"{counted(groups, 'photograph or casting', 'photographs or castings')}."
        )
    return "good", (
        f"Every file shows a photograph of its own ({files:,} of them): any split keeps them apart."
    )


def _worth_saying(findings: dict[str, Finding]) -> bool:
    return bool(findings["random_split"].share)


def _at_best(findings: dict[str, Finding]) -> str:
    """Return what this many groups can show, even without any error."""
    counts = {row["label"]: row["groups"] for row in findings["balance"].details["classes"]}
    normal, defective = counts["normal"], counts["defective"]
    if not normal or not defective:
        return findings["balance"].advice
    few = " That is too few for any claim." if min(normal, defective) < FEW_GROUPS else ""
    return (
        f"What counts is {counted(normal, 'normal group')} and {defective:,} defective: without "
        f"any error overkill could still be up to {share_words(least_upper_limit(normal))} and "
        f"escapes up to {share_words(least_upper_limit(defective))}, so that no balanced accuracy "
        f"above {most_balanced_accuracy(normal, defective):.3f} can be demonstrated.{few}"
    )
