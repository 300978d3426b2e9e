"""Splits: laws of the group split, the paper's counts, and what a bad table is told."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casting_inspect.data.splits import SPLITS, assign_splits
from casting_inspect.errors import UserError

PARTS = ("train", "val", "test")


def manifest(
    labels: Sequence[str], groups: Sequence[str] | None = None, splits: Sequence[str] | None = None
) -> pd.DataFrame:
    """A manifest whose digests follow from the paths."""
    paths = [f"{label}/{k}.png" for k, label in enumerate(labels)]
    return pd.DataFrame(
        {
            "path": paths,
            "label": list(labels),
            "group": list(groups) if groups is not None else "",
            "split": list(splits) if splits is not None else "",
            "sha256": [hashlib.sha256(path.encode()).hexdigest() for path in paths],
        }
    )


def grouped(sizes: Mapping[str, Sequence[int]]) -> pd.DataFrame:
    """A manifest of groups of the given sizes, each of one class."""
    rows = [
        (label, f"{label[0]}{k}")
        for label, counts in sizes.items()
        for k, count in enumerate(counts)
        for _ in range(count)
    ]
    return manifest([label for label, _ in rows], [group for _, group in rows])


def unequal() -> pd.DataFrame:
    """Group sizes as unequal as the real set's: a few photographs hold most of the files."""
    return grouped(
        {
            "normal": [400, 300, 200, 150, 100, 60, 40, 20, *[4] * 20],
            "defective": [200, 150, 100, 90, 80, *[25] * 40, *[6] * 95],
        }
    )


small_tables = st.builds(
    grouped,
    st.fixed_dictionaries(
        {
            "normal": st.lists(st.integers(1, 6), min_size=5, max_size=14),
            "defective": st.lists(st.integers(1, 6), min_size=5, max_size=14),
        }
    ),
)


@settings(deadline=None, max_examples=15)
@given(
    table=small_tables,
    folds=st.integers(2, 5),
    partition=st.integers(0, 2**40),
    val_fraction=st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9]),
)
def test_group_split_keeps_groups_whole_and_folds_even(
    table: pd.DataFrame, folds: int, partition: int, val_fraction: float
) -> None:
    tested: list[str] = []
    groups_in_fold: dict[str, list[int]] = {"normal": [], "defective": [], "all": []}
    for fold in range(folds):
        table["part"] = assign_splits(
            table,
            split="group",
            folds=folds,
            fold=fold,
            partition=partition,
            val_fraction=val_fraction,
        )
        assert set(table["part"]) <= set(PARTS)
        assert (table.groupby("group")["part"].nunique() == 1).all()
        test = table[table["part"] == "test"]
        tested += list(test["group"].unique())
        groups_in_fold["all"].append(test["group"].nunique())
        for label in ("normal", "defective"):
            mine = table[table["label"] == label]
            counts = mine.groupby("part")["group"].nunique()
            groups_in_fold[label].append(int(counts["test"]))
            rest = counts.drop("test").sum()
            wanted = min(max(1, val_fraction * rest), rest - 1) if val_fraction else 0
            assert abs(counts.get("val", 0) - wanted) <= (0.5 if wanted else 0)
            assert counts["train"] >= 1
    assert sorted(tested) == sorted(table["group"].unique())
    for counts_of_folds in groups_in_fold.values():
        assert max(counts_of_folds) - min(counts_of_folds) <= 1


@settings(deadline=None, max_examples=20)
@given(
    table=small_tables,
    split=st.sampled_from(["group", "file", "vendor", "manifest"]),
    partition=st.integers(0, 99),
    seed=st.integers(0, 2**32 - 1),
    digests=st.booleans(),
)
def test_the_order_of_rows_plays_no_part(
    table: pd.DataFrame, split: str, partition: int, seed: int, digests: bool
) -> None:
    table["split"] = np.where(np.arange(len(table)) % 3 == 0, "test", "train")
    if not digests:
        table["sha256"] = ""
    other = table.sample(frac=1, random_state=np.random.default_rng(seed))
    one = assign_splits(table, split=split, partition=partition, fold=1)
    two = assign_splits(other, split=split, partition=partition, fold=1)
    assert list(two.index) == list(other.index)
    pd.testing.assert_series_equal(one, two.sort_index())


def test_an_index_with_repeated_labels_is_kept() -> None:
    table = unequal()
    plain = assign_splits(table, split="group")
    table.index = pd.Index(["row"] * len(table))
    assert list(assign_splits(table, split="group")) == list(plain)


