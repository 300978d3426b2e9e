"""Slices: rates by hand, the permutation test's p against enumeration, its errors by simulation."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casting_inspect import evaluate
from casting_inspect.evaluation.differences import holm, sign_flip
from casting_inspect.evaluation.predictions import complete_predictions, write_predictions
from casting_inspect.evaluation.slices import FIELDS, GroupPair, permuted, slice_columns, slices
from casting_inspect.evaluation.terms import Terms


def table(groups: int = 120, seed: int = 0, worse: float = 0.0) -> pd.DataFrame:
    """Return files of castings on three lots; in lot c so much more of the defective pass."""
    random = np.random.default_rng(seed)
    number = np.repeat(np.arange(groups), random.integers(1, 6, groups))
    normal = number % 2 == 0
    lot = np.array(["a", "b", "c"])[number // 2 % 3]
    middle = random.normal(0, 1.0, groups)[number]
    logit = np.where(normal, 2.0, -2.0) + middle + random.normal(0, 0.5, len(number))
    logit = logit + np.where(~normal & (lot == "c"), worse, 0.0)
    frame = pd.DataFrame(
        {
            "path": [f"{at}.png" for at in range(len(number))],
            "label": np.where(normal, "normal", "defective"),
            "group": [f"g{at}" for at in number],
            "lot": lot,
            "logit": logit,
            "p_normal": 1 / (1 + np.exp(-logit)),
        }
    )
    return complete_predictions(frame)


def test_rates_are_means_over_groups_inside_and_outside() -> None:
    rows = table(worse=1.5)
    found, facts = slices(rows, Terms())
    assert tuple(found.columns) == FIELDS
    assert len(found) == 6
    assert facts["columns"] == ["lot"]
    wrong = (rows["p_normal"] > 0.5) == (rows["label"] == "defective")
    for row in found.to_dict("records"):
        of_class = rows["label"] == {"escape": "defective", "overkill": "normal"}[row["error"]]
        for inside, key in ((True, "rate"), (False, "rest_rate")):
            here = of_class & ((rows["lot"] == row["value"]) == inside)
            expected = wrong[here].groupby(rows["group"][here]).mean().mean()
            assert row[key] == pytest.approx(expected)
        assert row["low"] <= row["rate"] <= row["high"]
        assert row["difference"] == pytest.approx(row["rate"] - row["rest_rate"])
    np.testing.assert_allclose(found["p_holm"], holm(found["p"].tolist()))


def test_p_is_that_of_all_arrangements_of_separate_groups() -> None:
    inside, outside = [0.9, 0.6, 0.8], [0.1, 0.2, 0.0, 0.7]
    everything = np.array([*inside, *outside])
    observed = np.mean(inside) - np.mean(outside)
    far = []
    for chosen in itertools.combinations(range(7), 3):
        mask = np.isin(np.arange(7), chosen)
        gap = everything[mask].mean() - everything[~mask].mean()
        far.append(abs(gap) >= abs(observed) - 1e-12)
    nothing = np.nan
    pair = GroupPair(np.array([*inside, *[nothing] * 4]), np.array([*[nothing] * 3, *outside]))
    # 100 arrangements as far are enough: one part in ten
    assert permuted(pair) == pytest.approx(np.mean(far), rel=0.3)


def test_p_is_a_sign_flip_where_groups_lie_on_both_sides() -> None:
    random = np.random.default_rng(1)
    pair = GroupPair(random.random(15), random.random(15) * 0.7)
    assert permuted(pair) == pytest.approx(sign_flip(pair.inside - pair.outside).p, rel=0.3)


def test_a_worse_lot_is_warned_of_and_an_equal_one_hardly_ever() -> None:
    false_alarms = 0
    for seed in range(100):
        _, facts = slices(table(seed=seed), Terms())
        false_alarms += bool(facts["warnings"])
    assert false_alarms / 100 <= 0.05 + 0.044  # two standard errors of 100 sets
    _, facts = slices(table(worse=3.0), Terms())
    (warning,) = facts["warnings"]
    assert (warning["column"], warning["value"], warning["error"]) == ("lot", "c", "escape")
    assert warning["p_holm"] < 0.05


def test_copies_and_names_and_order_change_nothing() -> None:
    rows = table(worse=1.0)
    copies = rows.assign(path="copy of " + rows["path"])
    doubled = complete_predictions(pd.concat([rows, copies]).sample(frac=1, random_state=0))
    doubled["group_wide"] = doubled["group"] = "x" + doubled["group"]
    once, twice = (slices(one, Terms())[0] for one in (rows, doubled))
    columns = ["rate", "rest_rate", "p"]
    np.testing.assert_allclose(once[columns], twice[columns])


def test_which_columns_tell_slices() -> None:
    rows = table(40)
    many = np.arange(len(rows))
    rows = rows.assign(camera=np.where(many < 30, "l", "r"), serial=many, plant="one", note="")
    used, left_out = slice_columns(rows)
    assert used == ["lot", "camera"]
    assert left_out == {"serial": f"{len(rows)} values, more than 20", "plant": "one value"}


def test_two_values_are_one_test_and_blank_cells_are_no_slice() -> None:
    rows = table(80)
    numbers = rows["group"].str[1:].astype(int)
    rows["camera"] = np.where(numbers < 20, "", np.where(numbers // 4 % 2, "l", "r"))
    rows["lot"] = ""
    found, facts = slices(rows, Terms())
    assert facts["tests"] == 2  # escapes and overkills
    assert set(found["value"]) == {"l", "r"}
    assert (found["files"] + found["rest_files"]).groupby(found["error"]).nunique().eq(1).all()
    assert found["files"].sum() == (rows["camera"] != "").sum()
    by_error = found.groupby("error")
    assert by_error["p"].nunique().eq(1).all()
    assert by_error["difference"].sum().to_numpy() == pytest.approx(0.0)


def test_kinds_of_defects_have_escapes_alone() -> None:
    rows = table(60)
    kinds = np.where(rows["group"].str[1:].astype(int) % 4 == 1, "hole", "crack")
    rows = rows.assign(lot="", kind=np.where(rows["label"] == "defective", kinds, ""))
    found, _ = slices(rows, Terms())
    assert found[["value", "error"]].to_numpy().tolist() == [
        ["crack", "escape"],
        ["hole", "escape"],
    ]


def test_a_slice_without_a_rest_is_not_tested() -> None:
    rows = table(60)
    rows["lot"] = np.where(rows["label"] == "normal", "a", "b")
    found, facts = slices(rows, Terms())
    assert found["p"].isna().all()
    assert facts["tests"] == 0
    assert facts["warnings"] == []


def test_evaluate_writes_them_and_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table(worse=3.0).rename(columns={"lot": "Shift 2"})
    write_predictions(rows, tmp_path / "p.csv")
    words = [f"predictions={tmp_path / 'p.csv'}", f"out={tmp_path / 'out'}"]
    assert evaluate.main(words) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Shift 2=c: " in shown
    assert "significantly worse." in shown
    written = pd.read_csv(tmp_path / "out" / "slices.csv")
    assert tuple(written.columns) == FIELDS
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["slices"]["warnings"][0]["value"] == "c"
    write_predictions(rows.drop(columns="Shift 2"), tmp_path / "p.csv")
    assert evaluate.main(words) == 0
    assert not (tmp_path / "out" / "slices.csv").exists()
