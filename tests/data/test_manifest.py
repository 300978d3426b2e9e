from __future__ import annotations

import csv
import hashlib
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from links import link
from PIL import Image

from casting_inspect.data.class_names import class_names
from casting_inspect.data.manifest import (
    COLUMNS,
    check_files,
    dataset_digest,
    find_manifest,
    make_frame,
    read_manifest,
    scan_folder,
    write_manifest,
)
from casting_inspect.errors import UserError


def table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "manifest.csv"
    path.write_bytes(text.encode(encoding))
    return path


def picture(path: Path, size: tuple[int, int] = (4, 3), grey: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0]), grey, np.uint8)).save(path)
    return path


def test_path_and_label_suffice(tmp_path: Path) -> None:
    frame = read_manifest(table(tmp_path, "label,path\nnormal,a.png\ndefective,b/c.png\n"))
    assert tuple(frame.columns) == COLUMNS
    assert list(frame["path"]) == ["a.png", "b/c.png"]
    assert list(frame["label"]) == ["normal", "defective"]
    assert (frame[["group", "split", "source", "sha256"]] == "").all().all()
    assert str(frame["width"].dtype) == "Int64"
    assert frame["width"].isna().all()
    assert list(frame.index) == [0, 1]


def test_everything_else_is_kept_as_text(tmp_path: Path) -> None:
    text = "path,label,group,width,height,lot,shift,\na.png,normal,007,12,,NA,1.0,\n"
    row = read_manifest(table(tmp_path, text)).iloc[0]
    assert (row["group"], row["lot"], row["shift"]) == ("007", "NA", "1.0")
    assert row["width"] == 12
    assert row["height"] is pd.NA


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("path,label\r\nGußteil.png,normal\r\n", "utf-8-sig"),
        ("path;label\nGußteil.png;normal\n", "utf-8"),
        ("path;label\r\nGußteil.png;normal\r\n", "cp1252"),
        ("Datei;Klasse\r\nGußteil.png;i.O.\r\n", "cp1252"),
        ('"path","label"\n\n"Gußteil.png","normal"\n,\n', "utf-8"),
        ("path , label\nGußteil.png,normal", "utf-8"),
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path: Path, text: str, encoding: str) -> None:
    frame = read_manifest(table(tmp_path, text, encoding))
    assert frame[["path", "label"]].values.tolist() == [["Gußteil.png", "normal"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\na.png\n", r"manifest\.csv: no column 'label'"),
        ("Teil,Klasse\n1,gut\n", r"no column 'path'.*found: Teil, Klasse; .*file names 'path'"),
        ("path,lable\na,normal\n", r"no column 'label'\. Did you mean 'lable'\?"),
        ("path,label,label\na,normal,normal\n", "column 'label' stands there twice"),
        ("path,label\na,normal\nb,nromal\n", r"csv, row 3: label 'nromal'.*mean 'normal'\?"),
        ("path,label\na,normal\n\nb,\n", "row 4: label ''"),
        ("path,label\na,normal\n,normal\n", "row 3: the path is empty"),
        ("path,label\na,normal\nb,normal\na,normal\n", "row 4: path 'a' stands in row 2 already"),
        ("path,label,split\na,normal,trian\n", r"row 2: split 'trian'.*mean 'train'\?"),
        ("path,label,width\na,normal,3.5\n", r"row 2: width '3\.5' is not a whole number"),
        ("path,label,height\na,normal,-3\n", "row 2: height '-3'"),
        ("path,label\na,b,normal\n", r"row 2: 3 cells under 2 columns"),
        ('path,label\n"a,normal\n', "not a table"),
        ("", "empty"),
        ("\n", "empty"),
        ("path,label\n", "has no rows"),
    ],
)
def test_mistakes_name_file_and_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_manifest(table(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a spreadsheet's own file"):
        read_manifest(table(tmp_path, "PK\0path,label\n"))
    with pytest.raises(UserError, match="No such file"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(UserError, match="cannot be read"):
        read_manifest(tmp_path)


def test_words_for_classes_and_kinds(tmp_path: Path) -> None:
    text = "Datei;Befund;defect_size\na.png;Gut;\nb.png;Riß;1,5\n"
    frame = read_manifest(table(tmp_path, text, "cp1252"), class_names(None, ["gut"]))
    assert frame[["label", "kind", "defect_size"]].values.tolist() == [
        ["normal", "", ""],
        ["defective", "Riß", "1.5"],
    ]
    with pytest.raises(UserError, match=r"row 3: label 'Riß' .*data\.normal="):
        read_manifest(table(tmp_path, text, "cp1252"))


def test_backslashes_lead_to_files(tmp_path: Path) -> None:
    picture(tmp_path / "io" / "a.png")
    listed = table(tmp_path, "path;label\nio\\a.png;io\n")
    assert find_manifest(tmp_path, listed)["path"].to_list() == ["io/a.png"]


def test_groups_and_lots_are_named_while_it_is_read(tmp_path: Path) -> None:
    picture(tmp_path / "io" / "lot 3" / "T7_a.png")
    frame = find_manifest(tmp_path, group_from="path:(T[0-9]+)", lot_from="folder:2")
    assert frame[["group", "lot"]].values.tolist() == [["T7", "lot 3"]]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(TEXT.filter(bool), TEXT, TEXT), min_size=1, unique_by=lambda row: row[0]))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    frame = make_frame(
        [
            {"path": path, "label": "normal", "note": note, "lot": lot, "width": len(path)}
            for path, note, lot in rows
        ]
    )
    path = tmp_path_factory.mktemp("manifest") / "m.csv"
    write_manifest(frame, path)
    again = read_manifest(path)
    known = [*COLUMNS, "lot", "note"]
    assert list(again.columns) == known
    pd.testing.assert_frame_equal(again, frame[known])
    with path.open(encoding="utf-8", newline="") as stream:  # and by any other reader
        assert [row["note"] for row in csv.DictReader(stream)] == list(frame["note"])


def test_the_file_has_unix_lines_and_the_rows_as_given(tmp_path: Path) -> None:
    frame = read_manifest(table(tmp_path, "zone,label,path\n1,normal,b\n2,defective,a\n"))
    frame["part"] = ["p", None]
    write_manifest(frame, tmp_path / "new" / "m.csv")
    assert (tmp_path / "new" / "m.csv").read_bytes() == (
        b"path,label,group,split,source,sha256,width,height,part,zone\n"
        b"b,normal,,,,,,,p,1\na,defective,,,,,,,,2\n"
    )
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["m.csv"]


def test_a_tree_of_class_folders_is_a_manifest(tmp_path: Path) -> None:
    first = picture(tmp_path / "train" / "OK" / "a b.png", (6, 2))
    picture(tmp_path / "NG" / "Validation" / "ä#1.bmp", (5, 9))
    picture(tmp_path / "scrap" / "cam1" / "c.tif")
    (tmp_path / "train" / "OK" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("good")
    frame = scan_folder(tmp_path, {"scrap": "defective"})
    assert frame[["path", "label", "split", "source"]].values.tolist() == [
        ["NG/Validation/ä#1.bmp", "defective", "val", "NG/Validation"],
        ["scrap/cam1/c.tif", "defective", "", "scrap/cam1"],
        ["train/OK/a b.png", "normal", "train", "train/OK"],
    ]
    assert frame[["width", "height"]].values.tolist() == [[5, 9], [4, 3], [6, 2]]
    assert frame["sha256"][2] == hashlib.sha256(first.read_bytes()).hexdigest()


def test_scanning_says_what_it_leaves_out_and_stops_at_what_it_cannot_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture(tmp_path / "good" / "a.png")
    picture(tmp_path / "unsorted" / "b.png")
    with caplog.at_level(logging.WARNING):
        assert len(scan_folder(tmp_path)) == 1
    assert "1 pictures are in no class folder" in caplog.text
    (tmp_path / "good" / "c.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"good/c\.png: empty file .*on_bad=skip"):
        scan_folder(tmp_path)
    (tmp_path / "good" / "c.png").unlink()
    link(tmp_path / "good" / "c.png", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"good/c\.png: a link to nothing"):
        scan_folder(tmp_path)
    (tmp_path / "good" / "c.png").unlink()
    picture(tmp_path / "good" / "bad" / "d.png")
    with pytest.raises(UserError, match="contradict each other: good and bad"):
        scan_folder(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        scan_folder(tmp_path / "missing")


def test_a_root_has_its_own_manifest_or_another_or_folders(tmp_path: Path) -> None:
    root = tmp_path / "root"
    picture(root / "good" / "a.png")
    assert list(find_manifest(root)["path"]) == ["good/a.png"]
    (root / "manifest.csv").write_text("path,label\nown.png,normal\n")
    assert list(find_manifest(root)["path"]) == ["own.png"]
    other = table(tmp_path, "path,label\nother.png,normal\n")
    assert list(find_manifest(root, other)["path"]) == ["other.png"]
    with pytest.raises(UserError, match=r"data\.root=.*no such folder"):
        find_manifest(tmp_path / "missing")


def test_files_must_be_there_and_inside(tmp_path: Path) -> None:
    picture(tmp_path / "a b.png")
    frame = make_frame([{"path": "a b.png", "label": "normal"}])
    check_files(frame, tmp_path)
    more = make_frame([{"path": f"{n}.png", "label": "normal"} for n in range(3)])
    with pytest.raises(UserError, match=r"3 of 3 files .* missing, first '0\.png'"):
        check_files(more, tmp_path)
    for name in (
        "/etc/a.png",
        "../a.png",
        "x/../../a.png",
        "C:/a.png",
        "c:a.png",
        "\\\\nas\\a.png",
    ):
        with pytest.raises(UserError, match="must be relative and stay inside"):
            check_files(make_frame([{"path": name, "label": "normal"}]), tmp_path)


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(5)))
def test_the_digest_of_a_data_set_does_not_depend_on_its_order(order: list[int]) -> None:
    rows = [{"path": f"{n}", "label": "normal", "sha256": f"{n % 2}"} for n in range(5)]
    frame = make_frame(rows)
    assert dataset_digest(frame.iloc[order]) == dataset_digest(frame)


def test_the_digest_of_a_data_set_sees_every_change() -> None:
    rows = [{"path": f"{n}", "label": "normal", "sha256": f"{n % 2}"} for n in range(3)]
    variants = [rows, rows[:2], [*rows[:2], {**rows[2], "label": "defective"}]]
    variants += [[*rows[:2], {**rows[2], key: "x"}] for key in ("path", "sha256")]
    assert len({dataset_digest(make_frame(variant)) for variant in variants}) == 5
    grouped = [{**row, "group": "g"} for row in rows]
    assert dataset_digest(make_frame(grouped)) == dataset_digest(make_frame(rows))
