"""Does a bundle say what its run says, on the run's whole validation set?

    python experiments/parity/parity.py [fp32] [int8] [openvino] [onnxruntime] NAME=RUN ...

RUN is the folder of a finished run of `train data.fold=final`. Exports it in int8 and in fp32 for
either runtime (or in what is named), each held against the checkpoint in float32 on every
validation picture at batch 1 and 7, and puts into results/parity.csv a row a model and batch, or
one that says why there is no bundle.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from casting_inspect.deployment.build import Disagreement, Wanted, export_run
from casting_inspect.deployment.bundle import RECORD, RUNTIMES
from casting_inspect.deployment.gate import BATCHES
from casting_inspect.files import replace_csv

HERE: Final = Path(__file__).parent
PRECISIONS: Final = ("int8", "fp32")
TABLE: Final = HERE / "results" / "parity.csv"
KEY: Final = ["run", "runtime", "precision"]


def rows_of(run: Path, runtimes: Sequence[str], precision: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one export, or where it is refused those of one a runtime."""
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "bundle"
        try:
            export_run(Wanted(run, out, tuple(runtimes), precision), said)
        except Disagreement as refused:
            said(str(refused))
            if len(runtimes) > 1:
                for runtime in runtimes:
                    yield from rows_of(run, [runtime], precision)
                return
            facts = {"runtime": runtimes[0], "precision": precision}
            yield {**facts, "batch": "", "refused": str(refused)}
            return
        record = json.loads((out / RECORD).read_text(encoding="utf-8"))
    for model in record["models"]:
        figures = model["parity"]["validation"]
        for size in BATCHES:
            one = figures[f"batch_{size}"]
            yield {
                "runtime": model["runtime"],
                "precision": precision,
                "kept_in_float": " ".join(model["kept_in_float"]),
                "pictures": figures["n"],
                "batch": str(size),
                "largest_p": one["p_normal"]["largest"],
                "mean_p": one["p_normal"]["mean"],
                "largest_log_odds": one["log_odds"]["largest"],
                "mean_log_odds": one["log_odds"]["mean"],
                "changes": one["verdict_changes"],
                "change_share": one["verdict_change_share"],
                "expected_on_new": one.get("expected_change_share"),
                **{
                    f"{what}_{which}": one[what][which]
                    for what in ("escapes", "overkills")
                    for which in ("reference", "bundle", "p")
                },
                "milliseconds": model["milliseconds"],
                "commit": (record["commit"] or {}).get("id", "")[:12],
                "data_digest": record["digests"]["data"],
                "weights_sha256": record["digests"]["weights"],
                "refused": "",
            }


def said(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main() -> int:
    """Export in every way that is wanted, and keep as it comes what came of it."""
    words = sys.argv[1:]
    precisions = [one for one in PRECISIONS if one in words] or PRECISIONS
    runtimes = [one for one in RUNTIMES if one in words] or RUNTIMES
    runs = dict(word.split("=", 1) for word in words if "=" in word)
    for (name, run), precision in itertools.product(runs.items(), precisions):
        rows = rows_of(Path(run), runtimes, precision)
        keep(pd.DataFrame([{"run": name, **row} for row in rows]))
    return 0


def keep(rows: pd.DataFrame) -> None:
    """Put rows into the table in place of earlier ones of the same export."""
    if TABLE.is_file():
        known = pd.read_csv(TABLE, keep_default_na=False, dtype=str)
        same = known[KEY].apply(tuple, axis=1).isin(set(rows[KEY].apply(tuple, axis=1)))
        rows = pd.concat([known[~same], rows])
    replace_csv(TABLE, rows.sort_values([*KEY, "batch"], kind="stable"), "%.6g")


if __name__ == "__main__":
    raise SystemExit(main())
