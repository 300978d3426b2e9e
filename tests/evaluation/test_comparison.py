"""Runs pooled by model, their figures and tests, against scipy, sklearn and hand-worked cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated_runs import castings, predictions, write_run
from sklearn.metrics import balanced_accuracy_score
from statsmodels.stats.multitest import multipletests

from casting_inspect.errors import UserError
from casting_inspect.evaluation import differences
from casting_inspect.evaluation.comparison import Comparison, compare, default_reference
from casting_inspect.evaluation.contenders import contender
from casting_inspect.evaluation.gathering import Run, gather
from casting_inspect.evaluation.pooling import averaged_over_seeds
from casting_inspect.evaluation.predictions import complete_predictions
from casting_inspect.evaluation.significance import training_ratio
from casting_inspect.evaluation.variants import named
from casting_inspect.labels import DEFECTIVE, NORMAL

FILES = castings()


def compared(folder: Path, reference: str | None = None) -> Comparison:
    return compare(named(gather([folder]).runs), reference)


def run(model: str, table: pd.DataFrame, **record: object) -> Run:
    whole = complete_predictions(table)
    return Run(model, None, model, whole, {}, dict(record), {})


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder: a floor and two heads of VGG-19 over 3 partitions, a network over one."""
    root = tmp_path_factory.mktemp("sweep")
    for partition in range(3):
        table = predictions(FILES, "floor_histogram", skill=0.3, partition=partition)
        write_run(root / f"floor_{partition}", table, finetune=None)
        for seed in (1, 2):
            for head, skill in (("gap", 2.0), ("attention", 3.0)):
                table = predictions(FILES, "vgg19", skill=skill, seed=seed, partition=partition)
                folder = root / head / f"{partition}_{seed}"
                write_run(folder, table, config={"model.head": head})
    write_run(root / "cnn", predictions(FILES, "cnn", skill=1.5), finetune="full")
    return root


def test_runs_are_pooled_by_model_and_setting(sweep: Path) -> None:
    found = compared(sweep)
    assert [one.name for one in found.contenders] == [
        *("floor_histogram", "cnn", "vgg19 head=attention", "vgg19 head=gap"),
    ]
    assert [len(one.runs) for one in found.contenders] == [3, 1, 6, 6]
    assert [one.seeds for one in found.contenders] == [1, 1, 2, 2]
    assert [one.trained for one in found.contenders] == ["floor", "end to end", "frozen", "frozen"]
    assert [one.partitions for one in found.contenders] == [[0, 1, 2], [0], [0, 1, 2], [0, 1, 2]]


