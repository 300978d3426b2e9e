"""Layers that the networks trained from scratch share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from casting_inspect.errors import UserError
from casting_inspect.models.contrast import CONTRAST_SCALE, contrasts

MOST_DROPPED = 0.999  # share of values: dropping all of them is a mistake
DESCRIBED = 7  # channels of a described picture: grey and six contrasts

GREY_MEAN = 0.5
GREY_STD = 0.25


def check_range(keyword: str, value: float, low: float, high: float) -> None:
    """Check that a constructor's keyword lies in low..high, both included.

    Raises:
        UserError: If it does not.
    """
    if not low <= value <= high:
        raise UserError(f"model.{keyword}={value}: give a number from {low} to {high}.")


def grey(images: Tensor) -> Tensor:
    """Return float32 grey values (N, 1, S, S) in 0..1: the mean of the three channels.

    Castings under white light carry no colour, and one channel makes the first layer cheap.
    """
    return images.float().mean(dim=1, keepdim=True)


def standard(values: Tensor) -> Tensor:
    """Move grey values from 0..1 to about mean 0 and deviation 1, by constants.

    Constants, not the picture's own statistics, so that one place never changes another.
    """
    return (values - GREY_MEAN) / GREY_STD


def described(values: Tensor, side: int | None = None) -> Tensor:
    """Return standardised grey and its six contrasts, float32 (N, 7, h, w).

    Holes of a few pixels in a bright face are lost on a small network that starts from grey values
    alone: it stays at chance for dozens of epochs where with contrasts it learns in a few.

    Args:
        values: Grey (N, 1, h, w) in 0..1.
        side: Side in pixels of the picture that sets the contrasts' scales; default h.
    """
    return torch.cat([standard(values), contrasts(values, side) / CONTRAST_SCALE], dim=1)


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Return a padded convolution with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def four_stages(inputs: int, width: int) -> nn.Sequential:
    """Return four convolutional stages that halve the picture thrice: (N, 4 width, S/8, S/8).

    Args:
        inputs: Channels of the picture or region.
        width: Channels of the first two stages; the others have twice and four times as many.
    """
    return nn.Sequential(
        convolution(inputs, width, size=5, stride=2),
        convolution(width, width),
        nn.MaxPool2d(2),
        convolution(width, 2 * width),
        nn.MaxPool2d(2),
        convolution(2 * width, 4 * width),
    )


def judge(inputs: int, dropout: float, regions: int) -> nn.Sequential:
    """Return the layers that turn the values of one region into its log-odds of defective.

    They start at log-odds of about -log(regions), so that a casting pooled by
    :func:`any_defective` starts at even odds.
    """
    last = nn.Linear(64, 1)
    nn.init.constant_(last.bias, -math.log(regions))
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, 64), nn.ReLU(inplace=True), last)


def any_defective(region_logits: Tensor) -> Tensor:
    """Pool the log-odds z_i of a casting's regions (N, K) to the casting's: log sum_i exp(z_i).

    The odds add up, so one defective region makes the casting defective. Where the odds are small
    this is the noisy-or of the regions; unlike it, its gradient never vanishes.
    """
    return torch.logsumexp(region_logits.float(), dim=1)


def peak_and_mean(grid: Tensor) -> Tensor:
    """Pool (N, C, h, w) to float32 (N, 2C): the largest value and the mean of each channel.

    The largest value carries a defect of few pixels that the mean would dilute.
    """
    grid = grid.float()
    return torch.cat([grid.amax(dim=(2, 3)), grid.mean(dim=(2, 3))], dim=1)


def logits_from_evidence(evidence: Tensor) -> Tensor:
    """Turn the log-odds of defective (N,) into float32 logits (N, 2): defective, normal."""
    evidence = evidence.float()
    return torch.stack([evidence, torch.zeros_like(evidence)], dim=1)
