"""Units of a split, groups with both labels, inner folds: laws, and independent references."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import DisjointSet

from casting_inspect.data.folds import conflicts_of, units_of
from casting_inspect.data.splits import SplitRule, assign, assign_inner
from casting_inspect.errors import UserError


def table_of(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    """A manifest of (label, group, group_wide)."""
    frame = pd.DataFrame(rows, columns=["label", "group", "group_wide"])
    frame["path"] = [f"{k:03}.png" for k in range(len(frame))]
    frame["sha256"] = [hashlib.sha256(path.encode()).hexdigest() for path in frame["path"]]
    return frame


names = st.sampled_from(["", *"abcdefgh"])
any_table = st.lists(
    st.tuples(st.sampled_from(["normal", "defective"]), names, names), min_size=1, max_size=40
).map(table_of)


@settings(deadline=None, max_examples=100)
@given(any_table)
def test_units_are_the_components_of_both_groupings(table: pd.DataFrame) -> None:
    rows = DisjointSet(range(len(table)))
    for column in ("group", "group_wide"):
        for a in range(len(table)):
            for b in range(a):
                if table[column][a] and table[column][a] == table[column][b]:
                    rows.merge(a, b)
    units = units_of(table)
    for a in range(len(table)):
        for b in range(a):
            assert (units[a] == units[b]) == rows.connected(a, b)


def test_names_of_the_two_columns_do_not_meet() -> None:
    table = table_of([("normal", "a", ""), ("normal", "b", "a")])
    assert len(set(units_of(table))) == 2


@settings(deadline=None, max_examples=50)
@given(any_table)
def test_conflicts_are_the_units_with_both_labels(table: pd.DataFrame) -> None:
    table["unit"] = units_of(table)
    found = conflicts_of(table).set_index("unit")
    for unit, rows in table.groupby("unit"):
        assert (unit in found.index) == (rows["label"].nunique() == 2)
        if unit in found.index:
            for label in ("normal", "defective"):
                assert found.loc[unit, label] == (rows["label"] == label).sum()
            known = {*rows["group"], *rows["group_wide"]} - {""}
            assert found.loc[unit, "name"] in known
    totals = found[["normal", "defective"]].sum(axis=1)
    assert list(totals) == sorted(totals, reverse=True)


def grouped(normal: int, defective: int, files: int = 2) -> pd.DataFrame:
    """Groups in pairs: two groups make a wide one."""
    rows = [
        (label, f"{label[0]}{k}", f"w{label[0]}{k // 2}")
        for label, count in (("normal", normal), ("defective", defective))
        for k in range(count)
        for _ in range(files)
    ]
    return table_of(rows)


@settings(deadline=None, max_examples=40)
@given(
    normal=st.integers(10, 40),
    defective=st.integers(10, 40),
    inner=st.integers(2, 6),
    fold=st.integers(0, 3),
    partition=st.integers(0, 10**6),
    seed=st.integers(0, 2**32 - 1),
)
def test_inner_folds_partition_the_training_part_and_groups_straddle_nothing(
    normal: int, defective: int, inner: int, fold: int, partition: int, seed: int
) -> None:
    table = grouped(normal, defective)
    rule = SplitRule(folds=4, fold=fold, partition=partition, inner_folds=inner)
    table["part"] = assign(table, rule).part
    table["inner"], folds = assign_inner(table, table["part"], rule)
    assert set(table["part"]) == {"train", "test"}
    assert (table["inner"] != "").eq(table["part"] == "train").all()
    training = table[table["part"] == "train"]
    wide = training.drop_duplicates("group_wide")
    assert folds == min(inner, wide["label"].value_counts().min())
    assert set(training["inner"]) == {str(number) for number in range(folds)}
    for column in ("group", "group_wide"):
        assert (table.groupby(column)[["part", "inner"]].nunique() == 1).all(axis=None)
    counts = wide.groupby(["label", "inner"]).size().unstack(fill_value=0)
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()
    assert (counts >= 1).all(axis=None)  # each holds out both classes, so each can choose

    other = table.sample(frac=1, random_state=np.random.default_rng(seed))
    again = assign_inner(other, other["part"], rule)[0]
    pd.testing.assert_series_equal(again.sort_index(), table["inner"], check_names=False)


def test_inner_folds_of_partitions_and_outer_folds_differ() -> None:
    table = grouped(60, 60)
    seen = set()
    for partition in range(3):
        for fold in range(3):
            rule = SplitRule(partition=partition, fold=fold, inner_folds=5)
            part = assign(table, rule).part
            seen.add(tuple(assign_inner(table, part, rule)[0][part == "train"]))
    assert len(seen) == 9


def test_too_few_groups_for_inner_folds_is_one_line() -> None:
    table = grouped(4, 20)  # two wide groups: one is tested, one is left
    rule = SplitRule(folds=2, inner_folds=5)
    part = assign(table, rule).part
    with pytest.raises(
        UserError, match=r"there are \d defective and 1 normal; data\.inner_folds=1"
    ):
        assign_inner(table, part, rule)


def test_without_nesting_nothing_is_dealt() -> None:
    table = grouped(20, 20)
    for rule in (SplitRule(inner_folds=1), SplitRule(split="file", inner_folds=5)):
        part = assign(table, rule).part
        inner, folds = assign_inner(table, part, rule)
        assert folds == 0
        assert (inner == "").all()
        assert (part == "val").any()
