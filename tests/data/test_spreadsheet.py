from __future__ import annotations

from pathlib import Path

import pytest

from casting_inspect.data.spreadsheet import decimal_point, read_cells
from casting_inspect.errors import UserError


def saved(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    return path


TEXT = "Datei;Maß\r\nGußteil.png;1,5\r\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode("utf-8"),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("cp1252"),
        TEXT.encode("utf-16"),  # Excel's "Unicode text", with its mark
        TEXT.replace(";", "\t").encode("utf-16"),
        ("sep=;\r\n" + TEXT).encode("cp1252"),
    ],
)
def test_tables_as_excel_saves_them(tmp_path: Path, data: bytes) -> None:
    header, rows = read_cells(saved(tmp_path, data))
    assert header == ["Datei", "Maß"]
    assert [cells for _, cells in rows] == [["Gußteil.png", "1,5"]]


def test_rows_are_counted_as_the_spreadsheet_shows_them(tmp_path: Path) -> None:
    assert [at for at, _ in read_cells(saved(tmp_path, b"a,b\n\n1,2\n , \n3,4\n")).rows] == [3, 5]
    assert [at for at, _ in read_cells(saved(tmp_path, b"sep=,\na,b\n1,2\n")).rows] == [3]


def test_bytes_that_are_no_letters_of_windows_do_not_stop_it(tmp_path: Path) -> None:
    header, _ = read_cells(saved(tmp_path, b"a\x81\xe4,b\n"))
    assert header == ["a\ufffdä", "b"]


def test_a_spreadsheets_own_file_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="save it as 'CSV UTF-8'"):
        read_cells(saved(tmp_path, b"PK\x03\x04\x14\x00\x06\x00"))


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("12,5", "12.5"),
        ("-0,25", "-0.25"),
        ("1,5e-3", "1.5e-3"),
        ("12.5", "12.5"),
        ("1,2,3", "1,2,3"),
        ("a,b", "a,b"),
        ("", ""),
    ],
)
def test_decimal_commas(cell: str, expected: str) -> None:
    assert decimal_point(cell) == expected
