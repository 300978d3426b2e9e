"""Score every candidate, choose inside each training part, and write the study's tables.

    python experiments/choosing.py STUDY RUNS

RUNS is the folder that experiments/sweep.py filled: RUNS/CANDIDATE/*/predictions.csv. Written into
STUDY/results: tried.csv (a row a candidate, threshold rule and partition), chosen.csv (what each
training part chose), summary.csv and table.md (means over partitions). Choices see rows of split
`val`, inner out-of-fold predictions, and nothing else. Where candidates.yaml says `per_fold: true`,
each test part has rows of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from casting_inspect.evaluation.decisions import decide
from casting_inspect.evaluation.metrics import split_metrics
from casting_inspect.evaluation.objective import group_log_loss
from casting_inspect.evaluation.predictions import read_predictions
from casting_inspect.evaluation.thresholds import shares_by_group
from casting_inspect.files import replace_csv, replace_text

HERE = Path(__file__).parent
AVERAGE = "average_of_probes"
NESTED = "nested_choice"
RULES = ("fixed", "youden")


def candidates(study: dict[str, Any]) -> dict[str, bool]:
    """Return every candidate's name, and whether the nested choice is among it."""
    return {
        name: bool(group.get("chosen_among"))
        for group in study["groups"].values()
        for name in group["candidates"]
    }


def finished(runs: Path, name: str) -> dict[int, tuple[Path, dict[str, Any]]]:
    """Return a candidate's finished runs by partition, each with its record."""
    found = {}
    for path in sorted((runs / name).glob("*/run.json")):
        record = json.loads(path.read_text("utf-8"))
        if record.get("status") == "finished":
            found[int(record["seeds"]["partition"])] = (path.parent, record)
    return found


def of_fold(table: pd.DataFrame, split: str, fold: int) -> pd.DataFrame:
    return table[(table["split"] == split) & (table["fold"] == fold)]


def threshold(rule: str, validation: pd.DataFrame) -> float:
    return decide(rule, {"threshold": 0.5}, validation).threshold


def inner_balanced_accuracy(rule: str, validation: pd.DataFrame) -> float:
    """Return balanced accuracy by group of inner predictions, each at the others' threshold."""
    decided = []
    for inner in sorted(validation["inner"].unique()):
        here = validation["inner"] == inner
        decided.append(
            validation[here].assign(
                threshold=threshold(rule, validation[~here]) if rule != "fixed" else 0.5
            )
        )
    rows = pd.concat(decided)
    normal = (rows["label"] == "normal").to_numpy()
    wrong = (rows["p_normal"].to_numpy() > rows["threshold"].to_numpy()) != normal
    return float(1 - (shares_by_group(rows, normal) * wrong).sum() / 2)


