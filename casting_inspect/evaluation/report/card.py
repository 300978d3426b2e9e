"""The model card: what the inspector is for, what was shown, and what was not, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def model_card(values: Mapping[str, Any]) -> str:
    """Return ``model_card.md`` from what the report's template is filled with.

    Source: the headings are Mitchell and others' (Model cards for model reporting, 2019).
    """
    verdict = values["verdict"]
    lines = [f"# {_plain(values['title'].replace('Inspection report', 'Model card'))}", ""]
    lines += [_plain(verdict.first), "", _plain(verdict.second), ""]
    lines += ["## Intended use", ""]
    lines += [
        "Sorting pictures of one kind of casting, taken as those it was tested on, into normal and "
        "defective. Not for other parts, cameras, lights or poses before they have been tested.",
        "",
    ]
    lines += ["## Evidence", "", values["lead"], ""]
    lines += [f"- {name}: {_plain(words)}" for name, words in values["evidence"]]
    lines += [
        "",
        "## Figures",
        "",
        "| by group | value | 95 % interval | groups |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['name']} ({row['words']}) | {row['value']} | {row['limits']} | {row['groups']} |"
        for row in values["rates"]
    ]
    if line := values["line"]:
        lines += ["", f"Of a million parts with {line['prevalence']} defective in 1,000:", ""]
        lines += [f"- {name}: {value} ({limits})" for name, value, limits in line["rows"]]
    if note := values["by_file_note"]:
        lines += ["", note]
    lines += ["", "| by file, positive = normal | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in values["by_file"]]
    lines += ["", "## Limits", ""]
    lines += [f"- {_plain(note)}" for note in values["notes"]]
    if values["facts"]:
        lines += ["", "## Provenance", ""]
        lines += [f"- {name}: `{value}`" for name, value in values["facts"]]
    return "\n".join(lines) + "\n"


def _plain(words: str) -> str:
    """Return words in which no character has a meaning in Markdown."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in words)
