"""How long do 100 epochs on a frozen VGG-19 take: the first time, with features cached, 20 heads?

    python experiments/speed/frozen.py

The bare loops do what the paper describes, a pass of the whole network over every picture in every
epoch; they are measured over two epochs on some of the pictures and extrapolated.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import ours
from castings import count_of, folder_of
from ceilings import device, matrix, operations, our_type, rate, type_name
from peak import run_watched
from peers import TIMM, TORCHVISION, timm_epochs, torchvision_epochs
from record import Goal, Row, write
from settings import EPOCHS, PAPER_ROWS, REPEATS, SIDE, WEIGHTS, pick
from timing import Timed, extrapolated, side_by_side

PICTURES = pick(1_000, 16)
SUBSET = pick(53, 7)
"""Pictures that the bare loops are measured on: whole batches of the 60 % that train."""
HEADS = pick(5, 2)
"""Heads that are swept over; the time of 20 is theirs times 20 / HEADS."""
DISTINCT = pick(100, 8)
BATCH = pick(16, 4)


def first_run_rows(folder: Path) -> list[Row]:
    """Measure the first run and the ones after it, and the bare loops."""
    root = folder_of(folder / "pictures", PICTURES)
    count = count_of(root)
    few = folder_of(folder / "few", SUBSET)
    kind = our_type()
    product = side_by_side({"matrix": matrix(kind)})["matrix"]
    words = [*ours.frozen_words(folder / "cache", EPOCHS), f"model.image_size={SIDE}"]
    cold = ours.train(root, folder / "cold", words)
    print(f"first run: {cold.seconds:.1f} s, of which {dict(cold.stages)}", flush=True)
    cached = Timed(
        tuple(
            ours.train(
                root, folder / f"cached{i}", [*words, f"finetune.head_lr={i + 1}e-4"]
            ).seconds
            for i in range(REPEATS)
        )
    )
    peers = {
        TORCHVISION: torchvision_epochs(few, SIDE, BATCH, 2),
        TIMM: timm_epochs(few, SIDE, BATCH, 2),
    }
    again = side_by_side({"matrix": matrix(kind)})["matrix"]
    both = Timed((*product.seconds, *again.seconds))
    one_pass = count * operations_of_a_picture() / rate(both)
    rows = []
    for peer, epochs in peers.items():
        theirs = extrapolated(epochs, SUBSET, count, EPOCHS)
        note = f"peer: 2 epochs on {SUBSET} pictures, extrapolated to {EPOCHS}"
        common: dict[str, Any] = {"peer": peer, "theirs": theirs, "pictures": count, "note": note}
        rows += [
            Row(
                f"frozen VGG-19, {EPOCHS} epochs, first run",
                ours=cold.seconds,
                ratio=theirs / cold.seconds,
                goal=Goal("at least", 150),
                **common,
            ),
            Row(
                f"frozen VGG-19, {EPOCHS} epochs, features cached",
                ours=cached.median,
                ratio=theirs / cached.median,
                goal=Goal("at least", 3_000),
                repeats=len(cached.seconds),
                low=min(cached.seconds),
                high=max(cached.seconds),
                **common,
            ),
        ]
    whole = Row(
        f"frozen VGG-19, {EPOCHS} epochs, first run, over one forward pass at the matrix rate",
        ours=cold.seconds / one_pass,
        unit="times",
        goal=Goal("at most", 1.15, "ours"),
        share=one_pass / cold.seconds,
        ceiling=f"matrix product, {type_name(kind)}",
        pictures=count,
        note="; ".join(f"{stage} {seconds:.1f} s" for stage, seconds in cold.stages.items()),
    )
    return [*rows, whole]


def operations_of_a_picture() -> int:
    """Return the operations of VGG-19's features for one picture."""
    import torchvision

    return operations(torchvision.models.vgg19(weights=None).features, (1, 3, SIDE, SIDE))


def sweep_row(folder: Path) -> Row:
    """Measure a sweep over heads on the paper's number of pictures, their features cached."""
    root = folder_of(folder / "many", PAPER_ROWS, DISTINCT)
    cache = folder / "cache_of_many"
    words = [*ours.frozen_words(cache, EPOCHS), f"model.image_size={SIDE}"]
    ours.train(root, folder / "filling", [*words, "trainer.max_epochs=1"])
    rates = ",".join(f"{i + 1}e-4" for i in range(HEADS))
    seconds, peak = run_watched(
        [
            *("-m", "casting_inspect.train", "-m", f"data.root={root}", *words, *ours.QUIET),
            *(f"finetune.head_lr={rates}", f"hydra.sweep.dir={folder / 'sweep'}"),
        ]
    )
    return Row(
        "sweep of 20 heads, features cached",
        ours=seconds * 20 / HEADS,
        goal=Goal("at most", 600, "ours"),
        pictures=PAPER_ROWS,
        peak_mib=peak,
        note=f"{HEADS} heads of {EPOCHS} epochs as a command, times {20 / HEADS:g}; "
        f"{DISTINCT} different pictures under {PAPER_ROWS:,} names",
    )


def main() -> None:
    """Measure and write results/frozen.csv."""
    with tempfile.TemporaryDirectory() as name:
        rows = [*first_run_rows(Path(name)), sweep_row(Path(name))]
    weights = "random weights" if WEIGHTS == "none" else "pretrained weights"
    rows = [replace(row, device=device().type, note=f"{row.note}; {weights}") for row in rows]
    write("frozen", rows)


if __name__ == "__main__":
    main()