def test_one_run_has_the_figures_of_its_table(sweep: Path) -> None:
    cnn = compared(sweep).named("cnn")
    table = predictions(FILES, "cnn", skill=1.5)
    passes = (table["p_normal"] > 0.5).to_numpy()
    truth = (table["label"] == "normal").to_numpy()
    assert cnn.figures["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, passes))
    wrong = pd.Series((passes != truth).astype(float)).groupby(table["group"].to_numpy()).mean()
    escape = wrong[wrong.index.str.startswith("defective")].mean()
    overkill = wrong[wrong.index.str.startswith("normal")].mean()
    assert cnn.figures["escape_rate_by_group"]["value"] == pytest.approx(escape)
    by_group = cnn.figures["balanced_accuracy_by_group"]["value"]
    assert by_group == pytest.approx(1 - (escape + overkill) / 2)
    assert cnn.spread["folds"].count == 5
    assert cnn.spread["seeds"].mean == cnn.spread["partitions"].mean == pytest.approx(by_group)
    assert cnn.spread["seeds"].sd is None


def test_seeds_are_averaged_to_one_score_and_never_add_to_n() -> None:
    seeds = [predictions(FILES, "m", seed=seed) for seed in range(4)]
    one = contender("m", [run("m", seeds[0])])
    four = contender("m", [run("m", pd.concat(seeds))])
    assert four.figures["n"] == one.figures["n"] == len(FILES)
    mean = sum(table["logit"] for table in seeds) / 4
    expected = FILES.assign(p_normal=1 / (1 + np.exp(-mean)), threshold=0.5, partition=0)
    rates = differences.error_rates(expected, DEFECTIVE)
    assert four.figures["escape_rate_by_group"]["value"] == pytest.approx(rates.mean())
    same = contender("m", [run("m", pd.concat(seeds[0].assign(seed=seed) for seed in range(9)))])
    assert same.figures["escape_rate_by_group"] == one.figures["escape_rate_by_group"]
    assert same.by_file == one.by_file


def test_each_seeds_threshold_is_averaged_as_log_odds() -> None:
    two = pd.DataFrame(
        {"path": "a", "label": "normal", "p_normal": [0.9, 0.3], "threshold": [0.8, 0.5]}
    ).assign(seed=[1, 2])
    (row,) = averaged_over_seeds(complete_predictions(two)).to_dict("records")
    odds = (0.9 / 0.1 * 0.3 / 0.7) ** 0.5
    limit = (0.8 / 0.2 * 1.0) ** 0.5
    assert row["p_normal"] == pytest.approx(odds / (1 + odds))
    assert row["threshold"] == pytest.approx(limit / (1 + limit))
    assert row["logit"] == pytest.approx(np.log(odds))


def test_a_seed_that_lacks_a_fold_is_said() -> None:
    seeds = [predictions(FILES, "m", seed=seed) for seed in range(2)]
    assert contender("m", [run("m", pd.concat(seeds))]).even
    seeds[1] = seeds[1][seeds[1]["fold"] != 3]
    assert not contender("m", [run("m", pd.concat(seeds))]).even


def test_a_single_seed_keeps_its_row_to_the_last_bit() -> None:
    table = complete_predictions(predictions(FILES, "m"))
    table.loc[0, ["p_normal", "threshold", "logit"]] = [0.3, 0.3, 5.0]  # of another calibration
    kept = averaged_over_seeds(table).set_index("path")
    assert kept.loc[table["path"], ["p_normal", "threshold", "logit"]].to_numpy().tolist() == (
        table[["p_normal", "threshold", "logit"]].to_numpy().tolist()
    )


def test_the_lower_balanced_accuracy_of_both_groupings_is_the_headline() -> None:
    # joined, the two bad normal groups weigh one in two instead of two in three
    table = pd.DataFrame(
        {
            "path": list("abcdef"),
            "label": ["normal"] * 3 + ["defective"] * 3,
            "group": list("abcdef"),
            "group_wide": ["ab", "ab", "c", "d", "e", "f"],
            "p_normal": [0.1, 0.1, 0.9, 0.1, 0.1, 0.1],
        }
    )
    found = contender("m", [run("m", table)])
    assert found.grouping == "group"
    values = [found.under[one]["balanced_accuracy_by_group"]["value"] for one in found.under]
    assert values == pytest.approx([1 - (2 / 3) / 2, 1 - (1 / 2) / 2])
    assert contender("m", [run("m", table.drop(columns="group_wide"))]).under.keys() == {"group"}


def test_every_test_is_what_its_own_function_gives(sweep: Path) -> None:
    found = compared(sweep, "vgg19 head=gap")
    other, reference = found.named("floor_histogram"), found.named("vgg19 head=gap")
    tests = {test.what: test for test in found.tests if test.model == "floor_histogram"}
    assert set(tests) == {"escapes", "overkills", "balanced accuracy"}
    for what, label in (("escapes", DEFECTIVE), ("overkills", NORMAL)):
        rates = [differences.error_rates(one.table, label) for one in (other, reference)]
        gap = rates[0] - rates[1]
        assert tests[what].p == differences.sign_flip(gap).p
        assert tests[what].difference == pytest.approx(gap.mean())
    folds = [differences.fold_balanced_accuracy(one.table) for one in (other, reference)]
    gap = (folds[0] - folds[1]).to_numpy()
    t = gap.mean() / ((1 / 15 + 1 / 4) * gap.var(ddof=1)) ** 0.5
    assert tests["balanced accuracy"].p == pytest.approx(2 * stats.t.sf(abs(t), 14))
    p = [test.p for test in found.tests]
    holm = multipletests(p, method="holm")[1]
    assert [test.p_holm for test in found.tests] == pytest.approx(holm)
    assert len(p) == 3 + 3 + 2  # the network has one partition: nothing over folds


def test_tests_are_paired_on_the_partitions_in_common(sweep: Path) -> None:
    found = compared(sweep, "cnn")
    reference = found.named("cnn").table
    other = found.named("vgg19 head=gap").table
    first = other[other["partition"] == 0]
    gap = differences.error_rates(first, NORMAL) - differences.error_rates(reference, NORMAL)
    (test,) = (t for t in found.tests if (t.model, t.what) == ("vgg19 head=gap", "overkills"))
    assert test.difference == pytest.approx(gap.mean())


def test_mcnemar_only_where_every_group_is_one_file() -> None:
    alone = castings(20, 20, copies=1)
    for files, expected in ((alone, {"escapes", "overkills", "files"}), (FILES, None)):
        runs = {name: [run(name, predictions(files, name, count=1))] for name in ("a", "bb")}
        whats = {test.what for test in compare(runs).tests}
        assert whats == (expected or {"escapes", "overkills"})


def test_groups_of_possible_links_are_the_units_of_tests() -> None:
    files = castings(wide=True)
    runs = {name: [run(name, predictions(files, name))] for name in ("a", "bb")}
    (test,) = (test for test in compare(runs).tests if test.what == "escapes")
    assert test.evidence.endswith("of 7 groups differ")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["vgg19", "cnn"], "cnn"),
        (["vgg19", "floor_pixels", "floor_background"], "floor_background"),
        (["floor_background", "vgg19", "floor_histogram"], "floor_histogram"),
    ],
)
def test_the_reference_is_never_the_best_but_a_floor_or_the_first(
    names: list[str], expected: str
) -> None:
    assert default_reference(names) == expected


