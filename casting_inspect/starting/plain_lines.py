"""What steps print, as somebody wants to hear it who waits; the rest is in the log."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from casting_inspect.auditing.findings import CONFLICT, SHORTCUT, UNDECODABLE
from casting_inspect.data.outcome import HELD

_WORTH_KNOWING: Final = (CONFLICT, UNDECODABLE, SHORTCUT)
_SHORTCUT: Final = (
    "careful: light or background alone tell good from defective pictures here, without a look at "
    "the casting; the inspector may learn that in place of defects. Photograph both kinds in the "
    "same light, in turn (the audit's page has the figures)"
)
_BAR: Final = re.compile(r"(.+?) \u2501+ (\d+/\d+) ")
_FOLD: Final = re.compile(r"fold \d+ \((\d+) of (\d+)\)")


def prepared(line: str) -> str | None:
    """Return what `prepare` says, but for what only somebody who typed it has a use for.

    That is progress, side files, the next command, and the advice to give another ``out=``.
    """
    silent = line.startswith("next: ") or any(
        words in line for words in ("\u2501", "no pictures were ignored", HELD)
    )
    return None if silent or not line.strip() else line


def auditing(line: str) -> str | None:
    """Return which pass over the pictures is done; what was found is in the audit's files."""
    found = _BAR.match(line)
    return f"{found[1]}: {found[2]} done" if found else None


def learning(clock: Callable[[], float]) -> Callable[[str], str | None]:
    """Return what tells how far `train` is, with the time since it began.

    Args:
        clock: Seconds, as ``time.monotonic``.
    """
    began = clock()

    def told(line: str) -> str | None:
        if line.startswith("running the frozen backbone"):
            words = "every picture goes through the network once"
        elif found := _FOLD.match(line):
            words = f"part {found[1]} of {found[2]} is tested by what the others teach"
        elif line.startswith("fit on all groups"):
            words = "once more on all castings, for use"
        elif "finished before" in line:
            words = "all this was finished before"
        elif line.startswith("careful") or "left out" in line:
            words = line
        else:
            return None
        minutes, seconds = divmod(round(clock() - began), 60)
        return f"{minutes}:{seconds:02d}  {words}"

    return told


def audited(record: Path) -> list[str]:
    """Return what is worth knowing of an audit, the gravest first.

    Args:
        record: Its ``audit.json``.
    """
    facts: Mapping[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    found = facts["findings"].values()
    grave = [each for each in found if each["count"] and each["severity"] in _WORTH_KNOWING]
    ranked = sorted(grave, key=lambda each: _WORTH_KNOWING.index(each["severity"]))
    return [
        _SHORTCUT
        if each["severity"] == SHORTCUT
        else " ".join(filter(None, (each["sentence"], each["advice"])))
        for each in ranked
    ]
