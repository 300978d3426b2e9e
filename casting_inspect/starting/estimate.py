"""How long training will take: a few pictures timed through the network that will see all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import nn

from casting_inspect.data.decode import Window, read_square
from casting_inspect.models.cnn import SmallCnn
from casting_inspect.models.vgg19 import Vgg19
from casting_inspect.training.precision import (
    autocast,
    device_of,
    resolve_accelerator,
    resolve_precision,
)

SIZES: Final = (448, 320, 224)
"""Picture sizes of VGG-19, the largest first: it sees most and costs most."""
_TIMED_AT: Final = 224
_REPEATS: Final = 3
_DRAWN: Final = 3 * 24 * 6
"""Further passes, for heatmaps: there and back costs three, up to 24 pictures in each of six
reports (``report.most``; five test parts and the whole)."""


@dataclass(frozen=True)
class Course:
    """How VGG-19 will be run.

    Attributes:
        image_size: Pixels a side.
        seconds: For all pictures once through the network, and the heatmaps of the reports.
    """

    image_size: int
    seconds: float


def vgg19_course(
    pictures: Sequence[Path],
    number: int,
    weights: str,
    longest_side: int,
    budget: float,
    size: int | None = None,
    window: Window | None = None,
) -> Course:
    """Return the largest picture size at which the pictures pass the network within a budget.

    The cost of a convolution goes with the number of pixels, so that one size is timed and the
    others follow.

    Args:
        pictures: Those that are timed.
        number: Of all pictures.
        weights: As ``model.weights``.
        longest_side: Of the largest picture: no size above it brings anything.
        budget: Seconds; where nothing fits, the smallest size is taken all the same.
        size: The picture size, where it is given.
        window: For pictures of more than 8 bits.
    """
    sizes = SIZES if size is None else (size,)
    one = _seconds_a_picture(pictures, Vgg19(head="pyramid", weights=weights), window)
    courses = [Course(side, (number + _DRAWN) * one * (side / _TIMED_AT) ** 2) for side in sizes]
    useful = [course for course in courses if course.image_size <= longest_side] or courses[-1:]
    return next((course for course in useful if course.seconds <= budget), useful[-1])


def _seconds_a_picture(pictures: Sequence[Path], network: Vgg19, window: Window | None) -> float:
    """Return the median over a few passes of a small batch, reading and resizing included."""
    accelerator = resolve_accelerator("auto")
    device, precision = device_of(accelerator), resolve_precision("auto", accelerator)
    network = network.to(device).eval()
    taken = []
    with torch.inference_mode(), autocast(device, precision):
        for _ in range(_REPEATS + 1):  # the first one warms up
            start = time.perf_counter()
            images = _batch(pictures, window).to(device)
            network.backbone_features(images).float().cpu()
            taken.append((time.perf_counter() - start) / len(pictures))
    return statistics.median(taken[1:])


def _batch(pictures: Sequence[Path], window: Window | None) -> torch.Tensor:
    squares = [read_square(path, _TIMED_AT, window=window) for path in pictures]
    stacked = torch.stack([torch.from_numpy(square).permute(2, 0, 1) for square in squares])
    return stacked.expand(-1, 3, -1, -1).float().div(255)


def cnn_seconds(number: int, image_size: int, epochs: int, fits: int) -> float:
    """Return how long the small network takes from scratch: steps on noise, timed.

    Args:
        number: Pictures that train.
        image_size: Pixels a side.
        epochs: At most.
        fits: How many times it is trained.
    """
    batch = 32
    network = SmallCnn()
    optimizer = torch.optim.AdamW(network.parameters())
    images, labels = torch.rand(batch, 3, image_size, image_size), torch.arange(batch) % 2
    taken = []
    for _ in range(_REPEATS + 1):
        start = time.perf_counter()
        loss = nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        taken.append((time.perf_counter() - start) / batch)
    return statistics.median(taken[1:]) * number * epochs * fits


def duration(seconds: float) -> str:
    """Return a time in words, as coarse as an estimate is."""
    if seconds < 90:
        return f"{max(10, 10 * round(seconds / 10))} seconds"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"
