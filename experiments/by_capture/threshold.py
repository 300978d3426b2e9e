"""What a few castings of the new capture are worth: they choose the threshold, nothing is trained.

    python experiments/by_capture/threshold.py RUNS

RUNS holds by_capture's sweeps. For every probe and direction, K castings of each class are drawn
from the capture left out; Youden's threshold on them judges the others. Written:
results/threshold.csv, a row a candidate, test part and K: mean over partitions and DRAWS draws of
balanced accuracy by group. K = 0 is 0.5, chosen by nobody; K = "all" is the best threshold in
hindsight, judged on the castings that chose it, so a bound and no result.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from choosing import finished, of_fold

from casting_inspect.evaluation.metrics import truths
from casting_inspect.evaluation.predictions import read_predictions
from casting_inspect.evaluation.thresholds import shares_by_group, youden
from casting_inspect.files import replace_csv

HERE = Path(__file__).parent
DRAWS = 100
COUNTS = (2, 4, 8)


def balanced_accuracy(table: pd.DataFrame, threshold: float) -> float:
    """Return 1 - half of the sum of both error rates by group."""
    normal = truths(table)
    wrong = (table["p_normal"].to_numpy(np.float64) > threshold) != normal
    return float(1 - (shares_by_group(table, normal) * wrong).sum() / 2)


def drawn(table: pd.DataFrame, count: int) -> Iterator[pd.Series]:
    """Yield, DRAWS times, which rows are of some castings of each class."""
    generator = np.random.default_rng(count)
    of_class = [rows["group_wide"].unique() for _, rows in table.groupby("label")]
    for _ in range(DRAWS):
        chosen = [generator.choice(groups, count, replace=False) for groups in of_class]
        yield table["group_wide"].isin(np.concatenate(chosen))


def rows_of(name: str, table: pd.DataFrame, fold: int) -> Iterator[dict[str, Any]]:
    """Yield the mean figure of each K."""
    figures: dict[str, list[float]] = {"0": [balanced_accuracy(table, 0.5)]}
    for count in COUNTS:
        figures[str(count)] = [
            balanced_accuracy(table[~known], youden(table[known])) for known in drawn(table, count)
        ]
    figures["all"] = [balanced_accuracy(table, youden(table))]
    for count_name, values in figures.items():
        yield {
            **{"candidate": name, "test_part": f"fold {fold}", "castings_a_class": count_name},
            **{"mean": np.mean(values), "lowest": np.min(values), "draws": len(values)},
        }


def main() -> None:
    runs = Path(sys.argv[1])
    study = yaml.safe_load((HERE / "candidates.yaml").read_text("utf-8"))
    rows = []
    for name in study["groups"]["probes"]["candidates"]:
        for folder, _ in finished(runs, name).values():
            table = read_predictions(folder / "predictions.csv")
            for fold in sorted(table["fold"].unique()):
                rows += list(rows_of(name, of_fold(table, "test", fold), fold))
    found = pd.DataFrame(rows)
    keys = ["candidate", "test_part", "castings_a_class"]
    means = found.groupby(keys, sort=False).agg(
        mean=("mean", "mean"), lowest=("lowest", "min"), partitions=("mean", "size")
    )
    replace_csv(HERE / "results" / "threshold.csv", means.reset_index(), "%.4f")
    print(means["mean"].unstack().round(3).to_string())


if __name__ == "__main__":
    main()
