"""Figures of a table against sklearn, the paper's counts, and the laws of groups."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from casting_inspect.errors import UserError
from casting_inspect.evaluation.intervals import korn_graubard, mover_mean
from casting_inspect.evaluation.metrics import all_metrics, auroc, split_metrics

KEYS = (
    *("n", "n_groups", "n_groups_normal", "n_groups_defective", "n_groups_effective"),
    *("threshold", "confusion", "accuracy", "precision", "recall", "f1", "specificity"),
    *("escape_rate", "overkill_rate", "balanced_accuracy", "auroc"),
    *("escape_rate_by_group", "overkill_rate_by_group", "balanced_accuracy_by_group"),
    *("auroc_by_group", "headline"),
)
RATES = ("escape_rate", "overkill_rate", "balanced_accuracy", "auroc")


def table(labels: list[int], scores: list[float], **columns: Any) -> pd.DataFrame:
    names = ["normal" if label else "defective" for label in labels]
    paths = [f"{at}.png" for at in range(len(labels))]
    return pd.DataFrame({"path": paths, "label": names, "p_normal": scores, **columns})


def random_table(seed: int, files: int, groups: int, folds: int = 1) -> pd.DataFrame:
    """Unequal groups, each of one class and in one fold, with their own difficulty."""
    generator = np.random.default_rng(seed)
    group = np.r_[np.arange(groups), generator.integers(0, groups, files - groups) ** 2 // groups]
    normal = group % 2
    logits = generator.normal(size=files) + 1.5 * (2 * normal - 1)
    logits += generator.normal(size=groups)[group]
    frame = table(list(normal), list(1 / (1 + np.exp(-logits))), logit=logits)
    return frame.assign(group=[f"g{at}" for at in group], fold=group // 2 % folds)


@pytest.fixture
def paper() -> pd.DataFrame:
    scores = [0.9] * 1350 + [0.2] * 10 + [0.8] * 14 + [0.1] * 1831
    return table([1] * 1360 + [0] * 1845, scores)


def test_the_papers_counts_give_table_2(paper: pd.DataFrame) -> None:
    result = all_metrics(paper)["test"]
    assert result["confusion"] == {"TP": 1350, "FN": 10, "FP": 14, "TN": 1831}
    printed = {key: f"{100 * result[key]:.3f}" for key in ("accuracy", "precision", "recall", "f1")}
    assert printed == {
        **{"accuracy": "99.251", "precision": "98.974"},
        **{"recall": "99.265", "f1": "99.119"},
    }
    assert f"{100 * result['specificity']:.3f}" == "99.241"


def test_the_papers_counts_give_clopper_pearson_by_single_file(paper: pd.DataFrame) -> None:
    result = split_metrics(paper)
    for key, printed in (
        ("escape_rate", ["0.415", "1.270"]),
        ("overkill_rate", ["0.353", "1.348"]),
    ):
        figure = result[f"{key}_by_group"]
        assert set(figure) == {"value", "low", "high"}
        assert figure["value"] == pytest.approx(result[key])
        assert [f"{100 * figure[limit]:.3f}" for limit in ("low", "high")] == printed


def test_the_headline_is_the_lower_of_two_groupings() -> None:
    """Joining the two groups without an error leaves the one with an error to weigh more."""
    groups = ["a", "b", "c", "d", "e", "f"]
    labels, scores = [1, 1, 1, 0, 0, 0], [0.9, 0.9, 0.1, 0.1, 0.1, 0.1]
    one = split_metrics(table(labels, scores, group=groups))
    assert "by_group_wide" not in one
    assert one["headline"] == {"grouping": "group", **one["balanced_accuracy_by_group"]}
    assert one["headline"]["value"] == pytest.approx(1 - (1 / 3) / 2)

    joined = ["w", "w", "c", "d", "e", "f"]
    two = split_metrics(table(labels, scores, group=groups, group_wide=joined))
    wide = two["by_group_wide"]
    assert wide == {key: split_metrics(table(labels, scores, group=joined))[key] for key in wide}
    assert wide["n_groups"] == 5
    assert two["balanced_accuracy_by_group"] == one["balanced_accuracy_by_group"]
    assert two["headline"]["grouping"] == "group_wide"
    assert two["headline"]["value"] == pytest.approx(1 - (1 / 2) / 2)

    # other names for the same groups are no other grouping
    same = split_metrics(table(labels, scores, group=groups, group_wide=list("uvwxyz")))
    assert "by_group_wide" not in same


def test_keys_and_their_order_are_those_of_the_file_format(paper: pd.DataFrame) -> None:
    result = all_metrics(paper.assign(split=["val"] * 1500 + ["train"] * 1705))
    assert list(result) == ["train", "val"]
    assert all(tuple(figures) == KEYS for figures in result.values())
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.parametrize("seed", range(3))
def test_figures_by_file_agree_with_sklearn(seed: int) -> None:
    frame = random_table(seed, files=300, groups=40)
    result = split_metrics(frame)
    truth, verdict = frame["label"] == "normal", frame["p_normal"] > 0.5
    tn, fp, fn, tp = sk.confusion_matrix(truth, verdict).ravel()
    assert result["confusion"] == {"TP": tp, "FN": fn, "FP": fp, "TN": tn}
    expected = {
        "accuracy": sk.accuracy_score(truth, verdict),
        "precision": sk.precision_score(truth, verdict),
        "recall": sk.recall_score(truth, verdict),
        "f1": sk.f1_score(truth, verdict),
        "specificity": sk.recall_score(~truth, ~verdict),
        "escape_rate": 1 - sk.recall_score(~truth, ~verdict),
        "overkill_rate": 1 - sk.recall_score(truth, verdict),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, verdict),
        "auroc": sk.roc_auc_score(truth, frame["logit"]),
    }
    assert {key: result[key] for key in expected} == pytest.approx(expected, abs=1e-12)


def test_figures_by_group_agree_with_pandas() -> None:
    frame = random_table(7, files=400, groups=50)
    result = split_metrics(frame)
    wrong = (frame["p_normal"] > 0.5) != (frame["label"] == "normal")
    rates = wrong.groupby(frame["group"]).mean()
    normal = frame.groupby("group")["label"].first() == "normal"
    escape, overkill = rates[~normal], rates[normal]
    limits = {"escape": korn_graubard(escape), "overkill": korn_graubard(overkill)}
    sums = mover_mean(
        *(escape.mean(), limits["escape"]),
        *(overkill.mean(), limits["overkill"]),
    )
    expected = {
        "escape_rate": (escape.mean(), *limits["escape"]),
        "overkill_rate": (overkill.mean(), *limits["overkill"]),
        "balanced_accuracy": (1 - (escape.mean() + overkill.mean()) / 2, 1 - sums[1], 1 - sums[0]),
    }
    for key, figures in expected.items():
        figure = result[f"{key}_by_group"]
        assert (figure["value"], figure["low"], figure["high"]) == pytest.approx(figures)
    mean_logits = frame.groupby("group")["logit"].mean()
    assert result["auroc_by_group"]["value"] == pytest.approx(sk.roc_auc_score(normal, mean_logits))
    sizes = frame.groupby("group").size()
    assert result["n_groups_effective"] == pytest.approx(400**2 / (sizes**2).sum())
    assert (result["n_groups_normal"], result["n_groups_defective"]) == (25, 25)


def test_auroc_is_taken_within_a_fit_and_averaged() -> None:
    frame = random_table(3, files=300, groups=60, folds=3)
    frame["logit"] += 100.0 * frame["fold"]  # models on different scales
    result = split_metrics(frame)
    by_file, by_group = [], []
    for _, fold in frame.groupby("fold"):
        by_file.append(sk.roc_auc_score(fold["label"] == "normal", fold["logit"]))
        means = fold.groupby(["label", "group"])["logit"].mean().reset_index()
        by_group.append(sk.roc_auc_score(means["label"] == "normal", means["logit"]))
    assert result["auroc"] == pytest.approx(np.mean(by_file))
    assert result["auroc_by_group"]["value"] == pytest.approx(np.mean(by_group))


def test_aurocs_interval_is_that_of_a_bootstrap_by_hand() -> None:
    frame = random_table(11, files=500, groups=80)
    means = frame.groupby(["label", "group"])["logit"].mean()
    bad, good = means["defective"].to_numpy(), means["normal"].to_numpy()
    generator, areas = np.random.default_rng(0), []
    for _ in range(2_000):
        above = generator.choice(good, len(good))[:, None] > generator.choice(bad, len(bad))
        areas.append(above.mean())
    figure = split_metrics(frame)["auroc_by_group"]
    by_hand = tuple(np.quantile(areas, [0.025, 0.975]))
    assert (figure["low"], figure["high"]) == pytest.approx(by_hand, abs=0.01)


def test_each_row_keeps_its_own_threshold_and_a_tie_is_defective() -> None:
    frame = table([1, 1, 0, 0], [0.5, 0.6, 0.6, 0.7], threshold=[0.5, 0.5, 0.6, 0.6])
    result = split_metrics(frame)
    assert result["confusion"] == {"TP": 1, "FN": 1, "FP": 1, "TN": 1}
    assert result["threshold"] is None
    assert split_metrics(frame.assign(threshold=0.3))["threshold"] == 0.3


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_leaves_figures_undefined(label: int) -> None:
    result = split_metrics(table([label] * 3, [0.2, 0.7, 0.9]))
    missing = "overkill_rate" if label == 0 else "escape_rate"
    nothing = {"value": None, "low": None, "high": None}
    for key in (missing, "balanced_accuracy", "auroc"):
        assert result[key] is None
        assert result[f"{key}_by_group"] == nothing
    present = "escape_rate" if label == 0 else "overkill_rate"
    assert result[f"{present}_by_group"]["value"] == pytest.approx(2 / 3 if label == 0 else 1 / 3)
    if label == 0:
        assert (result["precision"], result["recall"], result["f1"]) == (None, None, None)
    else:
        assert result["specificity"] is None
    json.dumps(result, allow_nan=False)


def test_without_a_pass_precision_is_undefined_and_f1_is_0() -> None:
    result = split_metrics(table([1, 0], [0.1, 0.1]))
    assert (result["precision"], result["f1"], result["auroc"]) == (None, 0.0, 0.5)


def test_a_group_with_both_labels_counts_in_both_classes() -> None:
    # group "both": normal 1 of 2 rejected, defective 0 of 1 passes
    frame = table(
        *([1, 1, 0, 1, 0, 0], [0.9, 0.1, 0.1, 0.9, 0.9, 0.1]),
        group=["both", "both", "both", "good", "bad", "bad"],
    )
    result = split_metrics(frame)
    assert [result[f"n_groups{part}"] for part in ("", "_normal", "_defective")] == [3, 2, 2]
    assert result["overkill_rate_by_group"]["value"] == pytest.approx((0.5 + 0.0) / 2)
    assert result["escape_rate_by_group"]["value"] == pytest.approx((0.0 + 0.5) / 2)
    assert result["n_groups_effective"] == pytest.approx(36 / (9 + 1 + 4))


def test_zero_errors_never_give_an_empty_interval() -> None:
    frame = table(
        [1] * 8 + [0] * 12, [0.9] * 8 + [0.1] * 12, group=[f"g{i // 2}" for i in range(20)]
    )
    result = split_metrics(frame)
    assert result["overkill_rate_by_group"] == {
        **{"value": 0.0, "low": 0.0},
        "high": pytest.approx(1 - 0.025 ** (1 / 4)),
    }
    assert result["escape_rate_by_group"]["high"] == pytest.approx(1 - 0.025 ** (1 / 6))
    assert result["balanced_accuracy_by_group"]["high"] == 1.0
    assert result["auroc_by_group"] == {
        **{"value": 1.0, "low": pytest.approx(0.025 ** (1 / 4)), "high": 1.0},
        "approximate": True,
    }


def test_perfect_folds_count_their_pairs_and_perfectly_wrong_ones_mirror() -> None:
    labels = [1, 1, 0, 0, 0] * 3
    frame = table(labels, [0.1 + 0.8 * label for label in labels], fold=[0] * 5 + [1] * 5 + [2] * 5)
    figure = split_metrics(frame)["auroc_by_group"]
    assert figure["low"] == pytest.approx(0.025 ** (1 / 6))
    wrong = split_metrics(frame.assign(p_normal=1 - frame["p_normal"]))["auroc_by_group"]
    assert (wrong["value"], wrong["low"]) == (0.0, 0.0)
    assert wrong["high"] == pytest.approx(1 - 0.025 ** (1 / 6))


def test_recurring_groups_are_not_counted_twice() -> None:
    labels = [1, 1, 0, 0]
    once = table(labels, [0.9, 0.8, 0.1, 0.2])
    twice = pd.concat([once.assign(seed=1), once.assign(seed=2)])
    result = split_metrics(twice)
    assert (result["n"], result["n_groups"]) == (8, 4)
    assert result["escape_rate_by_group"]["high"] == pytest.approx(1 - 0.025 ** (1 / 2))
    assert result["auroc_by_group"]["low"] == pytest.approx(0.025 ** (1 / 2))


def test_bootstrapped_intervals_say_when_they_are_approximate() -> None:
    few_errors = table([1, 0] * 50, [0.9, 0.1] * 49 + [0.1, 0.9])
    assert split_metrics(few_errors)["auroc_by_group"]["approximate"] is True
    enough = table([1, 0] * 50, [0.9, 0.1] * 40 + [0.1, 0.9] * 10)
    assert "approximate" not in split_metrics(enough)["auroc_by_group"]
    one_large = enough.assign(group=["large" if at % 2 else f"{at}" for at in range(100)])
    assert split_metrics(one_large)["auroc_by_group"]["approximate"] is True


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 30), st.integers(1, 3), st.randoms())
def test_neither_order_of_rows_nor_names_of_groups_change_a_digit(
    seed: int, groups: int, folds: int, random: Any
) -> None:
    frame = random_table(seed, files=3 * groups, groups=groups, folds=folds)
    result = all_metrics(frame)
    names = list(frame["group"].unique())
    random.shuffle(names)
    renamed = frame["group"].map(dict(zip(frame["group"].unique(), names, strict=True)))
    order = list(range(len(frame)))
    random.shuffle(order)
    assert all_metrics(frame.assign(group=renamed).iloc[order]) == result


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0, 1), st.integers(0, 5), st.integers(0, 2)),
        min_size=1,
        max_size=15,
    )
)
def test_intervals_contain_their_value_for_any_table(
    rows: list[tuple[bool, float, int, int]],
) -> None:
    labels, scores, groups, folds = map(list, zip(*rows, strict=True))
    frame = table(labels, scores, group=[f"g{at}" for at in groups], fold=folds)
    result = split_metrics(frame)
    for key in RATES:
        figure = result[f"{key}_by_group"]
        if figure["value"] is None:
            assert (figure["low"], figure["high"]) == (None, None)
        else:
            assert 0.0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1.0
            assert figure["low"] < figure["high"]
    json.dumps(result, allow_nan=False)


@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=2, max_size=20
    )
)
def test_weighted_auroc_is_that_of_repeated_rows(rows: list[tuple[int, bool, int]]) -> None:
    scores, normal, weights = (np.array(column) for column in zip(*rows, strict=True))
    ours = auroc(scores.astype(float), normal, weights[None, :].astype(float))[0]
    repeated = np.repeat(normal, weights)
    if len(np.unique(repeated)) < 2:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(sk.roc_auc_score(repeated, np.repeat(scores, weights)))


def test_auroc_of_nothing_is_undefined() -> None:
    assert np.isnan(auroc(np.array([]), np.array([], dtype=bool))).all()


def test_a_single_file_a_group_uses_its_rows_within_a_class_only() -> None:
    # defective files alone in their groups: exact; the normal group of two files is not
    frame = table(
        [0] * 20 + [1, 1], [0.9] * 3 + [0.1] * 17 + [0.9, 0.1], group=[*range(20), "n", "n"]
    )
    result = split_metrics(frame)
    exact = proportion_confint(3, 20, method="beta")
    figure = result["escape_rate_by_group"]
    assert (figure["low"], figure["high"]) == pytest.approx(exact)
    one = result["overkill_rate_by_group"]
    assert (one["low"], one["high"]) == pytest.approx(proportion_confint(0.5, 1.0, method="beta"))


def test_a_wrong_table_is_refused() -> None:
    with pytest.raises(UserError, match=r"row 2: p_normal is '2.0'"):
        all_metrics(table([1], [2.0]))
