"""How long do 2,000 bootstrap draws over groups take on a table of 10,000 rows?"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import designs
import numpy as np
import pandas as pd
from coverage import write

from casting_inspect.evaluation import intervals
from casting_inspect.evaluation.metrics import split_metrics

ROWS = 10_000
FOLDS = 5


def predictions(rng: np.random.Generator, rows: int = ROWS) -> pd.DataFrame:
    """Return predictions of five folds with groups of the real set's sizes."""
    parts = []
    for label, sign in (("normal", 1.0), ("defective", -1.0)):
        sizes = designs.real_sizes(label)
        groups = rng.choice(len(sizes), rows // 2, p=sizes / sizes.sum())
        logit = 2.0 * sign + rng.normal(0, 1, len(sizes))[groups] + rng.normal(0, 1, len(groups))
        names = [f"{label}_{group}" for group in groups]
        columns = {"label": label, "group": names, "fold": groups % FOLDS, "logit": logit}
        parts.append(pd.DataFrame(columns))
    table = pd.concat(parts, ignore_index=True)
    table["path"] = [f"{row}.png" for row in range(len(table))]
    return table.assign(p_normal=1.0 / (1.0 + np.exp(-table["logit"])))


def seconds(action: Callable[[], object], repeats: int = 3) -> float:
    """Return the shortest of a few times, after one that does not count."""
    action()
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        found.append(time.perf_counter() - started)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=designs.HERE / "results")
    given = parser.parse_args()
    table = predictions(np.random.default_rng(1))
    wrong = ((table["p_normal"] > 0.5) != (table["label"] == "normal")).astype(float)
    units = wrong.groupby([table["label"], table["group"]])
    parts, wholes = units.sum().to_numpy(), units.size().to_numpy()
    classes = units.size().index.get_level_values(0).to_numpy() == "normal"
    shares = parts / wholes
    actions: dict[str, Callable[[], object]] = {
        "error rate by file, 2,000 draws": lambda: intervals.ratio_limits(parts, wholes, classes),
        "limits of a rate by group": lambda: intervals.rate_limits(shares, wholes),
        "every figure of a table with its intervals, 2,000 draws": lambda: split_metrics(table),
    }
    rows = (
        {"what": name, "rows": len(table), "groups": len(parts), "seconds": seconds(action)}
        for name, action in actions.items()
    )
    print(write(rows, given.out / "speed.csv").to_string(index=False))


if __name__ == "__main__":
    main()
