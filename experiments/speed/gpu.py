"""On a GPU: our training loop against timm's, the share of the matrix rate, 100 epochs.

    python experiments/speed/gpu.py

Without a CUDA device every row says "not measured".
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ours
import torch
from castings import folder_of
from ceilings import matrix, operations, our_type, rate, type_name
from peers import MEAN, STD, WORKERS, pooled_vgg19
from record import Goal, Row, not_measured, rated, write
from settings import EPOCHS, PAPER_ROWS, REPEATS, SIDE, pick
from turns import Turned, steps, take_turns, took_turn

BATCH = pick(128, 4)
DISTINCT = pick(1_000, 16)
STEPS = max(REPEATS, pick(10, 1))
WHOLE_EPOCHS = pick(4, 2)
TIMM = "timm's training loop"
STEP = f"training step, VGG-19, {SIDE} px"
FULL = f"{EPOCHS} epochs of full fine-tuning, {PAPER_ROWS:,} pictures"
FROZEN = f"{EPOCHS} epochs frozen, {PAPER_ROWS:,} pictures"
GOALS = {
    "peer": Goal("at least", 1.15),
    "share": Goal("at least", 0.45, "share"),
    "full": Goal("at most", 300, "ours"),
    "frozen": Goal("at most", 30, "ours"),
}


def words() -> list[str]:
    """Return the overrides of full fine-tuning on a GPU."""
    return [
        *(
            "trainer=gpu",
            "augment=light",
            "finetune=full",
            "model.weights=none",
            "data.workers=auto",
        ),
        *(f"model.image_size={SIDE}", f"data.batch_size={BATCH}", "trainer.max_epochs=1000"),
        "data.test_fraction=0.01",
    ]


def timm_loop(root: Path, wrap: Callable[[Any], Any]) -> None:
    """Train as timm's script does with ``--amp --amp-dtype bfloat16 --channels-last``."""
    import timm
    from timm.data import ImageDataset, create_loader
    from timm.optim import create_optimizer_v2

    device = torch.device("cuda")
    network = timm.create_model("vgg19", pretrained=False, num_classes=2)
    network = network.to(device, memory_format=torch.channels_last).train()
    loader = create_loader(
        ImageDataset(str(root)),
        input_size=(3, SIDE, SIDE),
        batch_size=BATCH,
        is_training=True,
        num_workers=WORKERS,
        mean=MEAN,
        std=STD,
        pin_memory=True,
        device=device,
    )
    optimizer = create_optimizer_v2(network, opt="adamw", lr=1e-4)
    criterion = torch.nn.CrossEntropyLoss()
    while True:
        for images, labels in wrap(loader):
            images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = criterion(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def candidate(name: str, pictures: str, run: str) -> None:
    """Run one candidate's loop, in its own process."""
    root = Path(pictures)
    if name == "matrix":
        steps(matrix(our_type()))
    elif name == "timm":
        turns = Turned(())

        def once_more(loader: Any) -> Turned:
            turns.loader = loader  # one wrapper over all epochs: a turn may span two
            return turns

        timm_loop(root, once_more)
    else:
        whole = name == "epochs"
        ours.loop(root, Path(run), words()).fit(lambda loader: Turned(loader, epochs=whole))


def measured(folder: Path) -> list[Row]:
    """Measure everything on the CUDA device that is there."""
    root = folder_of(folder / "many", PAPER_ROWS, DISTINCT, as_new=True)
    given = {name: [str(root), str(folder / name)] for name in ("matrix", "ours", "timm")}
    found = take_turns(__file__, given, STEPS)
    asked = operations(pooled_vgg19(), (BATCH, 3, SIDE, SIDE), training=True)
    step = found["ours"].times
    ceiling = f"matrix product, {type_name(our_type())}"
    share = asked / step.median / rate(found["matrix"].times)
    against = (step, BATCH, TIMM, found["timm"].times)
    row = rated(STEP, *against, share=share, ceiling=ceiling)
    epochs = take_turns(__file__, {"epochs": [str(root), str(folder / "epochs")]}, WHOLE_EPOCHS)[
        "epochs"
    ].times
    frozen = ours.train(
        root,
        folder / "frozen",
        [*ours.frozen_words(folder / "cache", EPOCHS), "trainer=gpu", f"model.image_size={SIDE}"],
    )
    note = f"median of {WHOLE_EPOCHS} epochs, times {EPOCHS}; 99 % of the pictures train"
    return [
        replace(row, goal=GOALS["peer"]),
        replace(row, goal=GOALS["share"]),
        Row(FULL, ours=epochs.median * EPOCHS, goal=GOALS["full"], pictures=PAPER_ROWS, note=note),
        Row(FROZEN, ours=frozen.seconds, goal=GOALS["frozen"], pictures=PAPER_ROWS),
    ]


def absent() -> list[Row]:
    """Return the rows of a machine without a GPU."""
    rate_of_step = {"unit": "images/s"}
    return [
        not_measured(STEP, TIMM, GOALS["peer"], **rate_of_step),
        not_measured(STEP, "", GOALS["share"], ceiling="matrix product", **rate_of_step),
        not_measured(FULL, "", GOALS["full"]),
        not_measured(FROZEN, "", GOALS["frozen"]),
    ]


def main() -> None:
    """Measure and write results/gpu.csv."""
    if took_turn(candidate):
        return
    if torch.cuda.is_available():
        with tempfile.TemporaryDirectory() as name:
            rows = measured(Path(name))
    else:
        rows = absent()
    write("gpu", [replace(row, device="cuda") for row in rows])


if __name__ == "__main__":
    main()
