"""Write the figures of finished audits into results/audits.csv, without names of files.

python experiments/audit/collect.py NAME=AUDIT_FOLDER ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from casting_inspect.evaluation.comparison_tables import csv_text
from casting_inspect.files import replace_text

RESULTS = Path(__file__).parent / "results"


def figures(name: str, folder: Path) -> dict[str, Any]:
    """Return one audit's row."""
    found = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    manifest = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    groups = manifest.groupby("group_wide")["label"].agg(["nunique", "first"])
    pure = groups[groups["nunique"] == 1]["first"].value_counts()
    findings = found["findings"]
    straddling = findings["straddling"]
    row = {
        "set": name,
        "digest": found["dataset_digest"][:16],
        "files": found["files"],
        "different_contents": found["groups"]["search"]["different_contents"],
        "groups": found["groups"]["groups"],
        "groups_wide": found["groups"]["groups_wide"],
        "normal_groups": int(pure.get("normal", 0)),
        "defective_groups": int(pure.get("defective", 0)),
        "groups_of_both": findings["conflicts"]["count"],
        "delivered_test_files": straddling["details"].get("of"),
        "of_these_with_copy_in_training": straddling["count"],
        "random_split_share": share(findings["random_split"]["share"]),
        "second_opinion_after_group_split": share(findings["second_opinion"]["share"]),
        "audit_seconds": found["seconds"]["all"],
    }
    for probe, seen in findings["shortcuts"]["details"]["figures"].items():
        area = seen.get("auroc_by_group") if isinstance(seen, dict) else None
        if area:
            row[f"auc_{probe}"] = share(area["value"])
            row[f"auc_{probe}_low"], row[f"auc_{probe}_high"] = map(
                share, (area["low"], area["high"])
            )
    return row


def share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def main() -> None:
    rows = [
        figures(name, Path(folder))
        for name, _, folder in (word.partition("=") for word in sys.argv[1:])
    ]
    text = csv_text(rows)
    replace_text(RESULTS / "audits.csv", text)
    print(text)


if __name__ == "__main__":
    main()
