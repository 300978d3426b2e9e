"""How far an inspection has come, on the screen and in an exit code."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from casting_inspect.data.outcome import first, printable
from casting_inspect.deployment.rows import VERDICTS

KEPT: Final = 20
"""Errors that are remembered for the last lines."""


class Tally:
    """Counts verdicts and shows them.

    Args:
        total: Pictures to come, or None.
        show: Whether to draw a bar, where there is a terminal.
    """

    def __init__(self, total: int | None = None, show: bool = True) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(VERDICTS, 0))
        self.before = 0
        self.errors: list[str] = []
        self.drawn = 0
        self._start = time.perf_counter()
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.fields[counts]}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not (show and console.is_terminal),
            transient=True,
        )
        self._task = self._bar.add_task("", total=total, counts="")

    def __enter__(self) -> Tally:
        """Begin to draw."""
        self._start = time.perf_counter()
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop drawing."""
        self._bar.stop()

    @property
    def done(self) -> int:
        """Pictures judged by this run."""
        return self.counts.total() - self.before

    def add_before(self, verdict: str) -> None:
        """Count a row that an earlier run has left."""
        self.counts[verdict] += 1
        self.before += 1

    def add(self, verdict: str, name: str = "", error: str = "") -> None:
        """Count a picture."""
        self.counts[verdict] += 1
        if error and len(self.errors) < KEPT:
            self.errors.append(f"{name} ({error})")
        rate = self.done / max(1e-9, time.perf_counter() - self._start)
        self._bar.update(
            self._task, completed=self.counts.total(), counts=f"{rate:.0f} images/s  {self.words()}"
        )

    def words(self) -> str:
        """Return the counts in words."""
        passed, rejected, doubtful, errors = (self.counts[verdict] for verdict in VERDICTS)
        return (
            f"{passed:,} passed, {rejected:,} rejected, {doubtful:,} doubtful, "
            f"{errors:,} error{'' if errors == 1 else 's'}"
        )

    def summary(self) -> list[str]:
        """Return the lines to end with."""
        spent = max(1e-9, time.perf_counter() - self._start)
        before = f", {self.before:,} more were done before" if self.before else ""
        lines = [
            f"{self.done:,} pictures in {spent:.1f} s ({self.done / spent:.1f} images/s){before}: "
            f"{self.words()}"
        ]
        if self.errors:
            there = self.errors + [""] * (self.counts["error"] - len(self.errors))
            lines.append(f"not judged, and so not passed: {first(there, '; ')}")
        return lines

    def exit_code(self, fail_on: str | None) -> int:
        """Return what automation is told.

        Args:
            fail_on: ``defective``, ``review`` (what is doubtful too), or None.

        Returns:
            1 if there are such parts, else 3 if a picture could not be judged, else 0.
        """
        caught = {"defective": ("defective",), "review": ("defective", "review")}
        if any(self.counts[verdict] for verdict in caught.get(fail_on or "", ())):
            return 1
        return 3 if self.counts["error"] else 0


def told(what: str, names: Sequence[str]) -> str:
    """Return a line on files that took no part."""
    return f"{what}: {len(names):,}, {first([printable(name) for name in names])}"
