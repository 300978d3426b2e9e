"""Write the learning curve's tables and figure, and the test that was fixed beforehand.

    python experiments/learning_curve/collect.py CURVE

CURVE holds the sweeps of the README. Written: results/orders.csv (a row a model, size, number of
copies, partition and outer fold), curve.csv (means over orders), non_inferiority.csv, curve.png.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy import stats

from casting_inspect.evaluation.differences import corrected_t
from casting_inspect.evaluation.figure_style import blank, save_figure, style
from casting_inspect.evaluation.metrics import split_metrics
from casting_inspect.evaluation.predictions import read_predictions
from casting_inspect.files import replace_csv

RESULTS = Path(__file__).parent / "results"
MARGIN = 0.02
FOLDS = 5
BY_FILE = "by_file"
"""Models of the control have this in their folder's name."""
LINES = {"1": ":", "3": "--", "all": "-"}
"""Of the numbers of copies a photograph."""


def rows_of(model: str, run: Path) -> list[dict[str, Any]]:
    """Return a row for each test part of a finished run."""
    record = json.loads((run / "run.json").read_text("utf-8"))
    if record.get("status") != "finished":
        return []
    data = yaml.safe_load((run / "config.yaml").read_text("utf-8"))["data"]
    table = read_predictions(run / "predictions.csv")
    manifest = pd.read_csv(run / "manifest.csv", dtype=str, keep_default_na=False)
    unit = "group_wide" if "group_wide" in manifest else "group"
    pure = manifest.groupby(unit)["label"].transform("nunique") == 1
    good = set(manifest.loc[pure & (manifest["label"] == "normal"), unit])
    rows = []
    for fold, some in table[table["split"] == "test"].groupby("fold"):
        figures = split_metrics(some)
        tested = set(some.loc[some["label"] == "normal", unit])
        rows.append(
            {
                **{"model": model, "train_size": data["train_size"]},
                "good_photographs": ""
                if BY_FILE in model
                else photographs(data["train_size"], len(good - tested)),
                "copies": data["copies"] or "all",
                **{"partition": data["partition"], "fold": fold},
                "balanced_accuracy": figures["headline"]["value"],
                "balanced_accuracy_by_file": figures["balanced_accuracy"],
                "commit": (record.get("commit") or {"id": ""})["id"][:12],
                "data": record["digests"]["data"][:12],
            }
        )
    return rows


def photographs(train_size: float, in_training: int) -> int:
    """Return how many good photographs trained: a share up to 1 of all, or a number above."""
    return round(train_size * in_training) if train_size <= 1 else round(train_size)


def non_inferiority(orders: pd.DataFrame) -> list[dict[str, Any]]:
    """Compare 60 % with all photographs of each model, all copies, paired by order."""
    found = []
    for model, rows in orders[orders["copies"] == "all"].groupby("model"):
        pairs = rows.pivot_table(
            index=["partition", "fold"], columns="train_size", values="balanced_accuracy"
        )
        if 0.6 not in pairs or 1.0 not in pairs:
            continue
        differences = (pairs[0.6] - pairs[1.0]).dropna().to_numpy()
        if len(differences) < 2:
            continue
        ratio = 1 / (FOLDS - 1)
        if BY_FILE in str(model):
            ratio = 0.4 / 0.6
        result = corrected_t(differences, ratio)
        spread = np.sqrt((1 / len(differences) + ratio) * differences.var(ddof=1))
        lower = differences.mean() - stats.t.ppf(0.95, len(differences) - 1) * spread
        found.append(
            {
                **{"model": model, "orders": len(differences), "difference": differences.mean()},
                **{"lower_95_one_sided": lower, "margin": -MARGIN},
                **{"not_inferior": bool(lower > -MARGIN), "p_two_sided": result.p},
            }
        )
    return found


def write_csv(rows: Any, name: str) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    replace_csv(RESULTS / name, table, "%.5f")
    return table


def draw(curve: pd.DataFrame) -> None:
    """Draw both curves: new photographs, and copies of the photographs that were learnt."""
    by_file = curve["model"].str.contains(BY_FILE)
    with style():
        figure = blank(10.0, 4.6)
        left, right = figure.subplots(1, 2, sharey=True)
        colours: dict[str, str] = {}
        for number, (model, rows) in enumerate(curve[~by_file].groupby("model")):
            colours[str(model)] = f"C{number}"
            for copies, line in LINES.items():
                some = rows[rows["copies"].astype(str) == copies].sort_values("good_photographs")
                if len(some):
                    given = {"marker": "o", "linestyle": line, "color": colours[str(model)]}
                    label = f"{model}, {copies} {'copy' if copies == '1' else 'copies'}"
                    left.plot(some["good_photographs"], some["mean"], label=label, **given)
        left.set_xlabel("good photographs that train (defective ones in proportion)")
        left.set_ylabel("balanced accuracy")
        left.set_title("new photographs, each weighs the same")
        left.legend(fontsize=8, handlelength=4)
        for model, rows in curve[by_file].groupby("model"):
            rows = rows.sort_values("train_size")
            name = str(model).removesuffix(f"_{BY_FILE}")
            given = {"marker": "o", "color": colours.get(name, "C9"), "label": name}
            right.plot(100 * rows["train_size"], rows["mean_by_file"], **given)
        right.set_xlabel("training files that train (%)")
        right.set_title("split by file: copies of learnt photographs")
        right.legend(fontsize=8)
        save_figure(figure, RESULTS / "curve.png")


def main() -> None:
    source = Path(sys.argv[1])
    rows: list[dict[str, Any]] = []
    for model in sorted(path for path in source.iterdir() if path.is_dir()):
        for run in sorted(model.glob("*/run.json")):
            rows += rows_of(model.name, run.parent)
    orders = write_csv(rows, "orders.csv")
    grouped = orders.astype({"copies": str}).groupby(["model", "copies", "train_size"])
    curve = grouped["balanced_accuracy"].agg(["count", "mean", "std", "min", "max"]).reset_index()
    curve["mean_by_file"] = grouped["balanced_accuracy_by_file"].mean().to_numpy()
    counted = grouped["good_photographs"].agg(lambda some: pd.to_numeric(some).mean())
    curve["good_photographs"] = counted.to_numpy()
    write_csv(curve.to_dict("records"), "curve.csv")
    write_csv(non_inferiority(orders), "non_inferiority.csv")
    draw(curve)
    print(curve.to_string())


if __name__ == "__main__":
    main()
