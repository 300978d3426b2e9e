from __future__ import annotations

import dataclasses
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stubs import StubScorer, generated, grey_png, verdict_of_grey, write_grey

from casting_inspect.deployment.rows import Row
from casting_inspect.deployment.sources import Item
from casting_inspect.deployment.stream import Pace, inspect_items
from casting_inspect.errors import UserError


def rows_of(items: object, scorer: StubScorer, pace: Pace) -> list[Row]:
    found = inspect_items(items, scorer, pace, threading.Event())  # type: ignore[arg-type]
    return [one.row for batch in found for one in batch]


def timeless(rows: list[Row]) -> list[Row]:
    return [dataclasses.replace(row, milliseconds=0.0, time="") for row in rows]


def mixed(values: list[int]) -> Iterator[Item]:
    """Yield pictures; a value of -1 is a broken one."""
    for number, value in enumerate(values):
        data = b"\x89PNG broken" if value < 0 else grey_png(value, 16 + number % 3)
        yield Item(f"{number}.png", lambda data=data: data)  # type: ignore[misc]


@settings(max_examples=25)
@given(
    st.lists(st.integers(-1, 255), max_size=40),
    st.integers(1, 9),
    st.integers(1, 4),
    st.booleans(),
)
def test_whatever_batches_and_threads_the_rows_are_the_same(
    values: list[int], batch: int, decoders: int, live: bool
) -> None:
    scorer = StubScorer()
    found = timeless(rows_of(mixed(values), scorer, Pace(batch, decoders, live=live)))
    assert [row.path for row in found] == [f"{number}.png" for number in range(len(values))]
    assert [row.verdict for row in found] == [
        "error" if value < 0 else verdict_of_grey(value) for value in values
    ]
    assert max(scorer.batches, default=0) <= batch
    assert found == timeless(rows_of(mixed(values), StubScorer(), Pace(1, 1)))


def test_pictures_that_show_nothing_are_errors(tmp_path: Path) -> None:
    write_grey(tmp_path / "1.png", 255, 1)
    header = grey_png(255)
    chunk = header[12:16] + (20_000).to_bytes(4, "big") * 2 + header[24:29]
    huge = header[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + header[33:]
    (tmp_path / "huge.png").write_bytes(huge)
    names = ["1.png", "huge.png", "missing.png", "nul\0.png"]
    items = [Item(name, lambda name=name: tmp_path / name) for name in names]  # type: ignore[misc]
    rows = rows_of(items, StubScorer(), Pace())
    assert [row.verdict for row in rows] == ["error"] * 4
    assert [row.p_normal for row in rows] == [None] * 4
    assert rows[0].error == "too small to show a casting: 1 x 1 pixels"
    assert "absurdly large: 20000 x 20000 pixels" in rows[1].error
    assert "cannot be opened" in rows[2].error
    assert rows[3].error
    assert rows[3].path == "nul\\x00.png"


def test_a_batch_that_cannot_be_scored_costs_its_one_picture_only() -> None:
    rows = rows_of(mixed([200, 7, 30, 120]), StubScorer(breaks=7), Pace(batch=4))
    assert [row.verdict for row in rows] == ["normal", "error", "defective", "review"]
    assert "could not be scored" in rows[1].error


class Fails(StubScorer):
    """Raises an error for pictures of one grey value, or from some call on for all."""

    def __init__(self, error: Exception, value: int = 7, after: int = 10**9) -> None:
        super().__init__()
        self._error, self._value, self._after = error, value, after

    def __call__(self, pictures, heatmaps=False):  # type: ignore[no-untyped-def]
        found = super().__call__(pictures, heatmaps)
        bad = any(int(picture[0, 0, 0]) == self._value for picture in pictures)
        if bad or len(self.batches) > self._after:
            raise self._error
        return found


ERRORS = [ValueError("no number"), RuntimeError("x"), MemoryError(), cv2.error("resize")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_fails_at_one_picture_costs_that_one(error: Exception) -> None:
    rows = rows_of(mixed([200, 7, 30]), Fails(error), Pace(batch=4))
    assert [row.verdict for row in rows] == ["normal", "error", "defective"]
    assert rows[1].error.startswith("could not be scored (")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_model_that_can_score_no_more_ends_it_and_costs_no_picture(error: Exception) -> None:
    rows: list[Row] = []
    scorer = Fails(error, after=2)
    found = inspect_items(mixed([200] * 9), scorer, Pace(batch=1), threading.Event())
    with pytest.raises(UserError, match=r"no picture can be scored any more .*resume=true goes on"):
        rows.extend(one.row for batch in found for one in batch)
    assert [row.verdict for row in rows] == ["normal"] * 2


def test_sixteen_bits_are_mapped_by_the_scorers_window() -> None:
    done, data = cv2.imencode(".png", np.full((32, 32), 900, np.uint16))
    assert done
    item = Item("16.png", lambda: bytes(data.tobytes()))
    (row,) = rows_of([item], StubScorer(), Pace())
    assert row.verdict == "error"
    scorer = StubScorer()
    scorer.window = (0.0, 1000.0)  # type: ignore[attr-defined]
    (row,) = rows_of([item], scorer, Pace())
    assert row.p_normal == pytest.approx(0.9, abs=0.002)


def test_an_error_of_the_source_comes_after_what_was_before_it() -> None:
    def each() -> Iterator[Item]:
        yield from mixed([200, 200])
        raise UserError("the folder is gone")

    kept: list[str] = []
    found = inspect_items(each(), StubScorer(), Pace(batch=8), threading.Event())
    with pytest.raises(UserError, match="gone"):
        kept.extend(one.row.path for batch in found for one in batch)
    assert kept == ["0.png", "1.png"]


def test_a_source_that_hangs_does_not_keep_it_from_stopping() -> None:
    stop, released = threading.Event(), threading.Event()

    def each() -> Iterator[Item]:
        yield from mixed([200])
        released.wait(60)

    found = inspect_items(each(), StubScorer(), Pace(live=True), stop)
    assert len(next(found)) == 1
    stop.set()
    assert next(found, None) is None
    released.set()


def test_decoded_pictures_wait_in_bounded_number() -> None:
    taken = []

    def each() -> Iterator[Item]:
        for item in generated(500).each:
            taken.append(item.name)
            yield item

    found = inspect_items(each(), StubScorer(), Pace(batch=4, decoders=2), threading.Event())
    for done, batch in enumerate(iter(lambda: next(found, None), None)):
        assert len(taken) <= 4 * (done + 1) + 8 + 1
        assert 1 <= len(batch) <= 4
    assert len(taken) == 500


def test_a_source_that_is_gone_ends_it_after_the_rows_before(tmp_path: Path) -> None:
    def gone() -> bool:
        raise UserError("the stick is gone")

    lost = Item("lost.png", lambda: tmp_path / "lost.png", again=gone)
    kept: list[str] = []
    items = [*mixed([200, 30]), lost, *mixed([200])]
    found = inspect_items(items, StubScorer(), Pace(batch=8), threading.Event())
    with pytest.raises(UserError, match="the stick is gone"):
        kept.extend(one.row.path for batch in found for one in batch)
    assert kept == ["0.png", "1.png"]


def test_a_picture_that_is_there_again_is_read_again(tmp_path: Path) -> None:
    def back() -> bool:
        write_grey(tmp_path / "a.png", 200)
        return True

    item = Item("a.png", lambda: tmp_path / "a.png", again=back)
    (row,) = rows_of([item], StubScorer(), Pace())
    assert row.verdict == "normal"
