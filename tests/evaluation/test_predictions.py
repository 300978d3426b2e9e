"""The predictions table: what is read from foreign tools, what is refused, what is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit

from casting_inspect.errors import UserError
from casting_inspect.evaluation.predictions import (
    COLUMNS,
    complete_predictions,
    log_odds,
    read_predictions,
    write_predictions,
)

MINIMAL = "path,label,p_normal\na.png,normal,0.9\nb.png,defective,0.25\n"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "predictions.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def complaint(folder: Path, text: str | bytes) -> str:
    with pytest.raises(UserError) as caught:
        read_predictions(written(folder, text))
    message = str(caught.value)
    assert "\n" not in message
    assert "predictions.csv" in message
    return message


def test_a_foreign_table_with_three_columns_takes_defaults(tmp_path: Path) -> None:
    frame = read_predictions(written(tmp_path, MINIMAL))
    assert tuple(frame.columns) == COLUMNS
    first = frame.iloc[0].to_dict()
    assert first.pop("logit") == pytest.approx(np.log(9.0))
    assert first == {
        "path": "a.png",
        "label": "normal",
        "group": "a.png",
        "split": "test",
        **{"fold": 0, "seed": 0, "model": "model", "p_normal": 0.9, "partition": 0, "inner": ""},
        **{"threshold": 0.5, "lot": "", "part": "", "capture": "", "kind": ""},
        "group_wide": "a.png",
    }
    assert [frame[name].dtype for name in ("fold", "seed", "partition")] == [np.int64] * 3


def test_empty_cells_take_defaults_too(tmp_path: Path) -> None:
    text = (
        "path,label,p_normal,group,split,fold,threshold,logit\n"
        "a,normal,0.9,,,,,\n"
        "b,normal,0.9,g,val,3.0,0.25,7\n"
    )
    frame = read_predictions(written(tmp_path, text))
    assert list(frame["group"]) == ["a", "g"]
    assert list(frame["split"]) == ["test", "val"]
    assert list(frame["fold"]) == [0, 3]
    assert list(frame["threshold"]) == [0.5, 0.25]
    assert list(frame["logit"]) == pytest.approx([np.log(9.0), 7.0])


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + MINIMAL.encode(),
        MINIMAL.replace("\n", "\r\n").encode(),
        MINIMAL.replace("path,label,p_normal", "path , label, p_normal").encode(),
        MINIMAL.replace("\nb.png", "\n\n\nb.png").encode() + b"\n\n",
        b'"path","label","p_normal"\n"a.png","normal","0.9"\n"b.png","defective","2.5e-1"',
        MINIMAL.replace(",", ";").replace(".9", ",9").replace(".25", ",25").encode(),
    ],
    ids=[
        "byte order mark",
        "CRLF",
        "blanks in the header",
        "blank lines",
        "quoted, no last end",
        "a German Excel's",
    ],
)
def test_other_tools_habits_are_read(tmp_path: Path, text: bytes) -> None:
    expected = read_predictions(written(tmp_path, MINIMAL))
    pd.testing.assert_frame_equal(read_predictions(written(tmp_path, text)), expected)


def test_other_columns_are_kept_behind(tmp_path: Path) -> None:
    frame = read_predictions(written(tmp_path, "shift,path,label,p_normal\n2,a,normal,1\n"))
    assert frame.columns[-1] == "shift"
    assert frame["shift"][0] == "2"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("c,normal,nan", "row 3: p_normal is 'nan', not a number from 0 to 1"),
        ("c,normal,", "row 3: p_normal is '', not a number"),
        ("c,normal,1.01", "row 3: p_normal is '1.01'"),
        ("c,normal,-0.1", "row 3: p_normal is '-0.1'"),
        ("c,normal,high", "row 3: p_normal is 'high'"),
        ("c,norml,0.5", "row 3: label is 'norml', not defective or normal. Did you mean 'normal'?"),
        ("c,,0.5", "row 3: label is ''"),
        (",normal,0.5", "row 3: path is empty"),
        ("c,normal,0.5,9", "row 3: 4 cells under 3 columns"),
        ("c,normal", "row 3: 2 cells under 3 columns"),
        ("a.png,normal,0.4", "row 3: 'a.png' stands in row 2 already"),
    ],
)
def test_a_wrong_cell_is_named_with_its_row(tmp_path: Path, row: str, words: str) -> None:
    text = MINIMAL.splitlines()
    assert words in complaint(tmp_path, "\n".join([text[0], text[1], row, text[2]]))


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("split", "tset", "split is 'tset', not train, val or test. Did you mean 'test'?"),
        ("fold", "1.5", "fold is '1.5', not a whole number"),
        ("seed", "x", "seed is 'x', not a"),
        ("threshold", "1.5", "threshold is '1.5', not a number from 0 to 1"),
        ("threshold", "nan", "threshold is 'nan'"),
        ("logit", "inf", "logit is 'inf', not a finite number"),
    ],
)
def test_a_wrong_optional_cell_is_named(tmp_path: Path, column: str, cell: str, words: str) -> None:
    text = f"path,label,p_normal,{column}\na,normal,0.5,\n\nb,normal,0.5,{cell}\n"
    message = complaint(tmp_path, text)
    assert "row 4" in message  # the blank line is row 3
    assert words in message


def test_rows_like_the_wrong_one_are_counted(tmp_path: Path) -> None:
    text = "path,label,p_normal\na,normal,2\nb,normal,1\nc,normal,3\n"
    assert complaint(tmp_path, text).endswith("(2 rows like it.)")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label,score\na,normal,1\n", "no column 'p_normal' (found: path, label, score)"),
        ("path,label,p_norm\na,normal,1\n", "Did you mean 'p_norm'?"),
        ("path,label,p_normal,path\na,normal,1,a\n", "two columns are called 'path'"),
        ("", "no column 'path' (found: none)"),
        ("path,label,p_normal\n", "holds no predictions"),
        (b"PK\0path,label,p_normal\n", "a spreadsheet's own file"),
        ('path,label,p_normal\n"a"b,normal,1\n', "not a table"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, text: str | bytes, words: str) -> None:
    assert words in complaint(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv: cannot be read"):
        read_predictions(tmp_path / "none.csv")


@pytest.mark.parametrize("column", ["split", "fold", "seed", "model", "partition", "inner"])
def test_a_path_may_recur_in_another_fit_or_split(tmp_path: Path, column: str) -> None:
    values = ("val", "test") if column == "split" else ("1", "2")
    rows = "".join(f"a,normal,0.5,{value}\n" for value in values)
    assert len(read_predictions(written(tmp_path, f"path,label,p_normal,{column}\n{rows}"))) == 2


def test_completing_twice_changes_nothing() -> None:
    table = pd.DataFrame({"path": ["a", "b"], "label": ["normal"] * 2, "p_normal": [0.1, 1.0]})
    once = complete_predictions(table, where="x")
    pd.testing.assert_frame_equal(complete_predictions(once), once)


def test_missing_values_of_a_frame_take_defaults() -> None:
    table = pd.DataFrame(
        {
            **{"path": ["a", "b"], "label": ["normal"] * 2, "p_normal": np.float32([0.5, 0.25])},
            **{"group": ["g", None], "threshold": [np.nan, 0.75], "fold": [2, 3]},
        },
        index=[7, 9],
    )
    frame = complete_predictions(table)
    assert list(frame.index) == [0, 1]
    assert list(frame["group"]) == ["g", "b"]
    assert list(frame["threshold"]) == [0.5, 0.75]
    with pytest.raises(UserError, match=r"predictions, row 3: p_normal is 'nan'"):
        complete_predictions(table.assign(p_normal=[0.5, np.nan]))


@given(st.floats(0.0, 1.0))
def test_log_odds_are_finite_and_scipys_inside(probability: float) -> None:
    value = float(log_odds(np.array([probability]))[0])
    assert np.isfinite(value)
    if 2.0**-53 < probability < 1.0 - 2.0**-53:
        assert value == pytest.approx(float(logit(probability)), rel=1e-12, abs=1e-15)
    assert float(log_odds(np.array([0.0]))[0]) == -float(log_odds(np.array([1.0]))[0])


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.floats(0.0, 1.0, width=32), min_size=1, max_size=20),
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20),
)
def test_what_is_written_keeps_every_verdict(
    tmp_path_factory: pytest.TempPathFactory, narrow: list[float], wide: list[float]
) -> None:
    scores = [*narrow, *wide]
    frame = pd.DataFrame(
        {
            **{"path": [f"{at}.png" for at in range(len(scores))], "label": "normal"},
            **{"p_normal": scores, "threshold": [*narrow[::-1], *wide[::-1]], "kind": "a,b"},
        }
    )
    path = tmp_path_factory.mktemp("written") / "p.csv"
    write_predictions(frame, path)
    back = read_predictions(path)
    assert np.array_equal(
        back["p_normal"] > back["threshold"], frame["p_normal"] > frame["threshold"]
    )
    assert np.array_equal(np.float32(back["p_normal"]), np.float32(frame["p_normal"]))
    assert list(back["p_normal"][len(narrow) :]) == pytest.approx(wide, rel=1e-8, abs=0.0)
    assert list(back["kind"]) == ["a,b"] * len(scores)


def test_written_digits_and_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            **{"path": ["ä b,#.png"], "label": ["normal"], "p_normal": np.float32([0.1])},
            **{"logit": [-2.19722457733], "note": ["x"]},
        }
    )
    path = tmp_path / "new" / "p.csv"
    write_predictions(frame, path)
    header, row = path.read_bytes().decode().split("\n")[:2]
    assert header == ",".join((*COLUMNS, "note"))
    named = dict(zip(header.split(","), row.replace('"ä b,#.png"', "ä").split(","), strict=False))
    assert named["p_normal"] == "0.100000001"
    assert named["logit"] == "-2.19722458"
    assert [file.name for file in path.parent.iterdir()] == ["p.csv"]


def test_a_wrong_table_is_never_written(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["a"], "label": ["fine"], "p_normal": [0.5]})
    with pytest.raises(UserError, match="label is 'fine'"):
        write_predictions(frame, tmp_path / "p.csv")
    assert not list(tmp_path.iterdir())


def test_a_lower_threshold_is_kept_where_there_is_one(tmp_path: Path) -> None:
    text = (
        "path,label,p_normal,threshold,threshold_low\n"
        "a.png,normal,0.9,0.8,0.25\nb.png,normal,0.5,0.8,\nc.png,normal,0.5,0.8,-1\n"
    )
    frame = read_predictions(written(tmp_path, text))
    assert frame["threshold_low"].tolist() == [0.25, 0.8, -1.0]  # empty: nobody looks
    write_predictions(frame, tmp_path / "again.csv")
    pd.testing.assert_frame_equal(read_predictions(tmp_path / "again.csv"), frame)
    for cell, words in (
        ("0.9", "threshold_low is '0.9', above threshold"),
        ("nan", "not a number"),
    ):
        assert words in complaint(tmp_path, text.replace("0.25", cell))
