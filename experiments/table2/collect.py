"""Copy finished runs' figures into results/, and write the table of them.

    python experiments/table2/collect.py NAME=RUN_FOLDER ...

Each run gives results/NAME/metrics.json and history.csv as they are, and run.json without paths
and command line; the table is made anew from all that lies in results/.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

from casting_inspect.files import replace_bytes, replace_json, replace_text

RESULTS = Path(__file__).parent / "results"
KEPT = (
    "status",
    "commit",
    "versions",
    "hardware",
    "seeds",
    "digests",
    "weights",
    "paths_taken",
    "features",
    "durations_s",
    "resumed",
    "epochs",
    "best_epoch",
)
# "In the style of": quoted rows were measured by others, on other data
QUOTED = (
    ("Lin et al. 2018, CNN from scratch, as quoted", "96", "", "", ""),
    ("Nguyen et al. 2021, CNN from scratch, as quoted", "98", "", "", ""),
    ("Hamad et al., VGG-19, as published", "99.251", "98.974", "99.265", "99.119"),
)
COLUMNS = (
    "run",
    "accuracy",
    "precision",
    "recall",
    "f1",
    "errors",
    "escapes",
    "overkills",
    "epochs",
    "features_s",
    "fit_s",
)


def take(name: str, run: Path) -> None:
    """Copy one finished run's figures."""
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    if record["status"] != "finished":
        raise SystemExit(f"{run}: the run is not finished")
    for file in ("metrics.json", "history.csv"):
        replace_bytes(RESULTS / name / file, (run / file).read_bytes())
    replace_json(RESULTS / name / "run.json", {key: record[key] for key in KEPT if key in record})


def rows() -> list[dict[str, str]]:
    """Return a row a run, the paper's four figures in percent."""
    found = []
    for path in sorted(RESULTS.glob("*/metrics.json")):
        test = json.loads(path.read_text(encoding="utf-8"))["test"]
        record = json.loads(path.with_name("run.json").read_text(encoding="utf-8"))
        counts, durations = test["confusion"], record["durations_s"]
        percents = {key: f"{100 * test[key]:.3f}" for key in COLUMNS[1:5]}
        found.append(
            {
                "run": path.parent.name,
                **percents,
                "errors": str(counts["FP"] + counts["FN"]),
                "escapes": str(counts["FP"]),
                "overkills": str(counts["FN"]),
                "epochs": str(record["epochs"]),
                "features_s": f"{durations['features']:.0f}" if "features" in durations else "",
                "fit_s": f"{durations['fit']:.0f}",
            }
        )
    return found


def write_table(measured: list[dict[str, str]]) -> None:
    """Write table.csv (measured rows) and table.md (with the quoted ones)."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(measured)
    replace_text(RESULTS / "table.csv", out.getvalue())
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(row[key] for key in COLUMNS) + " |" for row in measured]
    for quoted in QUOTED:
        cells = [*quoted, *[""] * (len(COLUMNS) - len(quoted))]
        lines.append("| *" + cells[0] + "* | " + " | ".join(cells[1:]) + " |")
    replace_text(RESULTS / "table.md", "\n".join(lines) + "\n")


def main() -> None:
    """Take the runs named on the command line and write the table."""
    for argument in sys.argv[1:]:
        name, _, run = argument.partition("=")
        take(name, Path(run))
    write_table(rows())


if __name__ == "__main__":
    main()
