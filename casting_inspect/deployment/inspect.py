"""A source of pictures taken through a scorer into a table, and on from where it was left."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from casting_inspect.deployment.ledger import UNDER_WAY, Ledger
from casting_inspect.deployment.lock import held
from casting_inspect.deployment.placing import Sorting, draw_heatmap, put, safe_path
from casting_inspect.deployment.rows import Table, check_same
from casting_inspect.deployment.sources import Item, Items, key_of
from casting_inspect.deployment.stream import Judged, Pace, inspect_items
from casting_inspect.deployment.tally import Tally, told
from casting_inspect.deployment.verdict import PictureScorer
from casting_inspect.errors import UserError

HEATMAPS_OF = {"all": ("normal", "defective", "review"), "rejected": ("defective", "review")}


@dataclass(frozen=True)
class Wanted:
    """What an inspection leaves beside its table.

    Attributes:
        out: The table.
        resume: Whether to go on with it.
        sorting: Where pictures go by verdict, or None.
        heatmaps: Folder of overlays, or None.
        heatmaps_of: One of ``HEATMAPS_OF``.
        done: Where taken pictures of a drop folder go, or None.
        limit: Pictures after which to stop, or None.
        progress: Whether to draw a bar.
    """

    out: Path
    resume: bool = False
    sorting: Sorting | None = None
    heatmaps: Path | None = None
    heatmaps_of: str = "rejected"
    done: Path | None = None
    limit: int | None = None
    progress: bool = True

    @property
    def moves(self) -> bool:
        """Whether pictures leave their place."""
        return self.done is not None or (self.sorting is not None and self.sorting.way == "move")


@dataclass
class Outcome:
    """How an inspection ended.

    Attributes:
        tally: The counts, of rows from before too.
        signal: The signal that stopped it before its end, or 0.
    """

    tally: Tally
    signal: int = 0


def inspect(
    items: Items,
    scorer_of: Callable[[], PictureScorer],
    wanted: Wanted,
    pace: Pace,
    say: Callable[[str], None],
    *,
    ledger: Ledger | None = None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Judge every picture of a source, each once, and write a row for each in order.

    A row is written before its picture is moved anywhere, so that a kill at any moment loses
    neither: what was left undone is done when it goes on.

    Args:
        items: The source.
        scorer_of: Makes the scorer; called once the table is known to be fit to write.
        wanted: Where results go.
        pace: Batches and threads.
        say: Prints a line.
        ledger: Of a drop folder.
        stop: Ends it before its end; signals set it too.

    Raises:
        UserError: If the table cannot be written or gone on with, another process writes it, or the
            source is gone.
    """
    stop = stop or threading.Event()
    with ExitStack() as around:
        around.callback(items.close)
        around.enter_context(held(wanted.out))
        table = Table(wanted.out, resume=wanted.resume, live=items.endless)
        around.callback(table.close)
        caught = around.enter_context(_stopped_by_signals(stop))
        scorer = scorer_of()
        tally = Tally(items.total, wanted.progress)
        before = _read_before(table, scorer, tally, wanted.out, ledger)
        if ledger is not None:
            around.callback(ledger.close)
            ledger.go_on()
        fresh = _not_done(items, before, wanted, ledger)
        if items.endless:
            say(f"watching {items.where}; Ctrl-C ends it")
        with tally:
            some = itertools.islice(fresh, wanted.limit)
            for batch in inspect_items(some, scorer, pace, stop, bool(wanted.heatmaps)):
                _keep(batch, table, wanted, ledger, tally)
        if not caught or items.endless:
            table.finish()
        _say_end(items, tally, say)
        if wanted.heatmaps is not None and tally.done:
            none = "" if tally.drawn else ": the model makes none, or none was to be drawn"
            say(f"heatmaps: {tally.drawn:,} in {wanted.heatmaps}{none}")
        return Outcome(tally, 0 if items.endless else next(iter(caught), 0))


def _read_before(
    table: Table, scorer: PictureScorer, tally: Tally, out: Path, ledger: Ledger | None
) -> dict[bytes, str]:
    """Return the verdict of each name that has a row; the ledger of a stream knows its own."""
    verdicts: dict[bytes, str] = {}
    for row in table.rows():
        check_same(row, scorer, out)
        tally.add_before(row.verdict)
        if ledger is None:
            verdicts[key_of(row.path)] = row.verdict
        else:
            ledger.verdicts.append(row.verdict)
    return verdicts


def _not_done(
    items: Items, before: dict[bytes, str], wanted: Wanted, ledger: Ledger | None
) -> Iterator[Item]:
    """Yield what has no row yet, and finish what was not finished of what has one."""
    for item in items.each:
        verdict = ledger.take(item) if ledger else before.get(key_of(item.name))
        if verdict is None:
            yield item
        elif verdict != UNDER_WAY:  # a drop folder that is back shows what it showed before
            _put_away(item, verdict, wanted)


def _keep(
    batch: list[Judged], table: Table, wanted: Wanted, ledger: Ledger | None, tally: Tally
) -> None:
    """Draw, write, then put away: in this order nothing can be lost."""
    for judged in batch:
        if wanted.heatmaps and judged.row.verdict in HEATMAPS_OF[wanted.heatmaps_of]:
            tally.drawn += draw_heatmap(judged, wanted.heatmaps)
    if ledger is not None:
        ledger.write([judged.item for judged in batch], [judged.row.verdict for judged in batch])
        ledger.sync()  # after a power cut rows without their lines could not be gone on with
    table.write([judged.row for judged in batch])
    if wanted.moves:
        table.sync()  # a picture leaves its place only when its row is safe from a power cut
    for judged in batch:
        tally.add(judged.row.verdict, judged.row.path, judged.row.error)
        _put_away(judged.item, judged.row.verdict, wanted)


def _put_away(item: Item, verdict: str, wanted: Wanted) -> None:
    if wanted.sorting is None and wanted.done is None:
        return
    if item.file is not None and not os.path.isfile(item.file):  # noqa: PTH113 - Path's may raise
        item.again()  # moved before, or else its folder is gone
    if wanted.sorting is not None:
        wanted.sorting.put(item, verdict)
    if wanted.done is not None:
        try:
            put(item, wanted.done / safe_path(item.name), "move")
        except OSError as error:
            raise UserError(
                f"drop.done={wanted.done}: '{item.name}' cannot be moved there "
                f"({error.strerror or error}); resume=true goes on"
            ) from None


def _say_end(items: Items, tally: Tally, say: Callable[[str], None]) -> None:
    for line in tally.summary():
        say(line)
    if items.left_out:
        say(told("left out, no pictures of parts", items.left_out))
    if items.repeated:
        say(told("named again, inspected once", items.repeated))


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM end the work after the pictures under way; a second one at once."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        stop.set()
        restore()

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield caught
    finally:
        restore()
