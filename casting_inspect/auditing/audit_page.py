"""What the audit's page shows: every number as the words that stand in the template."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from casting_inspect.auditing.audit_figures import grey_figure, map_figure, png, sizes_figure
from casting_inspect.auditing.contact_sheets import Darkroom, Sheet
from casting_inspect.auditing.embedding_map import COLOURED_SAYS, map_of
from casting_inspect.auditing.examine import Audit
from casting_inspect.auditing.findings import SEVERITIES, Finding, counted, share_words
from casting_inspect.auditing.shortcuts import NAMES
from casting_inspect.data.manifest import dataset_digest
from casting_inspect.evaluation.casting_names import casting_names
from casting_inspect.evaluation.claims import claims
from casting_inspect.page import data_uri
from casting_inspect.shell import typed

_SETS: Final = {
    "straddling": 12,
    "conflicts": 8,
    "second_opinion": 12,
    "identical_bytes": 6,
    "identical_pixels": 6,
    "given_groups": 6,
}
"""Sets of pictures shown of a finding."""
_IN_A_SET: Final = 8
_LARGEST: Final = 8
_ALONE: Final = 16
_LISTED: Final = 30
_LEVELS: Final = dict(zip(SEVERITIES, ("bad", "bad", "bad", "warn", "warn", ""), strict=True))


def page_values(audit: Audit, out: Path, cache: Path | None = None) -> dict[str, Any]:
    """Return what the template is filled with.

    Args:
        audit: What was found.
        out: Where the manifest will be, for the command that comes next.
        cache: Folder of the caches; by default the user's.
    """
    frame, room = audit.frame, Darkroom(audit.frame, audit.root)
    classes = audit.finding("balance").details["classes"]
    counts = {row["label"]: row["groups"] for row in classes}
    rows, place = map_of(frame, audit.grouped.embedding, cache)
    return {
        "title": f"Audit of {audit.root.resolve().name}",
        "lead": f"{counted(len(frame), 'picture')} in {audit.root}",
        "verdict": audit.verdict,
        "findings": [_finding(each, room) for each in audit.findings],
        "classes": classes,
        "balance": audit.finding("balance"),
        "sizes": data_uri(png(sizes_figure(frame))),
        "grey": data_uri(png(grey_figure(frame, audit.seen["mean_grey"][:, 0]))),
        "map": data_uri(png(map_figure(frame.iloc[rows], place))),
        "map_note": _map_note(len(rows), len(frame)),
        "largest": [_largest(audit, room, label) for label in ("normal", "defective")],
        "shortcuts": _shortcut_rows(audit.finding("shortcuts").details["figures"]),
        "layouts": audit.finding("odd_layouts").details["layouts"][:_LISTED],
        "claims": claims(counts["normal"], counts["defective"], casting_names(frame), ["group"]),
        "command": _next_command(audit.root, out),
        "method": _method(audit),
        "digest": dataset_digest(frame),
    }


def _finding(finding: Finding, room: Darkroom) -> dict[str, Any]:
    """Return a finding as the template shows it: with contact sheets, or a list of files."""
    most = _SETS.get(finding.key, 0)
    sheets = [_of_set(finding, at, room) for at in range(min(most, len(finding.sets)))]
    alone: Sheet | None = None
    if finding.key == "odd_layouts" and finding.files:
        alone = room.sheet("", finding.files, _ALONE)
    reasons = finding.details.get("reasons", {})
    return {
        "key": finding.key,
        "title": finding.title,
        "level": _LEVELS[finding.severity] if finding.count else "",
        "severity": finding.severity if finding.count else "",
        "count": f"{finding.count:,}",
        "unit": finding.unit,
        "share": _short_share(finding.share),
        "sentence": finding.sentence,
        "advice": finding.advice,
        "pairs": bool(sheets) and max(len(each.pictures) for each in sheets) <= 2,
        "sheets": sheets,
        "hidden_sets": len(finding.sets) - len(sheets) if sheets else 0,
        "alone": alone,
        "reasons": list(reasons.items())[:_LISTED],
        "hidden_reasons": max(0, len(reasons) - _LISTED),
        "shown": bool(sheets or alone or reasons or (finding.key == "shortcuts" and finding.count)),
    }


def _short_share(share: float | None) -> str:
    if share is None:
        return ""
    return share_words(share).replace("more than", ">").replace("less than", "<")


def _of_set(finding: Finding, at: int, room: Darkroom) -> Sheet:
    paths = finding.sets[at]
    if finding.key == "conflicts":
        fact = finding.details["groups"][at]
        links = "sure links" if fact["sure"] else "possible links"
        heading = (
            f"{fact['group_wide']}: {fact['normal']:,} normal and {fact['defective']:,} "
            f"defective, joined by {links}"
        )
        both = [room.label_of(path) for path in paths]
        normal = [path for path, label in zip(paths, both, strict=True) if label == "normal"]
        other = [path for path, label in zip(paths, both, strict=True) if label != "normal"]
        return Sheet(
            heading,
            room.sheet("", normal, _IN_A_SET).pictures + room.sheet("", other, _IN_A_SET).pictures,
        )
    if finding.key == "given_groups":
        heading = "Given as " + ", ".join(finding.details["joined"][at]["groups"][:6])
        return room.sheet(heading, paths, _IN_A_SET)
    heading = f"{len(paths):,} files" if len(paths) > 2 else ""
    return room.sheet(heading, paths, _IN_A_SET)


def _largest(audit: Audit, room: Darkroom, label: str) -> dict[str, Any]:
    """Return contact sheets of a class's largest groups."""
    mine = audit.frame[audit.frame["label"] == label]
    sizes = mine["group"].value_counts()
    names = sorted(sizes.index, key=lambda name: (-sizes[name], name))[:_LARGEST]
    held = int(sizes[names].sum())
    sheets = []
    for name in names:
        paths = mine.loc[mine["group"] == name, "path"].to_list()
        heading = f"{name}: {counted(len(paths), 'file')}, {share_words(len(paths) / len(mine))}"
        sheets.append(room.sheet(heading, paths, _IN_A_SET))
    share = share_words(held / len(mine)) if len(mine) else ""
    return {"label": label, "sheets": sheets, "share": share, "groups": len(sizes)}


