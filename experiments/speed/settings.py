"""What the benchmark is run with, all of it from the environment.

BENCH_DATA=DIR      real pictures: a folder as `prepare` makes it; else synthetic castings
BENCH_WEIGHTS=FILE  pretrained VGG-19 weights; else random ones, which take the same time
BENCH_FULL=1        cost curves to 8,000 pictures instead of 2,000
BENCH_BATCH=32      pictures a step of full fine-tuning
BENCH_SMOKE=1       a few pictures once: does every script run? Its figures mean nothing
BENCH_OUT=DIR       where results, tables and plots go; else beside this file
BENCH_AGAIN=1       `make bench`: measure again what is measured already
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, TypeVar

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
SMOKE: Final = os.environ.get("BENCH_SMOKE") == "1"
FULL: Final = os.environ.get("BENCH_FULL") == "1"
AGAIN: Final = os.environ.get("BENCH_AGAIN") == "1"
DATA: Final = os.environ.get("BENCH_DATA", "")
WEIGHTS: Final = os.environ.get("BENCH_WEIGHTS", "") or "none"

Value = TypeVar("Value")


def pick(real: Value, smoke: Value) -> Value:
    """Return the value for a measurement, or the one for a smoke test."""
    return smoke if SMOKE else real


OUT: Final = Path(os.environ.get("BENCH_OUT") or pick(HERE, ROOT / "runs" / "bench_smoke"))
RESULTS: Final = OUT / "results"

REPEATS: Final = pick(5, 1)
"""Measurements behind each median; one more before them does not count."""
PAPER_ROWS: Final = pick(8_012, 64)
"""Pictures of the paper's set; 60 % of them train."""
EPOCHS: Final = pick(100, 2)
"""Epochs of the paper's protocol."""
SIDE: Final = pick(224, 64)
"""Pixels a side that VGG-19 sees."""
BATCH: Final = int(os.environ.get("BENCH_BATCH") or pick(32, 4))
"""Pictures a step of full fine-tuning."""
CURVE: Final = pick((250, 500, 1_000, 2_000, *((4_000, 8_000) if FULL else ())), (16, 32))
"""Pictures of the cost curves."""
