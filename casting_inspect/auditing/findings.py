"""What an audit finds: one record a matter, with count, files, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

LEAK: Final = "leak"
CONFLICT: Final = "conflict"
UNDECODABLE: Final = "undecodable"
SHORTCUT: Final = "shortcut"
WARNING: Final = "warning"
NOTE: Final = "note"
SEVERITIES: Final = (LEAK, CONFLICT, UNDECODABLE, SHORTCUT, WARNING, NOTE)
"""The gravest first; the first three can stop a pipeline."""
FATAL: Final = (LEAK, CONFLICT, UNDECODABLE)


@dataclass(frozen=True)
class Finding:
    """One matter.

    Attributes:
        key: Its name, such as ``identical_bytes``.
        severity: One of `SEVERITIES`; a finding with count 0 is a `NOTE`: looked for, not there.
        title: A few words.
        count: How many, of what ``unit`` says.
        share: The count as a share from 0 to 1 of what it could be, None where that says nothing.
        unit: What is counted, in the plural.
        sentence: What was found, with the numbers.
        advice: What to do about it, empty where nothing is to be done.
        files: Paths of the files concerned, in the manifest's order.
        sets: The same files in the sets that belong together (a group, identical files), the
            largest first; empty where files stand alone.
        details: Further numbers, for ``audit.json``.
    """

    key: str
    severity: str
    title: str
    count: int
    unit: str
    sentence: str
    advice: str = ""
    share: float | None = None
    files: list[str] = field(default_factory=list)
    sets: list[list[str]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


def by_severity(findings: list[Finding]) -> list[Finding]:
    """Return the gravest first; what was looked for and not found last."""
    return sorted(findings, key=lambda each: (each.count == 0, SEVERITIES.index(each.severity)))


def hit(findings: list[Finding], fail_on: list[str]) -> list[Finding]:
    """Return the findings that are of a severity in ``fail_on``."""
    return [each for each in findings if each.severity in fail_on and each.count > 0]


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number with its noun, such as ``1 file`` or ``1,203 files``."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def share_words(share: float) -> str:
    """Return a share in percent; what is not quite all or nothing does not look like it."""
    if 0.9995 <= share < 1:
        return "more than 99.9 %"
    if 0 < share < 0.0005:
        return "less than 0.1 %"
    return f"{100 * share:.1f} %"
