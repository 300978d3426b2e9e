"""How long do metrics, 2,000 bootstrap draws over groups and the figures of 10,000 rows take?

    python experiments/speed/evaluation.py

The scores are simulated: three files of each group, some of them wrong.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from record import Goal, compared, write
from settings import pick
from timing import side_by_side

from casting_inspect.evaluation.evaluate import evaluate_predictions
from casting_inspect.evaluation.intervals import DRAWS
from casting_inspect.evaluation.predictions import write_predictions
from casting_inspect.labels import CLASS_NAMES

ROWS = pick(10_000, 300)
FILES_A_GROUP = 3


def predictions(rows: int) -> pd.DataFrame:
    """Return a table of simulated scores, some of them wrong, three files of each group."""
    rng = np.random.default_rng(0)
    group = np.arange(rows) // FILES_A_GROUP
    normal = group % 2
    logit = rng.normal(3.0 * (2 * normal - 1), 2.0) + rng.normal(0, 1, group[-1] + 1)[group]
    return pd.DataFrame(
        {
            "path": [f"{row:05d}.png" for row in range(rows)],
            "label": np.array(CLASS_NAMES)[normal],
            "group": [f"part_{number:05d}" for number in group],
            "p_normal": 1 / (1 + np.exp(-logit)),
            "logit": logit,
        }
    )


def main() -> None:
    """Measure and write results/evaluation.csv."""
    fresh = itertools.count()
    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "predictions.csv"
        write_predictions(predictions(ROWS), table)
        run = lambda: evaluate_predictions(table, Path(name) / str(next(fresh)))  # noqa: E731
        found = side_by_side({"evaluate": run})["evaluate"]
    row = compared(
        f"evaluation of {ROWS:,} rows",
        found,
        goal=Goal("at most", 5, "ours"),
        pictures=ROWS,
        note=f"read, metrics, {DRAWS:,} draws over {ROWS // FILES_A_GROUP:,} groups, four figures",
    )
    write("evaluation", [row])


if __name__ == "__main__":
    main()
