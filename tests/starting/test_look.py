from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from casting_inspect.errors import UserError
from casting_inspect.starting.look import look_at


def touch(path: Path, data: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_pictures_masks_and_tables_are_told_apart(tmp_path: Path) -> None:
    for name in ("io/a.jpg", "nio/b.HEIC", "ground_truth/nio/b.png", "io/Thumbs.db", "x/list.csv"):
        touch(tmp_path / name)
    touch(tmp_path / "Liste.csv", "Datei;Befund\na.jpg;i.O.\nb.heic;n.i.O.\n".encode("cp1252"))
    touch(tmp_path / "other.csv", b"a,b\n1,2\n")
    touch(tmp_path / "no table.csv", b"PK\0\0")
    look = look_at(tmp_path)
    assert look.pictures == ["io/a.jpg", "nio/b.HEIC"]
    assert [(table.path.name, table.complete) for table in look.tables] == [
        ("Liste.csv", True),
        ("other.csv", False),
    ]
    assert look.tables[0].labels == Counter({"i.O.": 1, "n.i.O.": 1})


def test_a_folder_without_pictures_says_what_is_there(tmp_path: Path) -> None:
    for name in ("a.docx", "b.docx", "notes"):
        touch(tmp_path / name)
    with pytest.raises(UserError, match=r"no picture in it \(2 \.docx, 1 no ending files\)"):
        look_at(tmp_path)
    with pytest.raises(UserError, match="no such file or folder"):
        look_at(tmp_path / "E")
