from __future__ import annotations

import os
import threading
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stubs import grey_png, write_grey

from casting_inspect.deployment.lists import stream_lines
from casting_inspect.deployment.sources import Items, key_of, open_items, shown
from casting_inspect.errors import UserError


def names(items: Items) -> list[str]:
    return [item.name for item in items.each]


def test_a_folder_is_searched_below_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/10.png", "a.PNG", "c/d/e.jpg"):
        write_grey(tmp_path / name, 0)
    (tmp_path / "b" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "b" / "no_ending").write_bytes(grey_png(1))
    items = open_items(str(tmp_path))
    found = names(items)
    assert found == ["a.PNG", "b/10.png", "b/2.png", "b/no_ending", "c/d/e.jpg"]
    assert items.total == 5
    assert items.left_out == ["b/Thumbs.db"]
    assert names(open_items(str(tmp_path))) == found


def test_masks_of_a_prepared_folder_are_no_parts(tmp_path: Path) -> None:
    for name in ("defective/a.png", "masks/a.png", "normal/b.png", "heat.png"):
        write_grey(tmp_path / name, 0)
    (tmp_path / "defects.csv").write_text("path,mask\ndefective/a.png,masks/a.png\n")
    (tmp_path / "manifest.csv").write_text("path,label,mask\ndefective/a.png,defective,heat.png\n")
    items = open_items(str(tmp_path))
    assert names(items) == ["defective/a.png", "normal/b.png"]
    assert items.left_out == ["defects.csv", "heat.png", "manifest.csv", "masks/a.png"]
    (tmp_path / "defects.csv").write_text("not,ours\n")  # a table of the user's own
    (tmp_path / "manifest.csv").unlink()
    assert "heat.png" in names(open_items(str(tmp_path)))


def test_folders_of_masks_are_no_parts(tmp_path: Path) -> None:
    """As MVTec delivers them; what a user names as the source is taken whatever its name."""
    root, parts = tmp_path / "masks", ["test/crack/0.png", "test/good/1.png"]
    masks = ["Ground_Truth/crack/0_mask.png", "test/Masks/1.png"]
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in (*parts, *masks):
            write_grey(root / name, 0)
            archive.writestr(f"bottle/{name}", grey_png(0))
    for source, above in (
        (str(root), ""),
        (f"{root}/**/*.png", f"{root.as_posix()}/"),
        (str(tmp_path / "z.zip"), "bottle/"),
    ):
        items = open_items(source)
        found = [
            [Path(name).as_posix() for name in each] for each in (names(items), items.left_out)
        ]
        assert [sorted(each) for each in found] == [
            [above + name for name in each] for each in (parts, masks)
        ]
        items.close()
    with pytest.raises(UserError, match=r"such as .*1.png; folders named mask, masks or"):
        open_items(f"{root}/*/*/1*.png", outputs=[root / "test" / "good"])
    assert len(names(open_items(f"{root}/test/Masks/*.png"))) == 1


def test_results_that_lie_in_the_folder_are_no_source(tmp_path: Path) -> None:
    write_grey(tmp_path / "a.png", 0)
    write_grey(tmp_path / "sorted" / "normal" / "a.png", 0)
    assert names(open_items(str(tmp_path), outputs=[tmp_path / "sorted"])) == ["a.png"]
    with pytest.raises(UserError, match="must not go to the folder that is inspected"):
        open_items(str(tmp_path / "sorted"), outputs=[tmp_path])
    pattern = f"{tmp_path}/**/*.png"
    outputs = [tmp_path / "sorted", tmp_path / "heat"]
    assert names(open_items(pattern, outputs=outputs)) == [str(tmp_path / "a.png")]
    with pytest.raises(UserError, match="must not go to the folder that is inspected"):
        open_items(pattern, outputs=[tmp_path])


def test_a_file_a_glob_and_a_zip(tmp_path: Path) -> None:
    for name in ("one.png", "two.png", "x/three.png"):
        write_grey(tmp_path / name, 0)
    single = str(tmp_path / "one.png")
    assert names(open_items(single)) == [single]
    both = [str(tmp_path / name) for name in ("one.png", "two.png")]
    assert names(open_items(f"{tmp_path}/*.png")) == both
    assert len(names(open_items(f"{tmp_path}/**/*.png"))) == 3
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("b/2.png", grey_png(2))
        archive.writestr("a.png", grey_png(1))
        archive.writestr("notes.txt", "no")
    packed = open_items(str(tmp_path / "z.zip"))
    items = list(packed.each)
    assert [item.name for item in items] == ["a.png", "b/2.png"]
    assert items[0].content() == grey_png(1)
    assert packed.left_out == ["notes.txt"]
    packed.close()


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path: Path) -> None:
    path = str(write_grey(tmp_path / "part [1].png", 0))
    assert names(open_items(path)) == [path]


def test_a_zip_that_leads_out_of_its_target_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("../a.png", grey_png(1))
    with pytest.raises(UserError, match="leads out"):
        open_items(str(tmp_path / "z.zip"))


