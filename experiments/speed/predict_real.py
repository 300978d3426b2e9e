"""What does `predict` need for ever more pictures of yours, and does its memory stay flat?

    python experiments/speed/predict_real.py BUNDLE PICTURES [MORE ...]

Inspects the first 250, 500, 1,000 and 2,000 pictures of the folder PICTURES, and all pictures of
each folder MORE, each in a process of its own, and writes results/predict_real.csv: verdicts,
seconds, pictures a second, and the most memory that the process took.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pandas as pd
from peak import run_watched
from settings import RESULTS

from casting_inspect.files import replace_csv
from casting_inspect.training.run_folder import commit_of_package

COUNTS: Final = (250, 500, 1000, 2000)


def inspected(bundle: Path, folder: Path, limit: int | None) -> dict[str, Any]:
    """Return what came of one call of `predict`."""
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "verdicts.csv"
        words = [f"model={bundle}", f"source={folder}", f"out={out}", "progress=false"]
        words += [] if limit is None else [f"limit={limit}"]
        seconds, peak = run_watched(["-m", "casting_inspect.predict", *words])
        with out.open(encoding="utf-8", newline="") as file:
            counted = Counter(row["verdict"] for row in csv.DictReader(file))
    return {
        "folder": folder.name,
        "pictures": counted.total(),
        **{verdict: counted[verdict] for verdict in ("normal", "defective", "review", "error")},
        "seconds": seconds,
        "pictures_a_second": counted.total() / seconds,
        "peak_mib": peak,
    }


def main() -> int:
    """Inspect, and keep what came of it."""
    bundle, pictures, *more = map(Path, sys.argv[1:])
    commit = (commit_of_package() or {}).get("id", "")[:12]
    rows = []
    for folder, limit in [*((pictures, count) for count in COUNTS), *((one, None) for one in more)]:
        rows.append({**inspected(bundle, folder, limit), "commit": commit})
        print(rows[-1], flush=True)
        replace_csv(RESULTS / "predict_real.csv", pd.DataFrame(rows), "%.1f")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
