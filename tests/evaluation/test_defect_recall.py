from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casting_inspect.errors import UserError
from casting_inspect.evaluation.defect_recall import COLUMNS, recall_by_kind_and_size


def tables(rows: list[tuple[str, str, float, float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return predictions and defects from rows of (part, kind, size_px, p_normal)."""
    paths = [f"defective/{number}.png" for number in range(len(rows))]
    predictions = pd.DataFrame(
        {
            "path": [*paths, "normal/a.png"],
            "group": [*(row[0] for row in rows), "good"],
            "split": "test",
            "p_normal": [*(row[3] for row in rows), 0.9],
        }
    )
    defects = pd.DataFrame(
        {"path": paths, "kind": [r[1] for r in rows], "size_px": [r[2] for r in rows]}
    )
    return predictions, defects


def test_the_figures_of_a_table_counted_by_hand() -> None:
    rows = [
        ("a", "scratch", 4.0, 0.9),  # passes
        ("a", "scratch", 5.0, 0.1),
        ("b", "scratch", 10.0, 0.5),  # a tie is rejected
        ("c", "flash", 20.0, 0.2),
        ("d", "flash", 40.0, 0.3),
    ]
    table = recall_by_kind_and_size(*tables(rows))
    everything = table[table["by"] == "all"].iloc[0]
    assert (everything["n"], everything["parts"]) == (5, 4)
    assert everything["recall_by_file"] == pytest.approx(4 / 5)
    assert everything["recall"] == pytest.approx((0.5 + 1 + 1 + 1) / 4)
    kinds = table[table["by"] == "kind"].set_index("kind")
    assert kinds.loc["scratch", "recall"] == pytest.approx(0.75)
    assert kinds.loc["flash", ["size_low", "size_high"]].tolist() == [20.0, 40.0]
    sizes = table[table["by"] == "size"]
    assert sizes["recall_by_file"].tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert tuple(table.columns) == COLUMNS


def test_each_rows_own_threshold_counts() -> None:
    predictions, defects = tables([("a", "flash", 4.0, 0.7), ("b", "flash", 5.0, 0.7)])
    predictions["threshold"] = ["0.8", "", ""]
    table = recall_by_kind_and_size(predictions, defects)
    assert table.loc[0, "recall"] == pytest.approx(0.5)


def test_only_the_asked_split_counts() -> None:
    predictions, defects = tables([("a", "flash", 4.0, 0.1), ("b", "flash", 5.0, 0.9)])
    predictions["split"] = ["test", "val", "test"]
    assert recall_by_kind_and_size(predictions, defects).loc[0, "n"] == 1
    assert recall_by_kind_and_size(predictions, defects, split="val").loc[0, "recall"] == 0.0


def test_no_known_defect_gives_an_empty_table() -> None:
    predictions, defects = tables([("a", "flash", 4.0, 0.1)])
    table = recall_by_kind_and_size(predictions, defects.iloc[:0])
    assert len(table) == 0
    assert tuple(table.columns) == COLUMNS


def test_without_groups_and_splits_every_picture_is_a_part() -> None:
    predictions, defects = tables([("a", "flash", 4.0, 0.1), ("a", "flash", 5.0, 0.9)])
    table = recall_by_kind_and_size(predictions[["path", "p_normal"]], defects)
    assert table.loc[0, "parts"] == 2


@pytest.mark.parametrize("column", ["path", "p_normal"])
def test_a_missing_column_is_named(column: str) -> None:
    predictions, defects = tables([("a", "flash", 4.0, 0.1)])
    with pytest.raises(UserError, match=f"predictions: column {column} is missing"):
        recall_by_kind_and_size(predictions.drop(columns=column), defects)


def test_a_defect_listed_twice_is_refused() -> None:
    predictions, defects = tables([("a", "flash", 4.0, 0.1)])
    with pytest.raises(UserError, match=r"defective/0\.png is listed twice"):
        recall_by_kind_and_size(predictions, pd.concat([defects, defects]))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"),
            st.sampled_from(["flash", "scratch"]),
            st.integers(2, 12).map(float),
            st.floats(0.0, 1.0),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_kinds_and_fifths_each_add_up_to_everything(
    rows: list[tuple[str, str, float, float]],
) -> None:
    table = recall_by_kind_and_size(*tables(rows))
    found = (table["n"] * table["recall_by_file"]).groupby(table["by"]).sum()
    counts = table["n"].groupby(table["by"]).sum()
    assert set(counts) == {len(rows)}
    assert found.tolist() == pytest.approx([sum(row[3] <= 0.5 for row in rows)] * len(found))
    sizes = table[table["by"] == "size"]
    assert (sizes["size_low"].to_numpy()[1:] > sizes["size_high"].to_numpy()[:-1]).all()
