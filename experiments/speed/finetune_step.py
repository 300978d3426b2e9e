"""How long does a step of full fine-tuning take, and how much of the matrix rate does it reach?

    python experiments/speed/finetune_step.py

VGG-19 with the heads `gap` and `paper` in our training loop and in plain Lightning, each in a
process of its own that takes a step in turn; fetching and augmenting the pictures is in the step.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import ours
from castings import folder_of
from ceilings import device, matrix, operations, our_type, rate, type_name
from peers import LIGHTNING, plain_lightning, pooled_vgg19, vgg19
from record import Goal, Row, compared, write
from settings import BATCH, REPEATS, SIDE, pick
from turns import Turned, steps, take_turns, took_turn

BATCHES = {"gap": BATCH, "paper": pick(max(1, BATCH // 4), 2)}
PICTURES = pick(14 * BATCH, 32)
"""Enough that no epoch ends while steps are timed."""


def words(head: str) -> list[str]:
    """Return the overrides of full fine-tuning from random weights."""
    return [
        *("augment=light", "finetune=full", "model.weights=none", f"model.head={head}"),
        *(f"model.image_size={SIDE}", f"data.batch_size={BATCHES[head]}", "logger=tensorboard"),
    ]


def candidate(name: str, pictures: str, run: str, head: str) -> None:
    """Run one candidate's loop, in its own process."""
    root = Path(pictures)
    if name == "matrix":
        steps(matrix(our_type()))
    elif name == "ours":
        ours.loop(root, Path(run), words(head)).fit(Turned)
    else:
        network = pooled_vgg19() if head == "gap" else vgg19()
        plain_lightning(network, root, SIDE, BATCHES[head], 100, Turned)


def rows_of(head: str, root: Path, folder: Path) -> list[Row]:
    """Measure one head."""
    given = {
        name: [str(root), str(folder / f"{name}_{head}"), head]
        for name in ("matrix", "ours", "plain")
    }
    found = take_turns(__file__, given, REPEATS)
    batch = BATCHES[head]
    network = pooled_vgg19() if head == "gap" else vgg19()
    asked = operations(network, (batch, 3, SIDE, SIDE), training=True)
    step = found["ours"].times
    row = compared(
        f"full fine-tuning step, VGG-19 `{head}`, batch {batch}",
        step,
        LIGHTNING,
        found["plain"].times,
        share=asked / step.median / rate(found["matrix"].times),
        ceiling=f"matrix product, {type_name(our_type())}",
        pictures=batch,
        peak_mib=found["ours"].peak_mib,
        device=device().type,
    )
    if head != "gap":
        return [row]
    share = Goal("at least", 0.65, "share")
    return [replace(row, goal=Goal("at least", 1.6)), replace(row, goal=share)]


def main() -> None:
    """Measure and write results/finetune_step.csv."""
    if took_turn(candidate):
        return
    with tempfile.TemporaryDirectory() as name:
        root = folder_of(Path(name) / "pictures", PICTURES)
        rows = [row for head in BATCHES for row in rows_of(head, root, Path(name))]
    write("finetune_step", rows)


if __name__ == "__main__":
    main()