def fold_of_groups(table: pd.DataFrame, partition: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for fold in range(5):
        parts = assign_splits(table, split="group", fold=fold, partition=partition)
        found |= dict.fromkeys(table.loc[parts == "test", "group"].unique(), fold)
    return found


def test_partitions_of_very_unequal_groups_differ() -> None:
    """scikit-learn's StratifiedGroupKFold deals the largest groups alike with every seed."""
    table = unequal()
    largest = list(table["group"].value_counts().index[:12])
    first, *others = (fold_of_groups(table, partition) for partition in range(7))
    pairs = [(a, b) for a in largest for b in largest if a < b and first[a] == first[b]]
    together = [np.mean([folds[a] == folds[b] for a, b in pairs]) for folds in others]
    assert max(together) < 1  # no other partition keeps them as they were
    assert np.mean(together) < 0.5  # chance is about 0.2


def test_folds_of_one_partition_have_their_own_validation_groups() -> None:
    table = unequal()
    validated = [
        frozenset(table.loc[assign_splits(table, split="group", fold=f) == "val", "group"])
        for f in range(5)
    ]
    assert len(set(validated)) == 5


def test_a_group_with_both_labels_counts_by_majority_and_ties_are_defective() -> None:
    pure = grouped({"normal": [3] * 4, "defective": [3] * 4})
    mixed = manifest(["normal", "normal", "defective"], ["mixed"] * 3)
    tied = manifest(["normal", "defective"], ["tied"] * 2)
    # with 5 folds both are needed: the mixed one as the fifth normal, the tied one as defective
    table = pd.concat([pure, mixed, tied], ignore_index=True)
    table["path"] = [f"{k}.png" for k in range(len(table))]
    table["sha256"] = [hashlib.sha256(p.encode()).hexdigest() for p in table["path"]]
    seen = []
    for fold in range(5):
        parts = assign_splits(table, split="group", fold=fold, on_conflict="keep")
        test = table[parts == "test"]
        names = set(test["group"])
        classes = sorted("n" if g == "mixed" else "d" if g == "tied" else g[0] for g in names)
        assert classes == ["d", "n"]
        seen += sorted(names)
    assert sorted(seen) == sorted(table["group"].unique())


def test_the_papers_file_split_has_the_papers_counts() -> None:
    table = manifest(["defective"] * 4613 + ["normal"] * 3399)
    parts = assign_splits(table, split="file", val_fraction=0.0)
    counts = table["label"].groupby(parts).value_counts()
    assert counts["test", "defective"] == 1845
    assert counts["test", "normal"] == 1360
    assert counts["train", "defective"] == 2768
    assert counts["train", "normal"] == 2039
    assert len(counts) == 4
    carved = assign_splits(table, split="file")
    assert (carved == "test").eq(parts == "test").all()
    assert (carved[parts == "train"] == "val").sum() == round(0.2 * 2768) + round(0.2 * 2039)
    other = assign_splits(table, split="file", partition=1)
    share = ((other == "test") & (parts == "test")).sum() / 3205
    assert 0.36 < share < 0.44  # two independent draws of 40 % share 40 %


def test_vendor_keeps_the_test_part_and_leaves_unmarked_rows_out() -> None:
    splits = ["train"] * 60 + ["test"] * 20 + [""] * 20
    table = manifest(["normal", "defective"] * 50, splits=splits)
    parts = assign_splits(table, split="vendor", val_fraction=0.2)
    assert (parts[60:80] == "test").all()
    assert (parts[80:] == "").all()
    assert parts[:60].value_counts().to_dict() == {"train": 48, "val": 12}
    assert table.loc[parts == "val", "label"].value_counts().to_dict() == {
        "normal": 6,
        "defective": 6,
    }


def test_vendor_takes_validation_rows_that_are_there() -> None:
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    table = manifest(["normal", "defective"] * 5, splits=splits)
    assert list(assign_splits(table, split="vendor")) == splits


@pytest.mark.parametrize("held", ["val", "test"])
def test_manifest_takes_the_column_as_it_is(held: str) -> None:
    splits = ["train"] * 6 + [held] * 2 + [""] * 2
    table = manifest(["normal", "defective"] * 5, splits=splits)
    assert list(assign_splits(table, split="manifest")) == splits


def test_missing_values_count_as_empty() -> None:
    table = manifest(["normal", "defective"] * 5, splits=["train"] * 8 + ["test"] * 2)
    table["sha256"] = None
    table.loc[0, "split"] = None
    parts = assign_splits(table[["path", "label", "split", "sha256"]], split="manifest")
    assert parts[0] == ""


EVEN = grouped({"normal": [2] * 6, "defective": [2] * 6})


@pytest.mark.parametrize(
    ("table", "arguments", "words"),
    [
        (EVEN, {"split": "grp"}, "Did you mean 'group'?"),
        (EVEN, {"split": "group", "folds": 1}, "data.folds=1: must be at least 2"),
        (EVEN, {"split": "group", "fold": 5}, "data.fold=5: must be from 0 to 4"),
        (EVEN, {"split": "group", "fold": -1}, "data.fold=-1: must be from 0 to 4"),
        (EVEN, {"split": "group", "partition": -1}, "data.partition=-1: must be 0 or more"),
        (EVEN, {"split": "group", "val_fraction": 1.0}, "data.val_fraction=1.0"),
        (EVEN, {"split": "file", "test_fraction": 0.0}, "data.test_fraction=0.0"),
        (
            EVEN,
            {"split": "group", "folds": 7},
            "6 defective and 6 normal; data.folds=6 is possible",
        ),
        (
            grouped({"normal": [2], "defective": [2] * 6}),
            {"split": "group"},
            "6 defective and 1 normal; data.split=file is possible",
        ),
        (
            grouped({"normal": [2] * 6}),
            {"split": "group"},
            "0 defective and 6 normal; groups of both classes are needed",
        ),
        (
            manifest(["normal", "defective"] * 5),
            {"split": "group"},
            "none of 10 pictures has one (first: ",
        ),
        (manifest(["normal"] * 5), {"split": "file"}, "at least 2 pictures of each class"),
        (EVEN, {"split": "vendor"}, "needs rows marked train and test"),
        (EVEN, {"split": "manifest"}, "needs rows marked train, and test or val"),
        (
            manifest(["normal"] * 3 + ["defective"], splits=["train"] * 3 + ["test"]),
            {"split": "manifest"},
            "leaves no defective picture to train on",
        ),
    ],
)
def test_mistakes_are_one_line(
    table: pd.DataFrame, arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        assign_splits(table, **arguments)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_kind_of_split_is_known() -> None:
    assert SPLITS == ("file", "vendor", "group", "lot", "time", "manifest")
