from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casting_inspect.data.folders import (
    ALIASES,
    SPLITS,
    class_aliases,
    is_picture,
    no_class_folder,
    place_of,
)
from casting_inspect.errors import UserError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


@given(st.sampled_from(sorted(ALIASES)), st.sampled_from(sorted(SPLITS)), st.booleans(), st.data())
def test_class_and_split_are_found_anywhere_above_in_any_case(
    name: str, split: str, above: bool, data: st.DataObject
) -> None:
    def shouted(word: str) -> str:
        return data.draw(st.sampled_from([word, word.upper(), word.capitalize()]))

    pair = [shouted(split), shouted(name)] if above else [shouted(name), shouted(split)]
    others = st.lists(st.sampled_from(["cam 1", "2024", "ü"]), max_size=2)
    parts = [*data.draw(others), pair[0], *data.draw(others), pair[1], *data.draw(others), "x.png"]
    place = place_of("/".join(parts), class_aliases(None))
    assert (place.label, place.split, place.conflict) == (ALIASES[name], SPLITS[split], "")


def test_a_folder_that_only_contains_a_word_is_no_class() -> None:
    for path in ("ok.png", "ok_front.png/../a.png", "looks_good/a.png", "normals/a.png", "a.png"):
        assert place_of(path, class_aliases(None)).label == ""


@pytest.mark.parametrize("path", ["ok/bad/a.png", "train/ok/test/a.png", "NG/x/Good/y/a.png"])
def test_folders_that_contradict_each_other(path: str) -> None:
    place = place_of(path, class_aliases(None))
    assert place.label == ""
    assert "contradict each other" in place.conflict


def test_the_users_aliases_win() -> None:
    aliases = class_aliases({"Scrap": "defective", "test": "normal", "def": "normal"})
    assert place_of("SCRAP/a.png", aliases).label == "defective"
    assert place_of("def/a.png", aliases).label == "normal"
    assert place_of("Test/a.png", aliases) == place_of("ok/a.png", aliases)  # no split any more
    with pytest.raises(UserError, match=r"aliases\.x=nromal.*Did you mean 'normal'"):
        class_aliases({"x": "nromal"})


@pytest.mark.parametrize(
    ("path", "start", "expected"),
    [
        ("a.PNG", b"", True),
        ("a.jpeg", b"text", True),
        ("a.dcm", b"", True),
        ("IMG_0001", PNG, True),
        ("a.png.bak", PNG, True),
        ("IMG_0001", b"", False),
        ("notes", b"hello there, hello", False),
        ("Thumbs.db", PNG, False),
        (".DS_Store", b"\0\0\0\1Bud1", False),
        ("notes.txt", b"BM and so on", False),
        ("__MACOSX/ok/a.png", PNG, False),
        ("ok/._a.png", b"", False),
    ],
)
def test_pictures_and_side_files(path: str, start: bytes, expected: bool) -> None:
    assert is_picture(path, lambda: start) is expected


def test_no_class_folder_lists_what_is_there() -> None:
    paths = [f"cam{n}/gut/a.png" for n in range(9)]
    message = str(no_class_folder("in", paths))
    assert "'cam0', 'cam1'" in message
    assert "and 2 more" in message
    assert "aliases={" in message
    assert "folders found: none" in str(no_class_folder("in", ["a.png"]))
    assert "give source='x.zip'" in str(no_class_folder("in", ["x.zip", "readme.txt"]))
