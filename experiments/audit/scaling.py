"""What does the search for copies cost, and does it tell synthetic castings apart?

    python experiments/audit/scaling.py data=DIR   # DIR: a prepared root with manifest.csv
    python experiments/audit/scaling.py synthetic

Each size runs in a process of its own with an empty cache; a second run measures the warm cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from casting_inspect.data.grouping import Grouping, find_groups
from casting_inspect.evaluation.comparison_tables import csv_text
from casting_inspect.files import replace_text
from casting_inspect.training.run_folder import commit_of_package

RESULTS = Path(__file__).parent / "results"
SIZES = (1000, 2000, 4000, 8000)
SETS = ((256, 200), (256, 400), (128, 200), (96, 200))  # pixels a side, castings


def commit() -> str:
    found = commit_of_package()
    return "" if found is None else found["id"][:12] + ("+" if found["modified"] else "")


def search(root: Path, frame: pd.DataFrame, cache: Path) -> tuple[Grouping, float]:
    started = time.perf_counter()
    paths = [root / path for path in frame["path"]]
    found = find_groups(paths, frame["sha256"].to_list(), cache=cache, progress=False)
    return found, time.perf_counter() - started


def one_size(root: Path, size: int) -> dict[str, Any]:
    """Measure one size; run in a process of its own, so that its peak memory is its own."""
    frame = pd.read_csv(root / "manifest.csv", dtype=str, keep_default_na=False)
    # by digest: every subset holds a fair share of all photographs, the same on every machine
    frame = frame.sort_values("sha256").reset_index(drop=True)
    order = np.random.default_rng(0).permutation(len(frame))
    frame = frame.iloc[np.sort(order[: size or len(frame)])]
    with tempfile.TemporaryDirectory() as cache:
        cold, cold_seconds = search(root, frame, Path(cache))
        cpu_seconds = time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        _, warm_seconds = search(root, frame, Path(cache))
    facts = cold.facts
    laps = {f"{name}_s": value for name, value in facts["seconds"].items()}
    return {
        "files": len(frame),
        "seconds": round(cold_seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "cpu_ms_a_file": round(1000 * cpu_seconds / len(frame), 1),
        "second_search_s": round(warm_seconds, 1),
        "peak_gib": round(peak, 2),
        **laps,
        "pairs_compared": facts["pairs_compared"],
        "groups": facts["groups"],
        "groups_wide": facts["groups_wide"],
        "threshold_sure": round(facts["threshold_sure"], 1),
        "cores": len(os.sched_getaffinity(0)),
        "data": hashlib.sha256("".join(frame["sha256"]).encode()).hexdigest()[:16],
        "commit": commit(),
    }


def one_set(side: int, parts: int) -> dict[str, Any]:
    """Search a set of synthetic castings, three photographs of each."""
    from sklearn.metrics import adjusted_rand_score

    from casting_inspect.data.synthetic import SyntheticConfig, write_castings

    with tempfile.TemporaryDirectory() as folder:
        config = SyntheticConfig(parts=parts, photographs=3, size=side, seed=17)
        root = write_castings(config, Path(folder) / "castings")
        frame = pd.read_csv(root / "manifest.csv", dtype=str, keep_default_na=False)
        found, seconds = search(root, frame, Path(folder) / "cache")
    mixed = frame.assign(found=found.group).groupby("found")["group"].nunique()
    return {
        "side": side,
        "castings": parts,
        "files": len(frame),
        "adjusted_rand": round(adjusted_rand_score(frame["group"], found.group), 4),
        "adjusted_rand_wide": round(adjusted_rand_score(frame["group"], found.group_wide), 4),
        "groups_of_two_castings": int((mixed > 1).sum()),
        "threshold_sure": round(found.facts["threshold_sure"], 1),
        "seconds": round(seconds, 1),
        "commit": commit(),
    }


def main() -> None:
    what, *rest = sys.argv[1:] or ["synthetic"]
    if what == "synthetic":
        rows = []
        for side, parts in SETS:
            rows.append(one_set(side, parts))
            print(rows[-1], flush=True)
            replace_text(RESULTS / "synthetic.csv", csv_text(rows))
        return
    root = Path(what.removeprefix("data="))
    if rest:
        print(json.dumps(one_size(root, int(rest[0]))))
        return
    rows = []
    for size in SIZES:
        command = [sys.executable, __file__, f"data={root}", str(size)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
        replace_text(RESULTS / "scaling.csv", csv_text(rows))


if __name__ == "__main__":
    main()
