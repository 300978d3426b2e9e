from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest
from stubs import DIGEST, grey_png, write_grey

from casting_inspect.deployment.marks import mark_of
from casting_inspect.deployment.placing import Sorting, draw_heatmap, safe_path
from casting_inspect.deployment.rows import Row
from casting_inspect.deployment.sources import Item
from casting_inspect.deployment.stream import Judged
from casting_inspect.deployment.verdict import Verdict
from casting_inspect.errors import UserError


def item_at(path: Path, name: str) -> Item:
    return Item(name, lambda: path, path)


def below(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def other_disk(*_: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_sorting_twice_changes_nothing(tmp_path: Path, how: str) -> None:
    file = write_grey(tmp_path / "in" / "lot" / "a.png", 3)
    sorting = Sorting(tmp_path / "out", how)
    for _ in range(2):
        sorting.put(item_at(file, "lot/a.png"), "defective")
    assert below(tmp_path / "out") == ["defective/lot/a.png"]
    assert (tmp_path / "out/defective/lot/a.png").read_bytes() == grey_png(3)
    assert file.exists() == (how != "move")
    if how == "link":
        assert (tmp_path / "out/defective/lot/a.png").samefile(file)


def test_a_link_to_another_disk_is_a_symbolic_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    file = write_grey(tmp_path / "a.png", 3)
    Sorting(tmp_path / "out", "link").put(item_at(file, "a.png"), "normal")
    assert (tmp_path / "out/normal/a.png").is_symlink()
    assert (tmp_path / "out/normal/a.png").read_bytes() == grey_png(3)


def test_a_move_to_another_disk_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "rename", other_disk)
    file = write_grey(tmp_path / "a.png", 3)
    Sorting(tmp_path / "out", "move").put(item_at(file, "a.png"), "normal")
    assert not file.exists()
    assert below(tmp_path / "out") == ["normal/a.png"]


def test_two_pictures_of_one_name_are_both_kept(tmp_path: Path) -> None:
    sorting = Sorting(tmp_path / "out", "move")
    for value in (1, 2, 3):
        sorting.put(item_at(write_grey(tmp_path / "a.png", value), "a.png"), "normal")
    assert below(tmp_path / "out") == ["normal/a-2.png", "normal/a-3.png", "normal/a.png"]
    assert (tmp_path / "out/normal/a-3.png").read_bytes() == grey_png(3)


def test_what_is_written_over_while_it_is_linked_is_no_longer_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, link = write_grey(tmp_path / "image.png", 255), os.link
    item = Item("image.png", lambda: file, file, mark_of(file.stat()))

    def late(source: Path, target: Path) -> None:
        link(source, target)
        write_grey(source, 0)
        os.utime(source, (1000, 1000))

    monkeypatch.setattr(os, "link", late)
    Sorting(tmp_path / "out", "link").put(item, "normal")
    assert file.exists()
    assert below(tmp_path / "out") == []


def test_bytes_and_camera_pictures_are_written(tmp_path: Path) -> None:
    sorting = Sorting(tmp_path, "copy")
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[..., 0] = 200  # red
    for _ in range(2):
        sorting.put(Item("z/a.png", lambda: grey_png(4)), "normal")
        sorting.put(Item("camera.png", lambda: picture), "normal")
    assert below(tmp_path) == ["normal/camera.png", "normal/z/a.png"]
    assert cv2.imread(str(tmp_path / "normal/camera.png"))[0, 0].tolist() == [0, 0, 200]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/x.png", "etc/x.png"),
        ("/abs/x.png", "abs/x.png"),
        ("C:\\new\\x.png", "new/x.png"),
        ("a/../b.png", "a/b.png"),
        ("..", "picture"),
    ],
)
def test_no_name_leads_out(name: str, expected: str) -> None:
    assert safe_path(name) == PurePosixPath(expected)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x", encoding="utf-8")
    file = write_grey(tmp_path / "a.png", 3)
    with pytest.raises(UserError, match=r"sort.to=.*'a.png' cannot go there"):
        Sorting(tmp_path / "out", "copy").put(item_at(file, "a.png"), "normal")
    assert file.exists()


