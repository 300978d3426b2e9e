"""Thresholds: against a search over all of them, and what decides ties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from casting_inspect.errors import UserError
from casting_inspect.evaluation.decisions import decide
from casting_inspect.evaluation.metrics import split_metrics


def table_of(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    """A predictions table of (label, group, p_normal)."""
    frame = pd.DataFrame(rows, columns=["label", "group", "p_normal"])
    return frame.assign(path=[f"{k}.png" for k in range(len(frame))], split="val")


def youden(rows: list[tuple[str, str, float]]) -> float:
    return decide("youden", {}, table_of(rows)).threshold


scores = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.45, 0.5, 0.8, 0.99, 1.0]) | st.floats(0, 1)
any_rows = st.lists(
    st.tuples(st.sampled_from(["normal", "defective"]), st.sampled_from("abcdef"), scores),
    min_size=2,
    max_size=40,
).filter(lambda rows: len({label for label, _, _ in rows}) == 2)


@settings(deadline=None, max_examples=40)
@example([("normal", "a", 1.0), ("defective", "a", 1.0 - 2.0**-53)])
@example([("normal", "a", 0.0), ("defective", "a", 1.0)])
@given(any_rows)
def test_no_threshold_has_a_higher_balanced_accuracy_by_group(
    rows: list[tuple[str, str, float]],
) -> None:
    table = table_of(rows)

    def balanced(threshold: float) -> float:
        found = split_metrics(table.assign(threshold=threshold))
        return float(found["balanced_accuracy_by_group"]["value"])

    chosen = youden(rows)
    assert 0 <= chosen <= 1
    edges = np.unique([0.0, 1.0, *table["p_normal"]])
    others = [*edges, *((edges[1:] + edges[:-1]) / 2)]
    assert balanced(chosen) == pytest.approx(max(balanced(t) for t in others))


@settings(deadline=None, max_examples=20)
@given(any_rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_plays_no_part(
    rows: list[tuple[str, str, float]], random: np.random.Generator
) -> None:
    other = list(rows)
    random.shuffle(other)  # type: ignore[arg-type]
    assert youden(rows) == pytest.approx(youden(other))


def test_groups_weigh_the_same_however_many_files_they_have() -> None:
    """By file 0.6 is better: it costs three escapes and saves eight overkills."""
    rows = [("normal", "large", 0.5)] * 8 + [("normal", "small", 0.9)]
    rows += [("defective", f"d{k}", 0.55) for k in range(3)] + [("defective", "d3", 0.1)]
    # below 0.5: escape 3/4, overkill 0; from 0.55 up: escape 0, overkill 1/2 of the groups
    assert youden(rows) == pytest.approx((0.55 + 0.9) / 2)


def test_of_equally_good_intervals_the_widest_gives_its_middle() -> None:
    separable = [("defective", "a", 0.2), ("normal", "b", 0.8)]
    assert youden(separable) == pytest.approx(0.5)
    # one error either way: between 0.1 and 0.2, or between 0.3 and 0.9
    rows = [
        ("defective", "a", 0.1),
        ("normal", "b", 0.2),
        ("defective", "c", 0.3),
        ("normal", "d", 0.9),
    ]
    assert youden(rows) == pytest.approx(0.6)


def test_wide_groups_are_the_unit_where_they_are_known() -> None:
    rows = [("normal", f"n{k}", 0.4) for k in range(3)] + [("normal", "n3", 0.9)]
    rows += [("defective", f"d{k}", 0.5) for k in range(2)] + [("defective", "d2", 0.1)]
    table = table_of(rows)
    assert decide("youden", {}, table).threshold < 0.4
    wide = table.assign(group_wide=table["group"].replace({"n0": "w", "n1": "w", "n2": "w"}))
    assert decide("youden", {}, wide).threshold > 0.5


def test_the_fixed_rule_looks_at_nothing() -> None:
    assert decide("fixed", {"threshold": 0.3}, None).threshold == 0.3


@pytest.mark.parametrize("rows", [None, [("normal", "a", 0.4)]])
def test_without_validation_rows_of_both_classes_there_is_no_threshold(
    rows: list[tuple[str, str, float]] | None,
) -> None:
    table = None if rows is None else table_of(rows)
    with pytest.raises(UserError, match="decide=youden finds the threshold on validation"):
        decide("youden", {}, table)
