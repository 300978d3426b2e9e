"""Copy finished runs' figures into results/, and write the table of them.

    python experiments/table2/collect.py OUT

OUT is the folder that protocol.py filled. Each tested run gives results/NETWORK/SEED/metrics.json
and history.csv as they are, and run.json without paths and command line; results/tuning.csv has a
row a trial, results/table.csv a row a run, results/table.md the means over seeds.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from casting_inspect.evaluation.comparison_tables import csv_text
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
PERCENTS = ("accuracy", "precision", "recall", "f1")
HEADINGS = (
    "network",
    "seeds",
    *PERCENTS,
    "errors",
    "escapes",
    "overkills",
    "trials x pictures",
    "pictures in training",
)


def finished(run: Path) -> dict[str, Any] | None:
    """Return a run's record, or None where it is not finished."""
    path = run / "run.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return record if record.get("status") == "finished" else None


def take(run: Path, record: dict[str, Any]) -> None:
    """Copy one finished run's figures."""
    where = RESULTS / run.parent.name / run.name
    for file in ("metrics.json", "history.csv"):
        if (run / file).exists():
            replace_bytes(where / file, (run / file).read_bytes())
    replace_json(where / "run.json", {key: record[key] for key in KEPT if key in record})


def last_epoch(run: Path, split: str) -> dict[str, str]:
    """Return the last row of a part in a run's history."""
    with (run / "history.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["split"] == split][-1]


def finished_runs(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each finished run NETWORK/NAME of a folder, with its record."""
    for run in sorted(folder.glob("*/*")):
        record = finished(run)
        if record is not None:
            yield run, record


def trials(out: Path) -> list[dict[str, Any]]:
    """Return a row a finished trial."""
    rows = []
    for run, record in finished_runs(out / "tuning"):
        last = last_epoch(run, "val")
        rows.append(
            {
                "network": run.parent.name,
                "head_lr": run.name.removeprefix("rate"),
                "epochs": record["epochs"],
                "pictures_seen": record["epochs"] * pictures(run),
                "validation_loss": f"{float(last['loss']):.5f}",
                "validation_accuracy": f"{float(last['accuracy']):.5f}",
            }
        )
    return rows


def pictures(run: Path) -> int:
    """Return how many pictures a run learnt from."""
    with (run / "manifest.csv").open(encoding="utf-8") as file:
        return sum(row["split"] == "train" for row in csv.DictReader(file))


def tested(out: Path) -> list[dict[str, Any]]:
    """Return a row a tested run, the paper's four figures in percent."""
    rows = []
    for run, record in finished_runs(out / "test"):
        take(run, record)
        metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
        test, leak = metrics["test"], metrics["leak"]["share"]
        counts, epochs = test["confusion"], record.get("epochs") or 0
        rows.append(
            {
                "network": run.parent.name,
                "seed": record["seeds"]["seed"],
                **{key: f"{100 * test[key]:.3f}" for key in PERCENTS},
                "errors": counts["FP"] + counts["FN"],
                "escapes": counts["FP"],
                "overkills": counts["FN"],
                "epochs": epochs,
                "pictures_seen": epochs * pictures(run),
                "fit_s": f"{record['durations_s']['fit']:.0f}",
                "test_files_with_a_copy_in_training": f"{leak:.5f}",
            }
        )
    return rows


def spread(values: list[float], digits: int) -> str:
    """Return mean and standard deviation, or the one value."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} +- {statistics.stdev(values):.{digits}f}"


def table(tried: list[dict[str, Any]], measured: list[dict[str, Any]]) -> str:
    """Return the table of means over seeds, with the quoted rows."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
    for name in dict.fromkeys(row["network"] for row in measured):
        runs = [row for row in measured if row["network"] == name]
        own = [row for row in tried if row["network"] == name]
        cells = [name, str(len(runs))]
        cells += [spread([float(row[key]) for row in runs], 3) for key in PERCENTS]
        cells += [spread([row[key] for row in runs], 1) for key in ("errors", "escapes")]
        cells.append(spread([row["overkills"] for row in runs], 1))
        cells.append(f"{len(own)} x {own[0]['pictures_seen']:,}" if own else "")
        cells.append(f"{runs[0]['pictures_seen']:,}" if own else "")
        lines.append("| " + " | ".join(cells) + " |")
    for quoted in QUOTED:
        cells = [f"*{quoted[0]}*", "", *quoted[1:]]
        lines.append("| " + " | ".join(cells + [""] * (len(HEADINGS) - len(cells))) + " |")
    leaks = sorted({float(row["test_files_with_a_copy_in_training"]) for row in measured})
    shares = " to ".join(f"{100 * share:.1f} %" for share in dict.fromkeys([leaks[0], leaks[-1]]))
    lines += ["", f"Test files with a copy of their photograph in training: {shares}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Collect what is finished and write the tables."""
    out = Path(sys.argv[1])
    tried, measured = trials(out), tested(out)
    if not measured:
        raise SystemExit(f"{out}: no finished run under test/; run protocol.py first")
    if tried:
        replace_text(RESULTS / "tuning.csv", csv_text(tried))
    replace_text(RESULTS / "table.csv", csv_text(measured))
    replace_text(RESULTS / "table.md", table(tried, measured))
    print((RESULTS / "table.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