def test_maps_of_a_name_that_comes_again_are_all_kept(tmp_path: Path) -> None:
    row = Row("image.png", "defective", 0.1, 0.6, 0.4, DIGEST, 1.0, "")
    verdict = Verdict("defective", 0.1, np.eye(4, dtype=np.float32))
    for mark in ("5:1", "5:2", "5:2"):  # the last is drawn again, as after a kill
        item = Item("image.png", lambda: b"", mark=mark)
        draw_heatmap(Judged(item, row, np.zeros((40, 60), np.uint8), verdict), tmp_path)
    names = [path.name for path in (tmp_path / "defective").iterdir()]
    assert len(names) == 2
    assert all(re.fullmatch(r"image\.png\.[0-9a-f]{8}\.heatmap\.jpg", name) for name in names)


def test_a_map_without_evidence_has_no_peak(tmp_path: Path) -> None:
    row = Row("a.png", "review", 0.5, 0.6, 0.4, DIGEST, 1.0, "")
    verdict = Verdict("review", 0.5, np.zeros((4, 4), np.float32))
    grey = np.full((40, 40), 90, np.uint8)
    assert draw_heatmap(Judged(Item("a.png", bytes), row, grey, verdict), tmp_path)
    drawn = cv2.imread(str(tmp_path / "review/a.png.heatmap.jpg"))
    assert (drawn == drawn[0, 0]).all()


def test_an_overlay_is_drawn_where_there_is_a_map(tmp_path: Path) -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[1, 2] = 1
    row = Row("b/a.png", "defective", 0.1, 0.6, 0.4, DIGEST, 1.0, "")
    item = Item("b/a.png", lambda: b"")
    for picture in (np.zeros((40, 60), np.uint8), np.zeros((40, 60, 3), np.uint8)):
        draw_heatmap(Judged(item, row, picture, Verdict("defective", 0.1, heat)), tmp_path)
        drawn = cv2.imread(str(tmp_path / "defective/b/a.png.heatmap.jpg"))
        assert drawn.shape[1] == 2 * 512
    draw_heatmap(Judged(item, row, picture, Verdict("defective", 0.1)), tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("call", "disks"), [("rename", 1), ("unlink", 2)])
def test_a_file_that_another_program_holds_for_a_moment_is_moved_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, disks: int
) -> None:
    file, refused, real = write_grey(tmp_path / "a.png", 3), list[str](), getattr(Path, call)

    def held(self: Path, *words: object, **more: object) -> object:
        if self == file and len(refused) < 3:
            refused.append(call)
            raise PermissionError(errno.EACCES, "The file is used by another process")
        return real(self, *words, **more)

    if disks == 2:
        monkeypatch.setattr(Path, "rename", other_disk)
    monkeypatch.setattr(Path, call, held)
    Sorting(tmp_path / "out", "move").put(item_at(file, "a.png"), "normal")
    assert len(refused) == 3
    assert not file.exists()
    assert below(tmp_path / "out") == ["normal/a.png"]


def test_a_file_that_stays_held_is_one_line_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, asked = write_grey(tmp_path / "a.png", 3), list[Path]()

    def held(self: Path, _: Path) -> None:
        asked.append(self)
        raise PermissionError(errno.EACCES, "The file is used by another process")

    monkeypatch.setattr("casting_inspect.deployment.placing.HELD", 0.05)
    monkeypatch.setattr(Path, "rename", held)
    with pytest.raises(UserError, match=r"'a.png' cannot go there.*another process"):
        Sorting(tmp_path / "out", "move").put(item_at(file, "a.png"), "normal")
    assert len(asked) > 1
    assert file.exists()
    assert below(tmp_path / "out") == []


@pytest.mark.parametrize("how", ["copy", "link", "move"])
def test_what_was_written_over_since_it_was_judged_stays(tmp_path: Path, how: str) -> None:
    file = write_grey(tmp_path / "image.png", 255)
    item = Item("image.png", lambda: file, file, mark_of(file.stat()))
    write_grey(file, 0)
    os.utime(file, (1000, 1000))
    Sorting(tmp_path / "out", how).put(item, "normal")
    assert file.read_bytes() == grey_png(0)
    assert below(tmp_path / "out") == []


@pytest.mark.parametrize("how", ["copy", "move"])
def test_what_is_written_over_while_it_is_copied_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    file = write_grey(tmp_path / "image.png", 255)
    item = Item("image.png", lambda: file, file, mark_of(file.stat()))

    def another(source: Path, target: Path) -> None:
        write_grey(source, 0)
        os.utime(source, (1000, 1000))
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(shutil, "copy2", another)
    monkeypatch.setattr(Path, "rename", other_disk)
    Sorting(tmp_path / "out", how).put(item, "normal")
    assert file.read_bytes() == grey_png(0)
    assert below(tmp_path / "out") == []