def decided(table: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Return the test rows with the threshold that each fold's inner predictions give."""
    folds = sorted(table["fold"].unique())
    return pd.concat(
        of_fold(table, "test", fold).assign(threshold=threshold(rule, of_fold(table, "val", fold)))
        for fold in folds
    )


def averaged(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the mean logit of several candidates on the same rows."""
    keys = ["split", "fold", "inner", "path"]
    ordered = [table.sort_values(keys, kind="stable", ignore_index=True) for table in tables]
    for table in ordered[1:]:
        assert table[keys].equals(ordered[0][keys]), "candidates differ in their rows"
    logit = np.mean([table["logit"] for table in ordered], axis=0)
    return ordered[0].assign(logit=logit, p_normal=1 / (1 + np.exp(-logit)), model=AVERAGE)


def figures(rows: pd.DataFrame) -> dict[str, Any]:
    """Return what the tables show of test rows."""
    found = split_metrics(rows)
    wide = {**found, **found.get("by_group_wide", {})}
    areas = [each["auroc_by_group"]["value"] for each in (found, wide)]
    return {
        "balanced_accuracy": found["headline"]["value"],
        "low": found["headline"]["low"],
        "high": found["headline"]["high"],
        "grouping": found["headline"]["grouping"],
        "balanced_accuracy_group": found["balanced_accuracy_by_group"]["value"],
        "balanced_accuracy_group_wide": wide["balanced_accuracy_by_group"]["value"],
        "auroc_over_groups": min(areas),
        "escape_rate": found["escape_rate_by_group"]["value"],
        "overkill_rate": found["overkill_rate_by_group"]["value"],
        "balanced_accuracy_by_file": found["balanced_accuracy"],
        "groups": found["n_groups"],
        "groups_normal": found["n_groups_normal"],
        "files": found["n"],
    }


def nested(tables: dict[str, pd.DataFrame], partition: int) -> tuple[pd.DataFrame, list[dict]]:
    """Return the test rows of what each training part chose, and the choices."""
    first = next(iter(tables.values()))
    rows, choices = [], []
    for fold in sorted(first["fold"].unique()):
        inner = {name: of_fold(table, "val", fold) for name, table in tables.items()}
        losses = {name: group_log_loss(table) for name, table in inner.items()}
        name = min(losses, key=losses.__getitem__)
        accuracies = {rule: inner_balanced_accuracy(rule, inner[name]) for rule in RULES}
        rule = "youden" if accuracies["youden"] > accuracies["fixed"] else "fixed"
        test = of_fold(tables[name], "test", fold)
        rows.append(test.assign(threshold=threshold(rule, inner[name])))
        choices.append(
            {
                **{"partition": partition, "fold": fold, "candidate": name, "rule": rule},
                **{"inner_log_loss": losses[name], "inner_balanced_accuracy": accuracies[rule]},
            }
        )
    return pd.concat(rows), choices


def write_csv(rows: Iterable[dict[str, Any]], path: Path) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    replace_csv(path, table, "%.5f")
    return table


def main() -> None:
    folder, runs = HERE / sys.argv[1], Path(sys.argv[2])
    results = folder / "results"
    study = yaml.safe_load((folder / "candidates.yaml").read_text("utf-8"))
    per_fold = bool(study.get("per_fold"))
    tried: list[dict[str, Any]] = []
    chosen: list[dict[str, Any]] = []
    by_partition: dict[int, dict[str, pd.DataFrame]] = {}
    among = [name for name, chosen_among in candidates(study).items() if chosen_among]
    for name in candidates(study):
        for partition, (run, record) in finished(runs, name).items():
            table = read_predictions(run / "predictions.csv")
            if name in among:
                by_partition.setdefault(partition, {})[name] = table
            facts = {
                "commit": record["commit"]["id"][:12] if record.get("commit") else "",
                "data": record["digests"]["data"][:12],
                "weights": record["digests"]["weights"][:12],
                "seed": record["seeds"]["seed"],
            }
            tried += scored(name, partition, table, facts, per_fold)
    for partition, tables in sorted(by_partition.items()):
        if set(tables) != set(among):
            missing = sorted(set(among) - set(tables))
            print(f"partition {partition}: {missing} not finished; no choice")
            continue
        tables[AVERAGE] = averaged(list(tables.values()))
        tried += scored(AVERAGE, partition, tables[AVERAGE], {}, per_fold)
        rows, choices = nested(tables, partition)
        chosen += choices
        name = {"candidate": NESTED, "rule": "chosen", "partition": partition}
        tried += [
            {**name, "test_part": part, **figures(some)} for part, some in parts(rows, per_fold)
        ]
    table = write_csv(tried, results / "tried.csv")
    if chosen:
        write_csv(chosen, results / "chosen.csv")
    summarise(table, results)


def parts(rows: pd.DataFrame, per_fold: bool) -> list[tuple[str, pd.DataFrame]]:
    """Return the test rows as a whole, or those of each fold, with what the part is called."""
    if not per_fold:
        return [("all folds", rows)]
    return [(f"fold {fold}", some) for fold, some in rows.groupby("fold")]


def scored(
    name: str, partition: int, table: pd.DataFrame, facts: dict[str, Any], per_fold: bool
) -> list[dict[str, Any]]:
    """Return a row for each threshold rule and test part."""
    folds = sorted(table["fold"].unique())
    losses = {fold: group_log_loss(of_fold(table, "val", fold)) for fold in folds}
    rows = []
    for rule in RULES:
        for part, some in parts(decided(table, rule), per_fold):
            inner = [losses[fold] for fold in some["fold"].unique()]
            rows.append(
                {
                    **{"candidate": name, "rule": rule, "partition": partition, "test_part": part},
                    **figures(some),
                    "inner_log_loss": float(np.mean(inner)),
                    **facts,
                }
            )
    return rows


def summarise(tried: pd.DataFrame, results: Path) -> None:
    """Write means, deviations and ranges over partitions, and the same to read."""
    groups = tried.groupby(["test_part", "candidate", "rule"], sort=False)
    table = groups.agg(
        partitions=("partition", "nunique"),
        mean=("balanced_accuracy", "mean"),
        sd=("balanced_accuracy", "std"),
        lowest=("balanced_accuracy", "min"),
        highest=("balanced_accuracy", "max"),
        auroc=("auroc_over_groups", "mean"),
        escape_rate=("escape_rate", "mean"),
        overkill_rate=("overkill_rate", "mean"),
        by_file=("balanced_accuracy_by_file", "mean"),
    ).reset_index()
    write_csv(table.to_dict("records"), results / "summary.csv")
    lines = [
        "| test part | candidate | threshold | partitions | balanced accuracy by group | range |"
        " AUC over groups | escape | overkill | balanced accuracy by file |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in table.itertuples():
        spread = "" if np.isnan(row.sd) else f" +- {row.sd:.3f}"
        bold = "**" if row.candidate == NESTED else ""
        lines.append(
            f"| {row.test_part} | {bold}{row.candidate}{bold} | {row.rule} | {row.partitions} | "
            f"{bold}{row.mean:.3f}{spread}{bold} | {row.lowest:.3f} to {row.highest:.3f} | "
            f"{row.auroc:.3f} | {row.escape_rate:.3f} | {row.overkill_rate:.3f} | "
            f"{row.by_file:.3f} |"
        )
    replace_text(results / "table.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
