"""The table of verdicts: a row a picture, written as it comes, whole even after a kill."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

from casting_inspect.deployment import parquet
from casting_inspect.deployment.verdict import PictureScorer
from casting_inspect.errors import UserError
from casting_inspect.files import replacing

VERDICTS: Final = ("normal", "defective", "review", "error")
ENDINGS: Final = (".csv", ".jsonl", ".parquet")
PART: Final = ".part"
"""Follows the name of a table that is not finished."""


@dataclass(frozen=True)
class Row:
    """What is said of one picture.

    Attributes:
        path: Its name in the source.
        verdict: One of ``VERDICTS``; ``error`` is never a pass.
        p_normal: Probability of normal, None with ``error``.
        threshold: A picture passes above it.
        threshold_low: It is rejected at most at this; equal to `threshold` where nobody looks.
        model: SHA-256 of the model.
        milliseconds: Reading, decoding, and its share of its batch's scoring.
        time: When it was judged, ISO 8601 in UTC.
        error: Why there is no verdict; empty when there is one.
    """

    path: str
    verdict: str
    p_normal: float | None
    threshold: float
    threshold_low: float
    model: str
    milliseconds: float
    time: str
    error: str = ""


COLUMNS: Final = tuple(each.name for each in fields(Row))
NUMBERS: Final = ("p_normal", "threshold", "threshold_low", "milliseconds")


class Table:
    """The rows of one output file.

    A run that ends writes to ``NAME.part`` and takes the name at its end, so that a file of that
    name is complete. A stream, which has no end, writes CSV and JSON Lines under their name.
    Parquet is collected as JSON Lines and turned at the end.

    Args:
        out: The file; its ending chooses the format.
        resume: Whether to go on with what is there.
        live: Whether this is a stream.

    Raises:
        UserError: If it is there and not to be gone on with, a folder, damaged, or cannot be
            written.
    """

    def __init__(self, out: Path, *, resume: bool = False, live: bool = False) -> None:
        self.out = out
        self.kind = out.suffix.lower()
        if self.kind == ".parquet":
            parquet.pyarrow()
        self.in_place = live and self.kind != ".parquet"
        self.part = out if self.in_place else out.with_name(out.name + PART)
        self._stream: FileIO | None = None
        self._end = 0
        self._dirty = False
        if out.is_dir():
            example = out / f"verdicts{self.kind}"
            raise UserError(f"out={out}: is a folder; name a file in it, such as {example}")
        if not resume:
            self._refuse_what_is_there()
        elif not self.part.exists() and out.with_name(out.name + PART).exists():
            os.replace(out.with_name(out.name + PART), self.part)
        self._check_writable()

    def _refuse_what_is_there(self) -> None:
        for path in dict.fromkeys((self.out.with_name(self.out.name + PART), self.out)):
            if path.exists():
                what = "rows of an interrupted run" if path != self.out else "a finished table"
                raise UserError(
                    f"out={self.out}: {path.name} is there, {what}; resume=true goes on with it, "
                    "or give another name"
                )

    def _check_writable(self) -> None:
        """Try to write before anything costs time; leave nothing behind."""
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            new = not self.part.exists()
            with self.part.open("ab"):
                pass
            if new:
                self.part.unlink()
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> UserError:
        rest = f"; rows so far are in {self.part}, resume=true goes on" if self._dirty else ""
        return UserError(f"out={self.out}: cannot be written ({error.strerror or error}){rest}")

    def rows(self) -> Iterator[Row]:
        """Yield the rows of an earlier run, and drop a last one that was cut off.

        Raises:
            UserError: If there is something else.
        """
        if self.part.exists():
            yield from self._read_part()
        elif self.kind == ".parquet" and self.out.exists():
            yield from parquet.read(self.out, Row, COLUMNS)
        elif self.out.exists():
            with self.out.open("rb") as stream:
                yield from self._lines(stream)
                if self._end != self.out.stat().st_size:
                    raise UserError(f"{self.out}: its last row is cut off; give another name")

    def _read_part(self) -> Iterator[Row]:
        with self.part.open("r+b") as stream:
            yield from self._lines(stream)
            stream.truncate(self._end)  # what a kill cut off
        self._dirty = self._end > 0

    def _lines(self, stream: BinaryIO) -> Iterator[Row]:
        self._end = 0
        for number, line in enumerate(stream, start=1):
            if not line.endswith(b"\n"):
                return
            self._end += len(line)
            if self.kind == ".csv" and number == 1:
                if line.rstrip(b"\r\n").decode("utf-8", "replace").split(",") != list(COLUMNS):
                    raise UserError(f"{stream.name}: is no table of verdicts (row 1); give another")
                continue
            row = self._parsed(line)
            if row is None:
                raise UserError(f"{stream.name}, row {number}: damaged; give another out=FILE")
            yield row

    def _parsed(self, line: bytes) -> Row | None:
        try:
            text = line.decode("utf-8")
            if self.kind != ".csv":
                found = json.loads(text)
                return Row(**found) if set(found) == set(COLUMNS) else None
            path, verdict, p_normal, high, low, model, spent, time, error = next(
                csv.reader([text], strict=True)
            )
            score = float(p_normal) if p_normal else None
            limits = float(high), float(low)
            return Row(path, verdict, score, *limits, model, float(spent), time, error)
        except (ValueError, TypeError, StopIteration, csv.Error):
            return None

    def write(self, rows: list[Row]) -> None:
        """Append rows, and hand them to the system so that a kill cannot take them.

        Raises:
            UserError: If the disk is full or gone; whole rows alone are left.
        """
        try:
            stream = self._stream or self._open()
            self._put(stream, "".join(map(self._text, rows)))
        except OSError as error:
            self._cut()
            raise self._failed(error) from None

    def sync(self) -> None:
        """Wait until the rows are on the disk, so that a power cut cannot take them either.

        Raises:
            UserError: If the disk is gone.
        """
        if self._stream is not None:
            try:
                os.fsync(self._stream.fileno())
            except OSError as error:
                raise self._failed(error) from None

    def _put(self, stream: FileIO, text: str) -> None:
        write_all(stream, text)
        self._end = stream.tell()
        self._dirty = True

    def _open(self) -> FileIO:
        if not self.part.exists() and self.out.exists():  # finished, and there are more pictures
            self._reopen()
        # without a buffer: what is in one when the disk is full would be tried again at the end
        stream = self.part.open("ab", buffering=0)
        self._stream = stream
        self._end = stream.tell()
        if self.kind == ".csv" and self._end == 0:
            self._put(stream, ",".join(COLUMNS) + "\n")
        return stream

    def _reopen(self) -> None:
        if self.kind != ".parquet":
            os.replace(self.out, self.part)
            return
        with replacing(self.part) as spool, spool.open("w", encoding="utf-8", newline="") as stream:
            for row in parquet.read(self.out, Row, COLUMNS):
                stream.write(self._text(row))

    def _cut(self) -> None:
        """Remove a row that was written in part."""
        if self._stream is not None:
            try:
                self._stream.truncate(self._end)
            except OSError:
                return

    def _text(self, row: Row) -> str:
        if self.kind != ".csv":
            return json.dumps(asdict(row), ensure_ascii=False) + "\n"
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(asdict(row).values())
        return text.getvalue()

    def finish(self) -> None:
        """Give the file its name: every row is there.

        Raises:
            UserError: If that cannot be written.
        """
        self.close()
        if self.in_place or not self.part.exists():
            return
        try:
            if self.kind == ".parquet":
                parquet.write(self.out, map(asdict, self._read_part()), COLUMNS, NUMBERS)
                self.part.unlink()
            else:
                os.replace(self.part, self.out)
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Let go of the file, finished or not."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def has_rows(out: Path) -> bool:
    """Say whether a table was begun."""
    return out.exists() or out.with_name(out.name + PART).exists()


def write_all(stream: FileIO, text: str) -> None:
    """Write all of a text to a file without a buffer.

    Raises:
        OSError: If there is no room for all of it; a part is there then.
    """
    rest = memoryview(text.encode("utf-8"))
    while rest:
        rest = rest[stream.write(rest) :]  # a disk that is nearly full takes a part


def check_same(row: Row, scorer: PictureScorer, out: Path) -> None:
    """Check that a row of an earlier run was judged as rows will be now.

    Raises:
        UserError: If by another model or at other thresholds; the line says which.
    """
    limits = scorer.limits
    if (row.model, row.threshold, row.threshold_low) == (scorer.digest, limits.high, limits.low):
        return
    differs = []
    if row.model != scorer.digest:
        differs.append(f"model {row.model[:12]} there, {scorer.digest[:12]} now")
    for name, there, now in (
        ("threshold", row.threshold, limits.high),
        ("threshold_low", row.threshold_low, limits.low),
    ):
        if there != now:
            differs.append(f"{name} {there:.9g} there, {now:.9g} now")
    raise UserError(
        f"out={out}: was begun with another model or threshold ({'; '.join(differs)}); give "
        "another name, or the model that it was begun with"
    )