def test_a_manifest_needs_a_path_and_names_each_once(tmp_path: Path) -> None:
    write_grey(tmp_path / "a.png", 0)
    table = tmp_path / "manifest.csv"
    table.write_text("path,label\na.png,normal\nb.png,\na.png,normal\n", encoding="utf-8")
    items = open_items(str(table))
    each = list(items.each)
    assert [item.name for item in each] == ["a.png", "b.png"]
    assert each[0].file == tmp_path / "a.png"
    assert items.repeated == ["a.png"]
    assert next(iter(open_items(str(table), root=Path("x")).each)).file == Path("x/a.png")
    table.write_text("weight\na.png\n", encoding="utf-8")
    with pytest.raises(UserError, match="no column 'path'"):
        open_items(str(table))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_from_excel_has_its_own_slashes(tmp_path: Path, encoding: str, end: str) -> None:
    picture = write_grey(tmp_path / "Prüfung" / "a.png", 0)
    table = tmp_path / "liste.csv"
    rows = ("Datei;Urteil", "Prüfung\\a.png;io", "Prüfung/a.png;io")
    table.write_bytes("".join(row + end for row in rows).encode(encoding))
    items = open_items(str(table))
    assert [item.file for item in items.each] == [picture]
    assert items.repeated == ["Prüfung/a.png"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("kind", ["-", ".txt", ".csv"])
def test_a_list_may_come_from_windows(tmp_path: Path, encoding: str, kind: str) -> None:
    paths = [write_grey(tmp_path / "Prüfung" / name, 0) for name in ("Ċa.png", "b.png")]
    lines = "Prüfung\\Ċa.png\r\nPrüfung\\b.png\r\n"  # the first letter holds a line feed's byte
    data = lines.encode(encoding)
    list_file = tmp_path / f"list{kind}"
    list_file.write_bytes(b"\xfe\xff" + data if encoding == "utf-16-be" else data)
    if kind == "-":
        with list_file.open("rb") as stream:
            items = open_items("-", root=tmp_path, lines=stream_lines(stream.fileno()))
            assert [item.file for item in items.each] == paths
        return
    items = open_items(str(list_file), root=tmp_path)
    assert [item.file for item in items.each] == paths
    assert items.total == 2


def test_a_text_file_is_a_list_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lists").mkdir()
    monkeypatch.chdir(tmp_path)
    Path("lists/new.txt").write_text("in/a.png\n\nin/b.png\nin/a.png", encoding="utf-8")
    items = open_items("lists/new.txt")
    assert [item.file for item in items.each] == [Path("in/a.png"), Path("in/b.png")]
    assert items.repeated == ["in/a.png"]
    Path("lists/new.txt").write_bytes(b"\xef\xbb\xbf\r\n")
    with pytest.raises(UserError, match=r"source=lists/new.txt: the list is empty"):
        open_items("lists/new.txt")


def test_a_mark_that_comes_byte_by_byte_is_known() -> None:
    for data in ("a\nb".encode("utf-8-sig"), "a\nb".encode("utf-16"), b"\xefa\nb"):
        reader, writer = os.pipe()
        lines = stream_lines(reader)

        def trickle(data: bytes = data, writer: int = writer) -> None:
            for at in range(len(data)):
                os.write(writer, data[at : at + 1])
                time.sleep(0.001)
            os.close(writer)

        threading.Thread(target=trickle).start()
        first = "\udcefa" if data[1:2] == b"a" else "a"
        assert [item.name for item in open_items("-", lines=lines).each] == [first, "b"]
        os.close(reader)


def test_a_list_is_read_as_it_comes(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    items = open_items("-", lines=stream_lines(reader))
    each = iter(items.each)
    os.write(writer, b"a.png\nb.png\r\n\na.p")
    assert next(each).name == "a.png"
    assert next(each).name == "b.png"
    os.write(writer, b"ng\nc \xff.png")
    os.close(writer)
    last = next(each)
    assert shown(last.name) == "c \\udcff.png"
    assert next(each, None) is None
    assert items.repeated == ["a.png"]
    os.close(reader)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: str(folder), "the folder is empty"),
        (lambda folder: str(folder / "missing"), "no such file or folder"),
        (lambda folder: str(folder / "*.png"), "no picture has such a name"),
    ],
)
def test_nothing_to_inspect_is_one_line(tmp_path: Path, make: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        open_items(make(tmp_path))  # type: ignore[operator]


def test_a_folder_without_pictures_and_an_empty_list(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match=r"no picture is in it \(1 other files, such as notes.txt"):
        open_items(str(tmp_path))
    with pytest.raises(UserError, match="empty"):
        list(open_items("-").each)


@given(st.text(st.characters(codec=None), max_size=20))
def test_a_shown_name_is_one_line_of_utf8(name: str) -> None:
    line = shown(name)
    assert line.encode("utf-8").decode("utf-8") == line
    assert "\n" not in line
    assert "\r" not in line
    assert key_of(name) == key_of(line)
