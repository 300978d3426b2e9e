"""How much memory does full fine-tuning take beside what its maths needs?

    python experiments/speed/memory.py

What the maths needs: weights, gradients, the optimizer's state, and what one batch's forward pass
keeps for the backward pass, all counted from the tensors themselves.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import ours
import torch
from castings import count_of, folder_of
from ceilings import device
from record import Goal, Row, write
from settings import SIDE, pick
from turns import Turned, take_turns

BATCH = pick(8, 2)
SIZES = pick((250, 1_000), (12, 24))
STEPS = pick(3, 1)


def words() -> list[str]:
    """Return the overrides of full fine-tuning."""
    return [
        *("augment=light", "finetune=full", "model.weights=none"),
        *(f"model.image_size={SIDE}", f"data.batch_size={BATCH}"),
    ]


def needed(loop: ours.Loop) -> int:
    """Return the bytes of weights, gradients, optimizer state and one batch's kept values."""
    from casting_inspect.training.precision import autocast

    network = loop.classifier.network.train()
    values = sum(p.numel() * p.element_size() for p in network.parameters())
    kept: dict[tuple[int, int], int] = {}

    def note(tensor: torch.Tensor) -> Any:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr(), storage.nbytes()] = storage.nbytes()
        return tensor

    images = torch.rand(BATCH, 3, SIDE, SIDE, device=loop.device)
    network.to(loop.device)
    hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with hooks, autocast(loop.device, loop.precision):
        network(images)
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    activations = sum(size for (at, _), size in kept.items() if at not in weights)
    return 4 * values + activations  # AdamW keeps two values a weight, and there is the gradient


def main() -> None:
    """Measure and write results/memory.csv."""
    if sys.argv[1:2] == ["--turn"]:
        _, root, run = sys.argv[2:]
        ours.loop(Path(root), Path(run), words()).fit(Turned)
        return
    peaks: dict[int, float | None] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in SIZES:
            root = folder_of(folder / str(size), size)
            given = {"ours": [str(root), str(folder / f"run{size}")]}
            peaks[count_of(root)] = take_turns(__file__, given, STEPS)["ours"].peak_mib
        maths = needed(ours.loop(root, folder / "counted", words())) / 2**20
    (first, low), (last, high) = min(peaks.items()), max(peaks.items())
    known = low is not None and high is not None
    beside = high - maths if high is not None else None
    rows = [
        Row(
            "full fine-tuning: memory beside weights, gradients, optimizer and activations",
            ours=beside,
            unit="MiB",
            goal=Goal("at most", 2048, "ours"),
            pictures=last,
            peak_mib=high,
            note=f"VGG-19 `gap`, {SIDE} px, batch {BATCH}: the maths needs {maths:.0f} MiB",
        ),
        Row(
            "full fine-tuning: memory does not grow with the number of pictures",
            ours=1024 * (high - low) / (last - first) if known else None,  # type: ignore[operator]
            unit="KiB a picture",
            goal=Goal("at most", 20, "ours"),
            pictures=last,
            note=f"from {first} to {last} pictures, {STEPS + 1} steps each",
        ),
    ]
    write("memory", [row for row in rows if device().type == "cpu"] or [no_figure()])


def no_figure() -> Row:
    """Return the row for a GPU, whose memory the processor's figures do not show."""
    goal = Goal("at most", 2048, "ours")
    return Row("full fine-tuning: memory", unit="MiB", goal=goal, note="not measured on a GPU")


if __name__ == "__main__":
    main()
