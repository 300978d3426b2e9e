from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casting_inspect.data.class_names import ALIASES, class_names
from casting_inspect.data.folders import (
    SPLITS,
    Place,
    fitted_names,
    is_mask,
    is_picture,
    no_class_folder,
    normal_words,
    place_of,
    unknown_folders,
)
from casting_inspect.errors import UserError
from casting_inspect.shell import typed

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
    place = place_of("/".join(parts), class_names(None))
    assert (place.label, place.split, place.conflict) == (ALIASES[name], SPLITS[split], "")


def test_a_folder_that_only_contains_a_word_is_no_class() -> None:
    for path in ("ok.png", "ok_front.png/../a.png", "looks_good/a.png", "normals/a.png", "a.png"):
        assert place_of(path, class_names(None)).label == ""


@pytest.mark.parametrize("path", ["ok/bad/a.png", "train/ok/test/a.png", "NG/x/Good/y/a.png"])
def test_folders_that_contradict_each_other(path: str) -> None:
    place = place_of(path, class_names(None))
    assert place.label == ""
    assert "contradict each other" in place.conflict


def test_the_users_aliases_win() -> None:
    aliases = class_names({"Scrap": "defective", "test": "normal", "def": "normal"})
    assert place_of("SCRAP/a.png", aliases).label == "defective"
    assert place_of("def/a.png", aliases).label == "normal"
    assert place_of("Test/a.png", aliases) == place_of("ok/a.png", aliases)  # no split any more
    with pytest.raises(UserError, match=r"aliases\.x=nromal.*Did you mean 'normal'"):
        class_names({"x": "nromal"})


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


def test_every_folder_but_the_good_ones_is_a_kind_of_defect() -> None:
    names = class_names(None, ["Gut", "i.O."])
    for path, place in {
        "kamera 1/GUT/a.png": Place("normal", ""),
        "io/2024/a.png": Place("normal", ""),
        "Riss/a.png": Place("defective", "", kind="Riss"),
        "test/Lunker/a.png": Place("defective", "test", kind="Lunker"),
        "Lunker/test/a.png": Place("defective", "test", kind="Lunker"),
        "nio/Riss/a.png": Place("defective", "", kind="Riss"),
        "good/a.png": Place("defective", "", kind="good"),
        "a.png": Place("", ""),
        "train/a.png": Place("", "train"),
    }.items():
        assert place_of(path, names) == place, path
    assert "contradict" in place_of("nio/gut/a.png", names).conflict
    both = class_names({"prima": "normal"}, ["gut"])
    assert place_of("Prima/a.png", both).label == "normal"


MVTEC = [
    *(f"bottle/train/good/{n}.png" for n in range(3)),
    "bottle/test/good/0.png",
    "bottle/test/broken_large/0.png",
]


def test_in_mvtecs_layout_every_tested_folder_but_good_is_a_kind() -> None:
    names = fitted_names(MVTEC, class_names())
    assert place_of(MVTEC[0], names) == Place("normal", "train")
    assert place_of(MVTEC[3], names) == Place("normal", "test")
    assert place_of(MVTEC[4], names) == Place("defective", "test", kind="broken_large")
    assert is_mask("bottle/ground_truth/broken_large/0_mask.png")
    assert not is_mask("bottle/test/masks.png")


@pytest.mark.parametrize(
    "paths",
    [
        ["train/good/a.png", "train/bad/a.png", "test/crack/a.png"],  # both classes to train on
        ["train/good/a.png", "test/good/a.png", "test/bad/a.png"],  # nothing unknown
        ["good/a.png", "crack/a.png"],
        ["train/ok/a.png", "test/crack/a.png"],
        [],
    ],
)
def test_other_layouts_keep_their_words(paths: list[str]) -> None:
    names = class_names()
    assert fitted_names(paths, names) is names


def test_no_class_folder_lists_what_is_there_and_what_to_type() -> None:
    paths = [f"cam{n}/Prima Teil/a.png" for n in range(9)] + ["x/Riss/a.png", "readme.txt"]
    message = str(no_class_folder("in", paths, class_names()))
    assert "folders found: 'Prima Teil' (9), 'Riss' (1)." in message
    assert "\"data.normal=['Prima Teil']\"" in message
    assert "aliases={" in message
    assert 'casting-inspect prepare source=in out=FOLDER "data.normal=' in message
    flat = str(no_class_folder("in", ["a.png"], class_names()))
    assert "put their pictures into a folder io" in flat
    zipped = no_class_folder("in", ["x.zip", "readme.txt"], class_names())
    assert "give source='x.zip'" in str(zipped)


def test_unknown_folders_are_counted_and_the_good_one_is_proposed() -> None:
    words = unknown_folders(["Riss/a", "Riss/b", "c/Lunker/a"], ["io/a.png"], class_names())
    assert "'Riss' (2), 'Lunker' (1)" in words
    assert "data.normal=[io]" in words
    assert typed(["aliases={Lunker: defective}"]) in words


def test_words_to_type_are_quoted_only_where_they_must_be() -> None:
    assert normal_words(["gut", "ok_front"]) == "data.normal=[gut,ok_front]"
    assert normal_words(["Gußteil"]) == "\"data.normal=['Gußteil']\""
    assert normal_words(["i.O."]) == "\"data.normal=['i.O.']\""
