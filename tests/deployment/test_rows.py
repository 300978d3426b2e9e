from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stubs import DIGEST, StubScorer

from casting_inspect.deployment.rows import COLUMNS, Row, Table, check_same
from casting_inspect.deployment.sources import shown
from casting_inspect.errors import UserError

TIME = "2026-01-02T03:04:05.678+00:00"


def row(name: str, verdict: str = "normal", score: float | None = 0.9, error: str = "") -> Row:
    return Row(name, verdict, score, 0.6, 0.4, DIGEST, 1.5, TIME, error)


ROWS = [row('a, "b".png'), row("ü.png", "defective", 1e-17), row("c", "error", None, "cut, off")]


def endings() -> list[str]:
    return ["csv", "jsonl", "parquet"]


def table_at(path: Path, **how: bool) -> Table:
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    return Table(path, **how)


@pytest.mark.parametrize("ending", endings())
def test_rows_come_back_as_they_were(tmp_path: Path, ending: str) -> None:
    out = tmp_path / "new" / f"v.{ending}"
    table = table_at(out)
    table.write(ROWS[:2])
    assert not out.exists()  # what has the name is complete
    table.write(ROWS[2:])
    table.finish()
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert list(table_at(out, resume=True).rows()) == ROWS


def test_others_can_read_the_formats(tmp_path: Path) -> None:
    for ending in endings()[:2]:
        table = Table(tmp_path / f"v.{ending}")
        table.write(ROWS)
        table.finish()
    with (tmp_path / "v.csv").open(encoding="utf-8", newline="") as stream:
        found = list(csv.DictReader(stream))
    assert tuple(found[0]) == COLUMNS
    assert [each["path"] for each in found] == [each.path for each in ROWS]
    assert float(found[1]["p_normal"]) == 1e-17
    lines = (tmp_path / "v.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["p_normal"] for line in lines] == [0.9, 1e-17, None]


def test_parquet_has_types(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra 'parquet' is not installed")
    table = Table(tmp_path / "v.parquet")
    table.write(ROWS)
    table.finish()
    found = parquet.read_table(tmp_path / "v.parquet")
    assert found["p_normal"].to_pylist() == [0.9, 1e-17, None]
    assert str(found.schema.field("p_normal").type) == "double"


def test_parquet_without_pyarrow_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match=r'pip install "casting-inspect\[parquet\]"'):
        Table(tmp_path / "v.parquet")


@pytest.mark.parametrize("ending", endings())
@pytest.mark.parametrize("live", [False, True])
def test_wherever_a_kill_cuts_whole_rows_are_kept(tmp_path: Path, ending: str, live: bool) -> None:
    whole = table_at(tmp_path / f"whole.{ending}", live=live)
    whole.write(ROWS)
    data = whole.part.read_bytes()
    whole.close()
    for cut in range(len(data) + 1):
        out = tmp_path / f"cut.{ending}"
        part = out if live and ending != "parquet" else out.with_name(f"{out.name}.part")
        part.write_bytes(data[:cut])
        table = table_at(out, resume=True, live=live)
        kept = list(table.rows())
        assert kept == ROWS[: len(kept)]
        assert data[:cut].count(b"\n") - (ending == "csv" and cut > 0 and b"\n" in data[:cut]) == (
            len(kept)
        )
        table.write(ROWS[len(kept) :])
        table.finish()
        assert list(table_at(out, resume=True, live=live).rows()) == ROWS
        out.unlink()


@pytest.mark.parametrize("ending", endings())
def test_a_finished_table_takes_more(tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"v.{ending}"
    table = table_at(out)
    table.write(ROWS[:1])
    table.finish()
    more = table_at(out, resume=True)
    assert list(more.rows()) == ROWS[:1]
    more.write(ROWS[1:])
    assert out.with_name(f"{out.name}.part").exists()
    more.finish()
    assert list(table_at(out, resume=True).rows()) == ROWS


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    out = tmp_path / "v.csv"
    table = Table(out)
    table.write(ROWS)
    table.close()
    with pytest.raises(UserError, match=r"v.csv.part is there, rows of an interrupted run; resume"):
        Table(out)
    Table(out, resume=True).finish()
    with pytest.raises(UserError, match=r"v\.csv is there, a finished table"):
        Table(out)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "v.csv"
    for text in ("path,label\na,b\n", ",".join(COLUMNS) + "\na,b\n"):
        out.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="row"):
            list(Table(out, resume=True).rows())
        assert out.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("ending", endings())
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("live", [False, True])
def test_a_folder_is_no_table(tmp_path: Path, ending: str, resume: bool, live: bool) -> None:
    out = tmp_path / f"v.{ending}"
    out.mkdir()
    with pytest.raises(UserError, match=rf"v\.{ending}: is a folder; name a file in it, such as"):
        table_at(out, resume=resume, live=live)
    assert list(tmp_path.rglob("*")) == [out]


def test_a_place_that_cannot_be_written_is_found_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be written"):
        Table(tmp_path / "file" / "v.csv")
    Table(tmp_path / "v.csv").close()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_another_model_or_threshold_is_named() -> None:
    with pytest.raises(UserError, match=r"model abababababab there, cdcdcdcdcdcd now"):
        check_same(row("a"), StubScorer(digest="cd" * 32), Path("v.csv"))
    other = dataclasses.replace(row("a"), threshold=0.5)
    with pytest.raises(UserError, match=r"\(threshold 0.5 there, 0.6 now\)"):
        check_same(other, StubScorer(), Path("v.csv"))
    narrow = dataclasses.replace(row("a"), threshold_low=0.6)  # nobody looked
    with pytest.raises(UserError, match=r"\(threshold_low 0.6 there, 0.4 now\)"):
        check_same(narrow, StubScorer(), Path("v.csv"))
    check_same(row("a"), StubScorer(), Path("v.csv"))


@given(st.lists(st.tuples(st.text(max_size=12), st.floats(0, 1)), max_size=6))
def test_any_name_and_score_survive(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, float]]
) -> None:
    rows = [row(shown(name), score=score) for name, score in pairs]
    folder = tmp_path_factory.mktemp("rows")
    for ending in endings()[:2]:
        table = Table(folder / f"v.{ending}")
        table.write(rows)
        table.finish()
        assert list(Table(folder / f"v.{ending}", resume=True).rows()) == rows