def test_an_unknown_reference_is_one_line(sweep: Path) -> None:
    with pytest.raises(
        UserError, match=r"reference=vgg19 head=gab: .* Did you mean 'vgg19 head=gap'"
    ):
        compared(sweep, "vgg19 head=gab")


def claims_of(seeds: int, finetune: str, skill: float = 9.0) -> list[str]:
    files = castings(30, 30, copies=2)
    floor = [run("floor_histogram", predictions(files, "floor_histogram", skill=0.0))]
    tables = [predictions(files, "net", skill=skill, seed=seed) for seed in range(seeds)]
    net = [run("net", table, paths_taken={"finetune": finetune}) for table in tables]
    return [test.claim for test in compare({"floor_histogram": floor, "net": net}).tests]


def test_five_seeds_before_a_network_trained_end_to_end_is_called_better() -> None:
    better = [
        "fewer escapes than floor_histogram",
        "fewer good parts rejected than floor_histogram",
    ]
    assert claims_of(5, "full") == better
    assert claims_of(1, "frozen") == better
    for claim in claims_of(4, "full"):
        assert claim.endswith("no claim yet: 5 seeds are needed (net has 4)")
    assert claims_of(5, "full", skill=0.1) == ["no difference shown"] * 2


def test_few_groups_that_differ_are_said_to_be_few() -> None:
    files = castings(8, 8, copies=1)
    one = predictions(files, "a", skill=9.0)
    two = one.assign(model="bb", p_normal=one["p_normal"].where(one.index != 0, 0.1))
    tests = compare({"a": [run("a", one)], "bb": [run("bb", two)]}).tests
    remarks = {test.what: test.remark for test in tests}
    assert remarks["overkills"] == "fewer than 6 differ: p cannot fall below 1"
    assert {test.what: test.p for test in tests}["escapes"] == 1.0


def test_the_ratio_of_parts_comes_from_folds_or_from_the_configuration() -> None:
    table = complete_predictions(predictions(FILES, "m"))
    assert training_ratio([], table) == pytest.approx(1 / 4)
    one = table.assign(fold=0)
    config = {"data": {"split": "file", "test_fraction": 0.4}}
    assert training_ratio([Run("r", None, "m", one, config)], one) == pytest.approx(0.4 / 0.6)
    config = {"data": {"split": "group", "folds": 10}}
    assert training_ratio([Run("r", None, "m", one, config)], one) == pytest.approx(1 / 9)
    assert training_ratio([Run("r", None, "m", one)], one) is None


def test_order_of_rows_and_runs_changes_nothing() -> None:
    tables = [predictions(FILES, "m", seed=seed, partition=seed % 2) for seed in range(4)]
    first = contender("m", [run("m", table) for table in tables])
    shuffled = [table.sample(frac=1.0, random_state=3) for table in reversed(tables)]
    second = contender("m", [run("m", table) for table in shuffled])
    assert first.figures == second.figures
    assert first.by_file == second.by_file
    assert first.spread == second.spread
