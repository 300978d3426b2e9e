"""Parts by lot and by date, groups with both labels, and what is left out."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casting_inspect.data.splits import SplitRule, assign, assign_splits
from casting_inspect.errors import UserError


def table_of(rows: list[tuple[str, str, str]], column: str = "lot") -> pd.DataFrame:
    """A manifest of (label, group, lot or time)."""
    frame = pd.DataFrame(rows, columns=["label", "group", column])
    frame["path"] = [f"{k:03}.png" for k in range(len(frame))]
    frame["sha256"] = [hashlib.sha256(path.encode()).hexdigest() for path in frame["path"]]
    return frame


def by_lot(lots: str = "abc", groups: int = 4) -> pd.DataFrame:
    rows = [
        (label, f"{label[0]}{lot}{k}", lot)
        for label in ("normal", "defective")
        for lot in lots
        for k in range(groups)
        for _ in range(2)
    ]
    return table_of(rows)


lots = st.sampled_from("abc")
mixed_lots = st.lists(
    st.tuples(st.sampled_from(["normal", "defective"]), st.integers(0, 30), lots),
    min_size=20,
    max_size=60,
)


@settings(deadline=None, max_examples=40)
@given(rows=mixed_lots, fold=st.integers(0, 2), inner=st.sampled_from([1, 3]))
def test_a_lot_is_left_out_and_no_group_straddles(
    rows: list[tuple[str, int, str]], fold: int, inner: int
) -> None:
    table = table_of([(label, f"{label}{group}", lot) for label, group, lot in rows])
    pure = by_lot()  # so that every lot has both classes
    pure["path"] = "p" + pure["path"]
    table = pd.concat([table, pure], ignore_index=True)
    found = assign(table, SplitRule("lot", fold=fold, inner_folds=inner))
    table["part"] = found.part
    assert found.folds == 3
    assert found.test_name == "abc"[fold]
    assert (table["part"] == "test").equals(table["lot"] == found.test_name)
    used = table[table["part"] != ""]
    assert (used.groupby("group")["part"].nunique() == 1).all()
    tested = set(table.loc[table["part"] == "test", "group"])
    straddling = table["group"].isin(tested) & (table["lot"] != found.test_name)
    assert (found.left_out == "in training and test").equals(straddling)
    assert (table["part"] == "").equals(straddling)
    assert (table["part"] == "val").any() == (inner == 1)


def test_another_column_can_be_the_lot_and_files_without_one_stay_out() -> None:
    table = by_lot().rename(columns={"lot": "camera"})
    table.loc[table["group"] == "na0", "camera"] = ""
    found = assign(table, SplitRule("lot", fold=1, lot_column="camera"))
    assert (found.left_out == "no lot").sum() == 2
    assert (found.part == "test").equals(table["camera"] == "b")


def test_lots_are_counted_in_sorted_order_whatever_the_rows() -> None:
    table = by_lot("cab").sample(frac=1, random_state=3)
    for fold, lot in enumerate("abc"):
        assert (assign_splits(table, split="lot", fold=fold) == "test").equals(table["lot"] == lot)


def by_time() -> pd.DataFrame:
    dates = ["2026-01-01", "2026-01-30T23:59", "2026-01-31", "2026-02-01T00:00:01", ""]
    rows = [
        (label, f"{label[0]}{k}", date)
        for label in ("normal", "defective")
        for k, date in enumerate(dates * 2)
    ]
    rows += [("normal", "both sides", "2026-01-02"), ("normal", "both sides", "2026-02-03")]
    return table_of(rows, "time")


def test_time_trains_before_a_date_and_tests_from_it_on() -> None:
    table = by_time()
    found = assign(table, SplitRule("time", test_from="2026-01-31", val_fraction=0.0))
    expected = table["time"].map(
        lambda at: "" if not at else "test" if at >= "2026-01-31" else "train"
    )
    before = (table["group"] == "both sides") & (table["time"] == "2026-01-02")
    assert list(found.part) == list(expected.mask(before, ""))
    assert found.left_out.value_counts().to_dict() == {
        "": len(table) - 5,
        "no date": 4,
        "in training and test": 1,
    }


def with_conflict() -> pd.DataFrame:
    table = by_lot(groups=6)
    mixed = table_of([("normal", "mixed", "a")] * 3 + [("defective", "mixed", "a")])
    mixed["path"] = "m" + mixed["path"]
    mixed["sha256"] = [hashlib.sha256(path.encode()).hexdigest() for path in mixed["path"]]
    return pd.concat([table, mixed], ignore_index=True)


@pytest.mark.parametrize("split", ["group", "lot"])
def test_a_group_with_both_labels_is_dropped_kept_or_an_error(split: str) -> None:
    table = with_conflict()
    mixed = table["group"] == "mixed"
    dropped = assign(table, SplitRule(split))
    assert (dropped.part[mixed] == "").all()
    assert (dropped.left_out == "both labels").equals(mixed)
    assert dropped.conflicts.to_dict("records") == [{"name": "mixed", "normal": 3, "defective": 1}]
    clean = assign(table[~mixed], SplitRule(split))
    assert list(dropped.part[~mixed]) == list(clean.part)  # as if it had never been there

    kept = assign(table, SplitRule(split, on_conflict="keep"))
    assert kept.part[mixed].nunique() == 1
    assert (kept.part != "").all()
    assert len(kept.conflicts) == 1
    with pytest.raises(
        UserError, match=r"1 group holds files of both labels .*mixed, 3 normal and 1"
    ):
        assign(table, SplitRule(split, on_conflict="error"))


def test_a_split_by_file_keeps_groups_with_both_labels_and_knows_of_them() -> None:
    found = assign(with_conflict(), SplitRule("file", on_conflict="drop"))
    assert (found.part != "").all()
    assert len(found.conflicts) == 1


def test_all_groups_train_without_a_test_part() -> None:
    table = with_conflict()
    found = assign(table, SplitRule("group", fold=None, inner_folds=5))
    assert (found.part == "train").equals(table["group"] != "mixed")
    assert found.folds == 5


def test_a_wide_group_decides_over_its_groups() -> None:
    table = by_lot("a", groups=20)
    table["group_wide"] = np.where(
        table["group"].str.endswith(("1", "2")), "w" + table["label"], ""
    )
    for fold in range(5):
        part = assign_splits(table, split="group", fold=fold)
        for _, rows in part.groupby(
            table["group_wide"].where(table["group_wide"] != "", table["group"])
        ):
            assert rows.nunique() == 1


TIMES = by_time()
BAD = TIMES.assign(time=TIMES["time"].where(TIMES["path"] != "003.png", "31.1.2026"))


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        (by_lot().drop(columns="lot"), {"split": "lot"}, "needs the manifest's column 'lot'"),
        (by_lot(), {"split": "lot", "lot_column": "lots"}, "Did you mean 'lot'?"),
        (by_lot("a"), {"split": "lot"}, "column 'lot' holds one value ('a')"),
        (by_lot().assign(lot=""), {"split": "lot"}, "column 'lot' holds nothing"),
        (
            by_lot(),
            {"split": "lot", "fold": 3},
            "0 to 2, since column 'lot' holds 3 lots (a, b, c)",
        ),
        (
            by_lot(),
            {"split": "time", "test_from": "2026-01-31"},
            "column 'time', and there is none",
        ),
        (TIMES, {"split": "time"}, "add data.test_from=2026-01-31"),
        (TIMES, {"split": "time", "test_from": "31.1.2026"}, "data.test_from=31.1.2026: must be a"),
        (BAD, {"split": "time", "test_from": "2026-01-31"}, "003.png: time '31.1.2026' is not a"),
        (TIMES, {"split": "time", "test_from": "2025-01-01"}, "nothing to train with"),
        (TIMES, {"split": "time", "test_from": "2027-01-01"}, "nothing to test with"),
        (by_lot(), {"on_conflict": "dropp"}, "Did you mean 'drop'?"),
        (by_lot(), {"inner_folds": 0}, "data.inner_folds=0: must be 1 or more"),
        (
            table_of(
                [("normal", f"n{k}", "ab"[k % 2]) for k in range(9)] + [("defective", "d", "a")]
            ),
            {"split": "lot"},
            "leaves no defective picture to train on",
        ),
    ],
)
def test_mistakes_are_one_line(table: pd.DataFrame, options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as caught:
        assign_splits(table, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
