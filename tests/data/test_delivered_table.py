from __future__ import annotations

import pytest

from casting_inspect.data.delivered_table import plan_table, with_castings
from casting_inspect.data.manifest import make_frame
from casting_inspect.errors import UserError

PICTURES = ["cam1/T1_a.jpg", "cam1/T1_b.jpg", "cam2/T2_a.jpg", "cam2/T1_a.jpg"]


def plan(*rows: tuple[str, str, str]):
    table = make_frame([{"path": p, "label": label, "Teil": part} for p, label, part in rows])
    return plan_table(PICTURES, table, "list.csv")


def test_rows_find_their_pictures_by_path_windows_path_and_unique_name() -> None:
    found = plan(
        ("cam1/t1_A.JPG", "normal", "1"),
        ("D:\\Bilder\\cam1\\T1_b.jpg", "normal", "1"),
        ("T2_a.jpg", "defective", ""),
    )
    assert {pick.source: pick.label for pick in found.picks} == {
        "cam1/T1_a.jpg": "normal",
        "cam1/T1_b.jpg": "normal",
        "cam2/T2_a.jpg": "defective",
    }
    assert found.more == {"cam1/T1_a.jpg": {"Teil": "1"}, "cam1/T1_b.jpg": {"Teil": "1"},
                          "cam2/T2_a.jpg": {}}  # fmt: skip
    assert found.refused == [("cam2/T1_a.jpg", "not in the table")]


def test_a_name_that_two_pictures_have_is_no_name() -> None:
    found = plan(("T1_a.jpg", "normal", ""), ("T2_a.jpg", "defective", ""))
    assert ("T1_a.jpg", "in the table, but there is no such picture") in found.refused


def test_a_table_of_other_pictures_or_with_one_twice() -> None:
    with pytest.raises(UserError, match=r"none of its 1 rows names a picture .*: 'x\.png'"):
        plan(("x.png", "normal", ""))
    with pytest.raises(UserError, match=r"are one picture, 'cam2/T2_a\.jpg'"):
        plan(("T2_a.jpg", "normal", ""), ("cam2/T2_a.jpg", "normal", ""))


def test_castings_and_lots_are_named_by_columns_and_paths() -> None:
    found = plan(("cam1/T1_a.jpg", "normal", "7"), ("T2_a.jpg", "defective", ""))
    named = with_castings(found, "Teil", "folder:1")
    assert named.more["cam1/T1_a.jpg"] == {"Teil": "7", "group": "7", "lot": "cam1"}
    assert named.more["cam2/T2_a.jpg"] == {"lot": "cam2"}
    assert "group" not in found.more["cam1/T1_a.jpg"]
    assert with_castings(found, None, None) is found
    with pytest.raises(UserError, match=r"data\.group_from=Teile: .*Did you mean 'Teil'"):
        with_castings(found, "Teile", None)
