"""Where does the time go in the stages that take longest? Their operators, by share.

    python experiments/speed/breakdown.py

PyTorch's profiler over the features of VGG-19, which are nearly all of a frozen run's first time,
and over a training step of `cnn`, the stage that is furthest from its ceiling. Own time of each
operator, added up over both cores; with the profiler a step takes longer than without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

import torch
from ceilings import device, our_precision
from extraction import features
from record import Row, write
from settings import BATCH, SIDE, pick

from casting_inspect.models.cnn import SmallCnn
from casting_inspect.training.precision import autocast

ROUNDS: Final = pick(5, 1)
SHOWN: Final = 8
"""Operators a stage that have a row; the others are added up."""
PIXELS: Final = pick(128, 64)


def extraction() -> Callable[[], object]:
    """Return a batch's way through VGG-19's convolutions, as `train` runs it."""
    network = features().to(memory_format=torch.channels_last)
    pixels = torch.randint(0, 256, (BATCH, 3, SIDE, SIDE), dtype=torch.uint8, device=device())

    def run() -> None:
        with torch.inference_mode(), autocast(device(), our_precision()):
            network.backbone_features(pixels.float().div_(255))

    return run


def scratch() -> Callable[[], object]:
    """Return a training step of `cnn`, the batch at hand."""
    network = SmallCnn().to(device())
    step = torch.optim.AdamW(network.parameters(), fused=True)
    pixels = torch.randint(0, 256, (BATCH, 3, PIXELS, PIXELS), dtype=torch.uint8, device=device())
    labels = torch.arange(BATCH, device=device()) % 2

    def run() -> None:
        step.zero_grad()
        with autocast(device(), our_precision()):
            loss = torch.nn.functional.cross_entropy(network(pixels.float().div(255)), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        step.step()

    return run


def own_times(run: Callable[[], object]) -> Counter[str]:
    """Return each operator's own milliseconds a call of ``run``, after one that does not count."""
    run()
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device().type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as found:
        for _ in range(ROUNDS):
            run()
    return Counter(dict(by_operator(found.key_averages())))


def by_operator(events: Iterable[Any]) -> Iterable[tuple[str, float]]:
    """Yield each operator's name and own milliseconds a round, on a GPU those of its kernels."""
    of_gpu = device().type == "cuda"
    for event in events:
        own = event.self_device_time_total if of_gpu else event.self_cpu_time_total
        yield event.key, own / 1000 / ROUNDS


def rows_of(stage: str, times: Counter[str]) -> list[Row]:
    """Return a row for each of the longest operators, and one for all others."""
    whole = sum(times.values())
    longest = times.most_common(SHOWN)
    longest.append(("all others", whole - sum(own for _, own in longest)))
    return [
        Row(f"{stage}: {name.removeprefix('aten::')}", ours=own, unit="ms", share=own / whole,
            ceiling="the stage", repeats=ROUNDS, device=device().type)
        for name, own in longest
    ]  # fmt: skip


def main() -> None:
    """Measure and write results/breakdown.csv."""
    stages = {
        f"features of VGG-19, {BATCH} pictures": extraction(),
        f"step of `cnn`, {BATCH} pictures": scratch(),
    }
    write(
        "breakdown", [row for name, run in stages.items() for row in rows_of(name, own_times(run))]
    )


if __name__ == "__main__":
    main()
