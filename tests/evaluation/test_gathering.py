"""What is read below a folder, how models are named, and what is refused with which words."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from simulated_runs import castings, predictions, write_run

from casting_inspect.errors import UserError
from casting_inspect.evaluation.gathering import Run, gather
from casting_inspect.evaluation.predictions import write_predictions
from casting_inspect.evaluation.variants import named

FILES = castings(4, 5, copies=2)


def names_below(*sources: Path) -> dict[str, list[str]]:
    pooled = named(gather(sources).runs)
    return {model: [run.name for run in runs] for model, runs in pooled.items()}


def refusal(*sources: Path) -> str:
    with pytest.raises(UserError) as caught:
        named(gather(sources).runs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_runs_are_found_at_any_depth_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9):
        write_run(tmp_path / f"{number}_m", predictions(FILES, "m", seed=number))
    write_run(tmp_path / "a" / "b", predictions(FILES, "n"))
    assert names_below(tmp_path) == {"m": ["9_m", "10_m"], "n": ["a/b"]}
    assert names_below(tmp_path / "9_m") == {"m": ["9_m"]}


def test_a_run_over_all_folds_is_taken_from_the_top(tmp_path: Path) -> None:
    table = predictions(FILES, "m")
    write_run(tmp_path / "all", table)
    write_run(tmp_path / "all" / "fold_0", table[table["fold"] == 0])
    assert names_below(tmp_path) == {"m": ["all"]}


def test_what_is_not_finished_is_left_out_and_listed(tmp_path: Path) -> None:
    write_run(tmp_path / "good", predictions(FILES, "m"))
    write_run(tmp_path / "cut", predictions(FILES, "m", seed=1), status="stopped")
    write_run(tmp_path / "cut" / "fold_0", predictions(FILES, "m", seed=2))
    write_run(tmp_path / "blind", predictions(FILES, "m", seed=3).assign(split="val"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "run.json").write_text("{}", encoding="utf-8")
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "train.log").touch()
    assert gather([tmp_path]).left_out == (
        ("blind", "no test rows in predictions.csv"),
        ("cut", "not finished (status: stopped)"),
        ("empty", "no predictions.csv: failed, or nothing was measured"),
        ("lost", "no predictions.csv: failed, or nothing was measured"),
    )


def test_inner_and_validation_rows_are_not_test_rows(tmp_path: Path) -> None:
    table = predictions(FILES, "m")
    inner = table.assign(split="val", inner="0")
    write_run(tmp_path / "r", pd.concat([table, inner]))
    (run,) = gather([tmp_path]).runs
    assert len(run.table) == len(FILES)
    write_predictions(inner, tmp_path / "inner.csv")
    assert "no row has split 'test'" in refusal(tmp_path / "inner.csv")


def test_variants_are_told_apart_by_the_fewest_settings(tmp_path: Path) -> None:
    settings = {
        "gap": {"model.head": "gap", "augment.turn": "none"},
        "attention": {"model.head": "attention", "augment.turn": "any"},
        "twice": {"model.head": "gap", "augment.turn": "none", "finetune.head_lr": 0.01},
    }
    for number, (name, config) in enumerate(settings.items()):
        config = {"finetune.head_lr": 0.001, "data.root": f"/{name}/data", **config}
        write_run(tmp_path / name, predictions(FILES, "vgg19", seed=number), config=config)
    assert names_below(tmp_path) == {
        "vgg19 head=attention head_lr=0.001": ["attention"],
        "vgg19 head=gap head_lr=0.001": ["gap"],
        "vgg19 head=gap head_lr=0.01": ["twice"],
    }


def test_seed_fold_partition_and_place_make_no_other_model(tmp_path: Path) -> None:
    for seed in (1, 2):
        for partition in (0, 1):
            config = {
                "data.root": f"here{seed}",
                "trainer.accelerator": f"a{seed}",
                "model.weights": f"/somewhere/{seed}/vgg.pth",
            }
            table = predictions(FILES, "m", seed=seed, partition=partition)
            write_run(tmp_path / f"{seed}_{partition}", table, config=config)
    assert list(names_below(tmp_path)) == ["m"]


def test_weights_of_one_name_and_other_content_are_another_model(tmp_path: Path) -> None:
    for letter in "ab":
        digests = {"data": "d", "weights": letter * 64}
        table = predictions(FILES, "m", seed=ord(letter))
        config = {"model.weights": f"{letter}/vgg.pth"}
        write_run(tmp_path / letter, table, config=config, digests=digests)
    assert list(names_below(tmp_path)) == [
        "m weights digest=aaaaaaaa",
        "m weights digest=bbbbbbbb",
    ]


def test_foreign_tables_take_their_name_from_column_or_file(tmp_path: Path) -> None:
    columns = ["path", "label", "group", "fold", "p_normal"]
    table = predictions(FILES, "x")
    table[columns].to_csv(tmp_path / "other_tool.csv", index=False)
    both = [table.assign(model=name)[[*columns, "model"]] for name in ("one", "two")]
    pd.concat(both).to_csv(tmp_path / "both.csv", index=False)
    write_run(tmp_path / "runs" / "r", table)
    sources = [tmp_path / "runs", tmp_path / "other_tool.csv", tmp_path / "both.csv"]
    assert names_below(*sources) == {
        **{"one": ["both.csv"], "other_tool": ["other_tool.csv"]},
        **{"two": ["both.csv"], "x": ["r"]},
    }


def test_a_foreign_table_of_the_same_name_is_another_model(tmp_path: Path) -> None:
    table = predictions(FILES, "vgg19")
    write_run(tmp_path / "runs", table)
    table.to_csv(tmp_path / "theirs.csv", index=False)
    names = list(names_below(tmp_path / "runs", tmp_path / "theirs.csv"))
    assert names == ["vgg19", "vgg19 table=theirs.csv"]


def test_a_foreign_table_without_groups_takes_those_of_the_runs(tmp_path: Path) -> None:
    table = predictions(FILES, "m")
    write_run(tmp_path / "r", table)
    table[["path", "label", "fold", "p_normal"]].to_csv(tmp_path / "t.csv", index=False)
    first, second = gather([tmp_path / "r", tmp_path / "t.csv"]).runs
    expected = first.table.set_index("path")["group"]
    assert second.table.set_index("path")["group"].equals(expected)


def test_other_test_files_are_refused_with_an_example(tmp_path: Path) -> None:
    table = predictions(FILES, "m")
    write_run(tmp_path / "a", table)
    write_run(tmp_path / "b", table[table["path"] != table["path"][3]].assign(model="n"))
    message = refusal(tmp_path)
    fold, path = table["fold"][3], table["path"][3]
    assert message == (
        f"partition 0, fold {fold}: the test files of a and b differ in 1 files (such as {path}); "
        "compare runs of the same split."
    )


@pytest.mark.parametrize(("column", "word"), [("label", "label"), ("group", "group")])
def test_other_labels_or_groups_are_refused(tmp_path: Path, column: str, word: str) -> None:
    table = predictions(FILES, "m")
    write_run(tmp_path / "a", table)
    other = table.assign(model="n")
    other.loc[0, column] = {"label": "defective", "group": "another"}[column]
    write_run(tmp_path / "b", other)
    message = refusal(tmp_path)
    assert f"a and b disagree on the {word} of 1 test files (such as {table['path'][0]})" in message


def test_a_missing_fold_is_refused_and_a_missing_partition_is_not(tmp_path: Path) -> None:
    table = predictions(FILES, "m")
    write_run(tmp_path / "a", table)
    write_run(tmp_path / "b", predictions(FILES, "n", partition=1))
    assert list(names_below(tmp_path)) == ["m", "n"]
    write_run(tmp_path / "c", table[table["fold"] != 2].assign(model="o"))
    message = refusal(tmp_path)
    assert message.startswith("partition 0: o has no test predictions of fold 2, m has;")


def test_other_data_is_refused_and_both_are_named(tmp_path: Path) -> None:
    for letter in "abcde":
        digest = ("1" if letter == "e" else "2") * 64
        write_run(tmp_path / letter, predictions(FILES, letter), digest=digest)
    message = refusal(tmp_path)
    assert "a, b, c and 1 more from data 222222222222; e from data 111111111111" in message


def test_the_same_fit_twice_is_refused(tmp_path: Path) -> None:
    for letter in "ab":
        write_run(tmp_path / letter, predictions(FILES, "m", seed=5))
    assert refusal(tmp_path) == (
        "a and b are both m with partition 0, fold 0, seed 5: take one of them away."
    )


def test_nothing_to_compare_is_one_line(tmp_path: Path) -> None:
    assert "no finished run with test predictions found." in refusal(tmp_path)
    assert "no such folder or file" in refusal(tmp_path / "nowhere")
    write_run(tmp_path / "r", predictions(FILES, "m"), status="running")
    assert "(r: not finished (status: running))" in refusal(tmp_path)


def test_a_broken_record_is_one_line(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", predictions(FILES, "m"))
    (folder / "metrics.json").write_text("{", encoding="utf-8")
    assert "metrics.json: not JSON" in refusal(tmp_path)


def test_a_record_of_another_shape_does_no_harm(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", predictions(FILES, "m"))
    (folder / "run.json").write_text(json.dumps([1]), encoding="utf-8")
    (run,) = gather([tmp_path]).runs
    assert isinstance(run, Run)
    assert run.record == {}
