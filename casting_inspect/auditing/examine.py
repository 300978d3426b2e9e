"""Everything that an audit looks at, in order: nothing is written but the caches."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from casting_inspect.auditing import group_findings, picture_findings
from casting_inspect.auditing.findings import Finding, by_severity
from casting_inspect.auditing.second_opinion import second_opinion
from casting_inspect.auditing.shortcuts import Seen, seen_of, shortcut_figures, shortcuts
from casting_inspect.auditing.verdict import Verdict, verdict
from casting_inspect.data.audit.groups import Grouped, find_all_groups
from casting_inspect.data.audit.survey import survey
from casting_inspect.errors import UserError
from casting_inspect.files import sha256_of_file


@dataclass(frozen=True)
class Audit:
    """What an audit has found.

    Attributes:
        root: The pictures.
        frame: The manifest of the files that decode, with groups, and the columns of ``survey``.
        grouped: Links, embedding and facts of the search for groups.
        seen: What floors see of every row.
        findings: The gravest first.
        verdict: What stands first.
    """

    root: Path
    frame: pd.DataFrame
    grouped: Grouped
    seen: Seen
    findings: list[Finding]
    verdict: Verdict

    def finding(self, key: str) -> Finding:
        """Return one finding by its key."""
        return next(each for each in self.findings if each.key == key)


def audit(
    frame: pd.DataFrame,
    root: Path,
    *,
    cache: Path | None = None,
    progress: bool = True,
    seconds: dict[str, float] | None = None,
) -> Audit:
    """Audit a manifest; nothing is written but the caches.

    Args:
        frame: A manifest whose files are all there.
        root: What its paths are relative to.
        cache: Folder of the caches; by default the user's.
        progress: Whether bars are shown.
        seconds: Filled with the seconds of each stage.

    Raises:
        UserError: If no file decodes.
    """
    clock = _Clock({} if seconds is None else seconds)
    frame = frame.reset_index(drop=True)
    digests = [sha256_of_file(root / path) for path in frame["path"]]
    changed = int(((frame["sha256"] != "") & (frame["sha256"] != digests)).sum())
    described = survey([root / path for path in frame["path"]], digests, cache=cache,
                       progress=progress)  # fmt: skip
    whole = frame.assign(sha256=digests).drop(columns=["width", "height"]).join(described)
    clock.lap("decode")
    bad = picture_findings.undecodable(whole)
    good = whole[whole["reason"] == ""].reset_index(drop=True)
    if good.empty:
        raise UserError(f"{root}: none of {len(frame):,} files decodes; is this the right folder?")
    grouped = find_all_groups(good, root, cache=cache, progress=progress)
    clock.lap("groups")
    seen = seen_of(grouped.frame, root, cache, progress)
    figures = shortcut_figures(grouped.frame, seen, cache)
    clock.lap("shortcuts")
    second = second_opinion(grouped.frame, root, cache, progress)
    clock.lap("second opinion")
    findings = [
        group_findings.straddling(grouped.frame),
        group_findings.conflicts(grouped.frame),
        bad,
        shortcuts(figures),
        second,
        picture_findings.identical_bytes(grouped.frame),
        picture_findings.identical_pixels(grouped.frame),
        group_findings.joined_groups(grouped.facts, grouped.frame),
        group_findings.random_split(grouped.frame),
        picture_findings.odd_layouts(grouped.frame),
        picture_findings.changed_since(changed, len(frame)),
        group_findings.balance(grouped.frame),
    ]
    clock.lap("findings")
    said = verdict({each.key: each for each in findings}, len(good))
    return Audit(root, grouped.frame, grouped, seen, by_severity(findings), said)


class _Clock:
    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._seconds[name] = round(now - self._last, 1)
        self._last = now
