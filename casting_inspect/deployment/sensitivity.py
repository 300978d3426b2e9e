"""Which layers suffer most from 8 bits: each alone, imitated in torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from casting_inspect.labels import DEFECTIVE, NORMAL

LEVELS = 255
BATCH = 8


def by_sensitivity(
    network: nn.Module, layers: Sequence[str], pixels: NDArray[np.uint8]
) -> list[str]:
    """Return layers, the one first that alone in 8 bits moves the log-odds most.

    Weights get 255 levels symmetric about zero in each output channel, a layer's input 256 levels
    between its least and largest value over the batch: what the quantisers of both runtimes do.

    Args:
        network: In evaluation mode, on the CPU.
        layers: Names of convolutions and linear layers.
        pixels: RGB pictures (n, S, S, 3).
    """
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255)
    exact = _log_odds(network, images)
    moved = []
    for name in layers:
        with in_8_bits(network.get_submodule(name)):
            moved.append(float((_log_odds(network, images) - exact).abs().mean()))
    return [layers[at] for at in np.argsort(moved, kind="stable")[::-1]]


def _log_odds(network: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        logits = torch.cat([network(some) for some in torch.split(images, BATCH)])
    return logits[:, NORMAL] - logits[:, DEFECTIVE]


@contextmanager
def in_8_bits(layer: nn.Module) -> Iterator[None]:
    """Let one layer compute with rounded weights and inputs."""
    weight: Any = layer.weight
    exact = weight.data
    weight.data = _symmetric(exact)
    handle: RemovableHandle = layer.register_forward_pre_hook(
        lambda _layer, inputs: (_between_extremes(inputs[0]), *inputs[1:])
    )
    try:
        yield
    finally:
        handle.remove()
        weight.data = exact


def _symmetric(weight: Tensor) -> Tensor:
    largest = weight.abs().flatten(1).amax(dim=1).clamp(min=torch.finfo(weight.dtype).tiny)
    step = (largest / (LEVELS // 2)).view(-1, *[1] * (weight.ndim - 1))
    return (weight / step).round() * step


def _between_extremes(values: Tensor) -> Tensor:
    low, high = values.min(), values.max()
    step = ((high - low) / LEVELS).clamp(min=torch.finfo(values.dtype).tiny)
    return ((values - low) / step).round() * step + low
