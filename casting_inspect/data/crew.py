"""Threads that do one thing to many files, with a progress bar on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from casting_inspect.cores import usable_cores

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Crew:
    """Some threads and whether their work is shown.

    Attributes:
        workers: Number of threads.
    """

    def __init__(self, workers: int = 0, progress: bool = True) -> None:
        self.workers = workers if workers > 0 else min(8, usable_cores())
        self._progress = progress

    def each(
        self, work: Callable[[_Item], _Result], items: Sequence[_Item], title: str
    ) -> list[_Result]:
        """Return ``work(item)`` of every item, in their order.

        When one raises, or the user interrupts, no further item is begun.
        """
        results: list[_Result] = []
        pool = ThreadPoolExecutor(self.workers)
        try:
            with self.bar(title, len(items)) as advance:
                for result in pool.map(work, items):
                    results.append(result)
                    advance(len(results))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return results

    def batches(
        self, work: Callable[[_Item], _Result], items: Sequence[_Item], size: int, title: str
    ) -> Generator[tuple[int, list[_Result]], None, None]:
        """Yield the place of the first item and ``work(item)`` of each, ``size`` items at a time.

        No item of the next batch is begun before the caller has taken this one.
        """
        with self.bar(title, len(items)) as advance, ThreadPoolExecutor(self.workers) as pool:
            for start in range(0, len(items), size):
                some = items[start : start + size]
                yield start, list(pool.map(work, some))
                advance(start + len(some))

    @contextlib.contextmanager
    def bar(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that is told how many of ``total`` are done."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        shown = Progress(*columns, console=Console(stderr=True), disable=not self._progress)
        with shown:
            task = shown.add_task(title, total=total)
            yield lambda done: shown.update(task, completed=done)
