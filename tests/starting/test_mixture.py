from __future__ import annotations

import pandas as pd
import pytest

from casting_inspect.starting.mixture import mixed_folders, mixed_sizes


def tree(*parts: str, split: str = "") -> tuple[list[str], list[str]]:
    rows = [
        (f"{part}/{split}{folder}/{n}.png", label)
        for part in parts
        for folder, label in (("io", "normal"), ("nio", "defective"))
        for n in range(4)
    ]
    paths, labels = zip(*rows, strict=True)
    return list(paths), list(labels)


def test_folders_with_both_classes_may_be_parts() -> None:
    words = mixed_folders(*tree("Deckel", "Flansch", "Gehäuse"))
    assert words is not None
    assert "3 folders (Deckel, Flansch, Gehäuse)" in words
    assert "data.lot_from=folder:1" in words
    below = [f"werk 2/{path}" for path in tree("A", "B")[0]]
    assert "data.lot_from=folder:2" in (mixed_folders(below, tree("A", "B")[1]) or "")


@pytest.mark.parametrize("parts", [("Deckel",), ("train", "test")])
def test_one_part_or_a_split_is_no_mixture(parts: tuple[str, ...]) -> None:
    assert mixed_folders(*tree(*parts)) is None


def test_classes_alone_are_no_mixture() -> None:
    assert mixed_folders(["io/a.png", "nio/b.png"], ["normal", "defective"]) is None
    assert mixed_folders(["a.png"], ["normal"]) is None


def sized(*families: tuple[int, int, str]) -> pd.DataFrame:
    both = ("normal", "defective")
    rows = [
        {"width": width, "height": 100, "label": both[n % 2] if label == "both" else label}
        for number, width, label in families
        for n in range(number)
    ]
    return pd.DataFrame(rows)


def test_several_sizes_are_said_and_one_that_gives_the_class_away() -> None:
    assert mixed_sizes(sized((50, 640, "both"))) is None
    assert mixed_sizes(sized((95, 640, "both"), (5, 320, "both"))) is None
    words = mixed_sizes(sized((60, 640, "both"), (40, 320, "both")))
    assert words is not None
    assert "2 sizes: 640 x 100 (60), 320 x 100 (40)" in words
    assert "gives it away" not in words
    assert "All pictures of 320 x 100 are of one class" in (
        mixed_sizes(sized((60, 640, "both"), (40, 320, "normal"))) or ""
    )
