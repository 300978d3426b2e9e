"""A smaller training part: what is kept, what it does to the other parts, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casting_inspect.data.splits import SplitRule, assign, assign_inner
from casting_inspect.errors import UserError


def table(normal: int = 12, defective: int = 30, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(normal + defective):
        label = "normal" if number < normal else "defective"
        for copy in range(int(generator.integers(1, 9))):
            rows.append({"path": f"{number}_{copy}", "label": label, "group": f"g{number}"})
    frame = pd.DataFrame(rows)
    return frame.assign(sha256=[f"{value:064x}" for value in generator.permutation(len(frame))])


def training_groups(frame: pd.DataFrame, **options: object) -> pd.Series:
    part = assign(frame, SplitRule("group", inner_folds=5, **options)).part
    return frame[part == "train"].groupby("label")["group"].agg(set)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 50), st.integers(0, 4), st.integers(1, 8))
def test_a_number_of_normal_groups_and_defective_ones_in_proportion(seed, fold, count):
    frame = table(seed=seed)
    whole = training_groups(frame, fold=fold, partition=seed)
    some = training_groups(frame, fold=fold, partition=seed, train_size=count)
    assert len(some["normal"]) == count
    expected = count * len(whole["defective"]) / len(whole["normal"])
    assert abs(len(some["defective"]) - expected) <= 0.5
    assert some["normal"] <= whole["normal"]
    more = training_groups(frame, fold=fold, partition=seed, train_size=count + 1)
    assert some["normal"] < more["normal"]
    assert some["defective"] <= more["defective"]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50), st.integers(1, 4))
def test_copies_are_bounded_and_the_test_part_is_untouched(seed, copies):
    frame = table(seed=seed)
    options = {"fold": 1, "partition": seed, "inner_folds": 5}
    whole = assign(frame, SplitRule("group", **options))
    thin = assign(frame, SplitRule("group", **options, copies=copies))
    assert ((whole.part == "test") == (thin.part == "test")).all()
    sizes = frame[whole.part == "train"].groupby("group").size()
    kept = frame[thin.part == "train"].groupby("group").size()
    assert (kept == sizes.clip(upper=copies)).all()
    held = (whole.part == "train") & (thin.part == "")
    assert (thin.left_out[held] == "held back (data.train_size, data.copies)").all()


def test_inner_folds_are_dealt_over_what_is_kept():
    frame = table()
    rule = SplitRule("group", inner_folds=5, train_size=3)
    part = assign(frame, rule).part
    inner, folds = assign_inner(frame, part, rule)
    assert folds == 3  # as many as there are normal groups
    assert (inner[part == "train"] != "").all()
    assert (inner[part != "train"] == "").all()


def test_a_share_of_the_files_where_the_split_is_by_file():
    frame = table()
    whole = assign(frame, SplitRule("file", val_fraction=0.0)).part
    some = assign(frame, SplitRule("file", val_fraction=0.0, train_size=0.5))
    for label in ("normal", "defective"):
        mine = frame["label"] == label
        count = ((whole == "train") & mine).sum()
        assert ((some.part == "train") & mine).sum() == int(count * 0.5 + 0.5)
    assert ((whole == "test") == (some.part == "test")).all()
    assert (some.left_out[some.part == ""] == "held back (data.train_size, data.copies)").all()


def test_what_ships_learns_from_everything():
    frame = table()
    part = assign(frame, SplitRule("group", fold=None, train_size=2, copies=1)).part
    assert (part == "train").all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "group", "train_size": 40}, "training part has 9 normal groups"),
        ({"split": "group", "train_size": 0}, "train_size=0: must be a share"),
        ({"split": "group", "train_size": 1.5}, "train_size=1.5: must be a share"),
        ({"split": "group", "copies": 0}, "copies=0: must be 1 or more"),
        ({"split": "file", "train_size": 3}, "data.split=file knows no groups"),
        ({"split": "file", "copies": 1}, "data.split=file knows no groups"),
        ({"split": "vendor", "train_size": 0.5}, "data.split=vendor is as delivered"),
    ],
)
def test_what_cannot_be_is_refused(options, words):
    with pytest.raises(UserError, match=words):
        assign(table(), SplitRule(**options))
