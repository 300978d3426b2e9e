"""What do time and memory grow with? Each stage at several numbers of pictures.

    python experiments/speed/curves.py          # BENCH_FULL=1: to 8,000 pictures

A stage runs as a command in a process of its own with an empty cache, so that its memory is its
own; files mapped into memory (the caches) do not count. The second `train` finds its features.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ours
from castings import count_of, folder_of
from ceilings import device
from peak import run_watched
from record import Goal, Row, write
from settings import CURVE, EPOCHS, FULL, SIDE, pick

from casting_inspect.data.manifest import read_manifest

MOST = 2048.0
"""MiB that a stage may take beside the model."""
AUDITED = 10_000 if FULL else 1_000
"""Pictures that are audited at most: a tenth of a second each; experiments/audit has its curve."""
MODEL_MIB = 4 * 20_024_384 / 2**20
"""VGG-19's convolutions in float32, which is all of it that the default head keeps."""
SCRATCH_EPOCHS = pick(2, 1)
COUNTED = {"frozen, first run": MODEL_MIB, "audit": 0.0}
"""Stages whose memory has a bound, and what of it is the model's."""
GROWTH = "memory does not grow with the number of pictures"
GROWTH_BOUND = 20.0
"""KiB a picture: a table of names and figures may grow, pixels may not (one picture has 49)."""


def stages(root: Path, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each stage's name and command, in the order that they must run in."""
    train = ["-m", "casting_inspect.train", f"data.root={root}", *ours.QUIET]
    frozen = [*train, *ours.frozen_words(folder / "cache", EPOCHS), f"model.image_size={SIDE}"]
    yield "frozen, first run", [*frozen, f"hydra.run.dir={folder / 'first'}"]
    yield "frozen, features cached", [*frozen, f"hydra.run.dir={folder / 'second'}"]
    if len(read_manifest(root / "manifest.csv")) <= AUDITED:
        yield (
            "audit",
            ["-m", "casting_inspect.audit", f"data.root={root}", f"out={folder / 'audit'}"],
        )
    yield (
        f"`cnn` from scratch, {SIDE} px, {SCRATCH_EPOCHS} epochs",
        [
            *(*train, "model=cnn", f"model.image_size={SIDE}", "data.split=file"),
            f"trainer.max_epochs={SCRATCH_EPOCHS}",
            *("trainer.evaluate=false", f"hydra.run.dir={folder / 'scratch'}"),
        ],
    )


def main() -> None:
    """Measure and write results/curves.csv."""
    rows: list[Row] = []
    kept = os.environ.get("CASTING_INSPECT_CACHE")
    for size in CURVE:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            root = folder_of(folder / "pictures", size)
            count = count_of(root)
            if rows and count <= (rows[-1].pictures or 0):
                break  # there are no more pictures than that
            os.environ["CASTING_INSPECT_CACHE"] = str(folder / "own")
            for stage, words in stages(root, folder):
                seconds, peak = run_watched(words)
                rows.append(Row(stage, ours=seconds, pictures=count, peak_mib=peak))
                print(f"{stage}, {count} pictures: {seconds:.1f} s, {peak} MiB", flush=True)
            del os.environ["CASTING_INSPECT_CACHE"]
            if kept is not None:
                os.environ["CASTING_INSPECT_CACHE"] = kept
    rows += bounds(rows)
    write("curves", [replace(row, device=device().type) for row in rows])


def bounds(rows: list[Row]) -> list[Row]:
    """Return the rows that hold the memory of the stages against its bounds."""
    judged = []
    for stage in dict.fromkeys(row.what for row in rows):
        measured = [row for row in rows if row.what == stage]
        first, last = measured[len(measured) > 2], measured[-1]  # the smallest set fills no batch
        if first.peak_mib is None or last.peak_mib is None:
            continue
        if stage in COUNTED:
            judged.append(
                Row(
                    f"{stage}: memory beside the model",
                    ours=last.peak_mib - COUNTED[stage],
                    unit="MiB",
                    goal=Goal("at most", MOST, "ours"),
                    pictures=last.pictures,
                )
            )
        grown = (last.pictures or 0) - (first.pictures or 0)
        if grown:
            judged.append(
                Row(
                    f"{stage}: {GROWTH}",
                    ours=1024 * (last.peak_mib - first.peak_mib) / grown,
                    unit="KiB a picture",
                    goal=Goal("at most", GROWTH_BOUND, "ours"),
                    pictures=last.pictures,
                    note=f"from {first.pictures} to {last.pictures} pictures; the bound is ours",
                )
            )
    return judged


if __name__ == "__main__":
    main()
