from __future__ import annotations

import pandas as pd
import pytest

from casting_inspect.data.manifest import make_frame
from casting_inspect.data.naming import names_from, with_names
from casting_inspect.errors import UserError


def manifest() -> pd.DataFrame:
    return make_frame(
        [
            {"path": "normal/day 1/part_7_a.png", "label": "normal", "part": "x"},
            {"path": "normal/other.png", "label": "normal", "part": "y", "group": "mine"},
        ]
    )


@pytest.mark.parametrize(
    ("rule", "groups"),
    [
        (None, ["", "mine"]),
        ("part", ["x", "mine"]),
        (r"path:part_(\d+)", ["7", "mine"]),
        ("folder:2", ["day 1", "mine"]),
        ("folder:-1", ["day 1", "mine"]),
        ("folder:-2", ["normal", "mine"]),
    ],
)
def test_groups_come_from_a_column_the_path_or_a_folder(
    rule: str | None, groups: list[str]
) -> None:
    assert with_names(manifest(), rule)["group"].to_list() == groups


def test_lots_are_named_in_the_same_ways() -> None:
    frame = with_names(manifest(), "part", "folder:1")
    assert frame["lot"].to_list() == ["normal", "normal"]
    assert "lot" not in with_names(manifest(), "part")
    given = with_names(manifest().assign(lot=["", "L2"]), None, "folder:1")
    assert given["lot"].to_list() == ["normal", "L2"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("parts", "Did you mean 'part'"),
        ("path:part_", "one bracket"),
        ("path:(", "no regular expression"),
        ("path:xyz(.)", "names none of 2 pictures, such as 'normal/day 1/part_7_a.png'"),
        ("folder:0", "folder:NUMBER"),
        ("folder:x", "folder:NUMBER"),
        ("folder:5", "names none"),
    ],
)
def test_a_wrong_rule_is_one_line(rule: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        with_names(manifest(), rule)
    assert f"data.group_from={rule}" in str(caught.value)


def test_a_column_without_a_table() -> None:
    with pytest.raises(UserError, match="has no table"):
        names_from("part", ["a.png"], None, "data.group_from")
