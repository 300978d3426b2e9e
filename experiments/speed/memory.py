"""How much memory does full fine-tuning take beside what its maths needs?

    python experiments/speed/memory.py

What the maths needs: weights, gradients, the optimizer's state, and what one batch's forward pass
keeps for the backward pass, all counted from the tensors themselves.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import ours
import torch
from castings import folder_of
from ceilings import device
from record import Goal, Row, write
from settings import SIDE, pick
from turns import Turned, take_turns, took_turn

BATCH = pick(8, 2)
PICTURES = pick(250, 24)
STEPS = pick(3, 1)
GOAL = Goal("at most", 2048, "ours")


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
    values: int = sum(p.numel() * p.element_size() for p in network.parameters())
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


def candidate(_: str, pictures: str, run: str) -> None:
    """Run our loop, in its own process."""
    ours.loop(Path(pictures), Path(run), words()).fit(Turned)


def main() -> None:
    """Measure and write results/memory.csv."""
    if took_turn(candidate):
        return
    if device().type != "cpu":
        write("memory", [no_figure()])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = folder_of(folder / "pictures", PICTURES)
        given = {"ours": [str(root), str(folder / "run")]}
        peak = take_turns(__file__, given, STEPS)["ours"].peak_mib
        maths = needed(ours.loop(root, folder / "counted", words())) / 2**20
    row = Row(
        "full fine-tuning: memory beside weights, gradients, optimizer and activations",
        ours=peak - maths if peak is not None else None,
        unit="MiB",
        goal=GOAL,
        pictures=PICTURES,
        peak_mib=peak,
        note=f"VGG-19 `gap`, {SIDE} px, batch {BATCH}: the maths needs {maths:.0f} MiB",
    )
    write("memory", [row])


def no_figure() -> Row:
    """Return the row for a GPU, whose memory the processor's figures do not show."""
    return Row("full fine-tuning: memory", unit="MiB", goal=GOAL, note="not measured on a GPU")


if __name__ == "__main__":
    main()
