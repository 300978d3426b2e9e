"""What does Lightning cost over a bare loop with the same maths, and what do cached epochs take?

    python experiments/speed/overhead.py

Steps on pictures are taken in turn by two processes; 100 epochs on cached features are whole runs.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ours
import torch
from castings import folder_of
from ceilings import device
from record import Goal, Row, compared, write
from settings import EPOCHS, PAPER_ROWS, REPEATS, SIDE, pick
from timing import Timed, side_by_side
from torch import nn
from torch.nn import functional as F
from turns import Turned, take_turns, took_turn

from casting_inspect.training import strategy
from casting_inspect.training.precision import autocast

PIXELS = 64
"""Pixels a side: a step takes some tenths of a second."""
BATCH = pick(32, 4)
STEPS = pick(15, 1)
PICTURES = pick(1_000, 24)
DISTINCT = pick(100, 8)
BARE = "bare loop, same maths"


def words() -> list[str]:
    """Return the overrides of full fine-tuning on small pictures."""
    return [
        *("augment=light", "finetune=full", "model.weights=none"),
        *(f"model.image_size={PIXELS}", f"data.batch_size={BATCH}"),
    ]


def bare(of: ours.Loop, wrap: Any) -> None:
    """Train as our loop does, without Lightning: same network, batches, loss and optimizer."""
    network, classifier = of.classifier.network, of.classifier
    groups = strategy.parameter_groups(network, "full", classifier.head_lr, classifier.backbone_lr)
    optimizer = classifier.make_optimizer(groups)
    network.to(of.device).train()
    for batch in wrap(of.loader):
        images, labels = batch["image"].to(of.device), batch["label"].to(of.device)
        with autocast(of.device, of.precision):
            loss = F.cross_entropy(network(images.float().div(255)).float(), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


def candidate(name: str, root: str, run: str) -> None:
    """Run one candidate's loop, in its own process."""
    loop = ours.loop(Path(root), Path(run), words())
    if name == "ours":
        loop.fit(Turned)
    else:
        bare(loop, Turned)


def step_row(folder: Path) -> Row:
    """Measure our step over the bare loop's."""
    root = folder_of(folder / "pictures", PICTURES)
    given = {name: [str(root), str(folder / name)] for name in ("ours", "bare")}
    found = take_turns(__file__, given, STEPS)
    step, theirs = found["ours"].times, found["bare"].times
    row = compared("our Lightning step over the bare loop's", step, BARE, theirs)
    return replace(
        row,
        ours=step.median / theirs.median,
        theirs=None,
        ratio=None,
        low=min(step.seconds) / theirs.median,
        high=max(step.seconds) / theirs.median,
        unit="times",
        goal=Goal("at most", 1.03, "ours"),
        pictures=BATCH,
        note=f"VGG-19 `gap`, {PIXELS} px, full; steps of {step.median:.3f} and "
        f"{theirs.median:.3f} s",
    )


def cached_rows(folder: Path) -> Row:
    """Measure 100 epochs of the head on the paper's training rows, and a bare loop on tensors."""
    root = folder_of(folder / "many", PAPER_ROWS, DISTINCT)
    given = [*ours.frozen_words(folder / "cache", EPOCHS), f"model.image_size={SIDE}"]
    given.append("callbacks.watch_test=false")
    ours.train(root, folder / "filling", [*given, "trainer.max_epochs=1"])
    rows = round(0.6 * PAPER_ROWS)
    fits, loops = [], []
    for number in range(REPEATS):
        ran = ours.train(root, folder / f"run{number}", given)
        fits.append(ran.stages["fit"] - ran.stages.get("features", 0.0))
        loops.append(side_by_side({"bare": lambda: bare_head(rows)}, 1)["bare"].median)
    return compared(
        f"{EPOCHS} cached epochs",
        Timed(tuple(fits)),
        BARE,
        Timed(tuple(loops)),
        goal=Goal("at most", 20, "ours"),
        pictures=rows,
        note="head `gap`, batches of 128",
    )


def bare_head(rows: int) -> None:
    """Train a linear head on ``rows`` random rows as fast as a plain loop does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    features = torch.from_numpy(np.random.default_rng(0).random((rows, 512), np.float32))
    labels = torch.arange(rows) % 2
    head = nn.Sequential(nn.BatchNorm1d(512, affine=False), nn.Dropout(), nn.Linear(512, 2))
    optimizer = torch.optim.AdamW(head.parameters())
    for _ in range(EPOCHS):
        for chosen in torch.randperm(rows).split(128):
            loss = F.cross_entropy(head(features[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
    torch.set_num_threads(threads)


def main() -> None:
    """Measure and write results/overhead.csv."""
    if took_turn(candidate):
        return
    with tempfile.TemporaryDirectory() as name:
        rows = [step_row(Path(name)), cached_rows(Path(name))]
    write("overhead", [replace(row, device=device().type) for row in rows])


if __name__ == "__main__":
    main()
