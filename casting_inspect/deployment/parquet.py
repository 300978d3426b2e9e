"""Tables as Parquet, where pyarrow is installed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from casting_inspect.errors import UserError
from casting_inspect.files import replacing

CHUNK: Final = 10_000
"""Rows that are written at once."""

Made = TypeVar("Made")


def pyarrow() -> Any:
    """Return the package.

    Raises:
        UserError: If it is not installed; the line says how to.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            "out: Parquet needs pyarrow, which is not installed: pip install "
            '"casting-inspect[parquet]", or write .csv or .jsonl'
        ) from None
    return pyarrow


def write(
    path: Path, rows: Iterable[dict[str, Any]], columns: Sequence[str], numbers: Collection[str]
) -> None:
    """Write a table, a chunk of rows in memory at a time; it takes its name when it is whole.

    Args:
        path: The file.
        rows: Values by column.
        columns: All columns, in order.
        numbers: Those of numbers; the others are text.
    """
    arrow = pyarrow()
    kinds = [(name, arrow.float64() if name in numbers else arrow.string()) for name in columns]
    schema, left = arrow.schema(kinds), iter(rows)
    with replacing(path) as temporary, arrow.parquet.ParquetWriter(temporary, schema) as writer:
        while chunk := list(itertools.islice(left, CHUNK)):
            writer.write_table(arrow.Table.from_pylist(chunk, schema))


def read(path: Path, make: Callable[..., Made], columns: Sequence[str]) -> Iterator[Made]:
    """Yield what is made of each row.

    Raises:
        UserError: If it is no such table.
    """
    arrow = pyarrow()
    try:
        table = arrow.parquet.ParquetFile(path)
        if tuple(table.schema_arrow.names) != tuple(columns):
            raise UserError(f"{path}: is no table of verdicts; give another name")
        for batch in table.iter_batches(CHUNK):
            for found in batch.to_pylist():
                yield make(**found)
        table.close()
    except (arrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: cannot be read as Parquet ({error})") from None
