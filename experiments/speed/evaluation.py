"""How long do metrics, 2,000 bootstrap draws over groups, figures and the report take?

    python experiments/speed/evaluation.py

The scores are simulated: three files of each group, some of them wrong; the pictures are there, so
that the report shows the worst of them.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from castings import folder_of
from record import Goal, compared, write
from settings import pick
from timing import side_by_side

from casting_inspect.data.manifest import find_manifest
from casting_inspect.evaluation.evaluate import evaluate_predictions
from casting_inspect.evaluation.intervals import DRAWS
from casting_inspect.evaluation.predictions import write_predictions
from casting_inspect.evaluation.report.write import write_report
from casting_inspect.files import replace_json

ROWS = pick(10_000, 300)
DISTINCT = pick(250, 20)
"""Pictures, repeated under other names."""
FILES_A_GROUP = 3


def predictions(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return a table of simulated scores, some of them wrong, three files of each group."""
    rng = np.random.default_rng(0)
    table = manifest.sort_values(["label", "path"], ignore_index=True)[["path", "label"]]
    within = table.groupby("label").cumcount() // FILES_A_GROUP
    group = table["label"] + "_" + within.map("{:05d}".format)
    of_group = group.map({name: rng.normal() for name in group.unique()})
    mean = np.where(table["label"] == "normal", 3.0, -3.0)
    logit = rng.normal(mean, 2.0) + of_group
    return table.assign(group=group, logit=logit, p_normal=1 / (1 + np.exp(-logit)))


def run_folder(out: Path) -> Path:
    """Write what a run leaves of its test part, and return the predictions table."""
    pictures = folder_of(out / "pictures", ROWS, distinct=DISTINCT)
    run = out / "run"
    run.mkdir()
    table = run / "predictions.csv"
    write_predictions(predictions(find_manifest(pictures)), table)
    shutil.copyfile(pictures / "manifest.csv", run / "manifest.csv")
    (run / "config.yaml").write_text(yaml.safe_dump({"data": {"root": str(pictures)}}), "utf-8")
    replace_json(run / "run.json", {"status": "finished"})
    return table


def main() -> None:
    """Measure and write results/evaluation.csv."""
    fresh = itertools.count()
    with tempfile.TemporaryDirectory() as name:
        table = run_folder(Path(name))

        def evaluated() -> Path:
            out = Path(name) / str(next(fresh))
            evaluate_predictions(table, out)
            return out

        def reported() -> None:
            write_report(evaluated(), table)

        found = side_by_side({"figures": evaluated, "report": reported})
        shown = (Path(name) / str(next(fresh) - 1) / "report.html").read_text("utf-8")
    groups = -(-ROWS // FILES_A_GROUP)
    rows = [
        compared(
            f"evaluation of {ROWS:,} rows, without the report",
            found["figures"],
            pictures=ROWS,
            note=f"read, metrics, {DRAWS:,} draws over {groups:,} groups, five figures",
        ),
        compared(
            f"evaluation of {ROWS:,} rows",
            found["report"],
            goal=Goal("at most", 5, "ours"),
            pictures=ROWS,
            note=f"the same and report.html with {shown.count('data:image/jpeg')} pictures",
        ),
    ]
    write("evaluation", rows)


if __name__ == "__main__":
    main()