def _shortcut_rows(figures: dict[str, Any]) -> list[dict[str, str]]:
    rows = []
    for name, each in figures.items():
        area, by_file = each["auroc_by_group"], each["auroc_by_file"]
        note = f"{each['brighter']} is brighter" if each.get("brighter") else ""
        limits = ""
        if area and area.get("low") is not None:
            limits = f"{area['low']:.2f} to {area['high']:.2f}"
            limits += ", approximate" if area.get("approximate") else ""
        rows.append(
            {
                "name": NAMES[name],
                "by_group": f"{area['value']:.3f}" if area else "-",
                "limits": limits,
                "by_file": _area(by_file),
                "note": note,
            }
        )
    return rows


def _area(value: Any) -> str:
    number = value.get("value") if isinstance(value, dict) else value
    return "-" if number is None else f"{number:.3f}"


def _map_note(shown: int, files: int) -> str:
    which = "All files" if shown == files else f"{shown:,} of {files:,} files, large groups thinned"
    return f"{which}. {COLOURED_SAYS}"


def _next_command(root: Path, out: Path) -> str:
    words = ["casting-inspect", "train", f"data.root={root}"]
    if root.resolve() != out.resolve():
        words.append(f"data.manifest={out / 'manifest.csv'}")
    return typed(words)


def _method(audit: Audit) -> list[str]:
    """Return how groups were found, in the search's own numbers, a line each."""
    facts = audit.grouped.facts
    lines = [
        f"{facts['files']:,} files, {facts['groups']:,} groups by sure links, "
        f"{facts['groups_wide']:,} with possible ones; {len(audit.grouped.links):,} pairs linked.",
    ]
    for key, value in facts["search"].items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {_short(each)}" for name, each in value.items())
        lines.append(f"{key.replace('_', ' ')}: {_short(value)}")
    return lines


def _short(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
