"""Contrast: how far a place stands out from its surroundings, and pictures without shading."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

CENTRE_SHARES = (1 / 128, 3.5 / 128, 7 / 128)  # of the side: 1, 3 and 7 pixels at 128
LOCAL_SHARE = 1 / 12  # of the side: the window of local contrast, wider than a defect
LOCAL_FLOOR = 0.02  # deviation below which a surface counts as plain; JPEG noise is below it
LOCAL_SPREAD = 0.2  # deviation of the result, about that of natural pictures
CONTRAST_SCALE = 0.1  # brings contrasts of castings to about the range of standardised grey
FEW = 8  # pictures at a time on a CPU: what is compared stays in its caches


def local_contrast(values: Tensor) -> Tensor:
    """Return pictures with the local mean taken out and the local deviation made the same.

    Brightness, shading and the contrast of the lamp are gone, edges and texture stay. The window is
    a twelfth of the side, boxes applied twice (close to a Gaussian's weight). Divisive local
    normalisation as in Jarrett et al. 2009, "What is the best multi-stage architecture for object
    recognition?", sec. 3.1; window, floor and range are ours.

    Args:
        values: (N, C, h, w) in 0..1; each channel is treated alone.

    Returns:
        float32 (N, C, h, w) in 0..1 around 0.5, whatever the autocast.
    """
    with torch.autocast(values.device.type, enabled=False):
        values = values.float()
        size = odd(values.shape[-2] * LOCAL_SHARE)

        def smooth(picture: Tensor) -> Tensor:
            return box_mean(box_mean(picture, size), size)

        centred = values - smooth(values)
        deviation = smooth(centred.square()).clamp(min=LOCAL_FLOOR**2).sqrt()
        return (0.5 + LOCAL_SPREAD * centred / deviation).clamp(0, 1)


def contrasts(values: Tensor, side: int | None = None) -> Tensor:
    """Return signed contrasts at three scales, two kinds each, float32 (N, 6, h, w) in -1..1.

    Args:
        values: Grey (N, 1, h, w) in 0..1.
        side: Side in pixels of the picture that sets the scales; default h.
    """
    whole = values.shape[-2] if side is None else side
    scales = [centre_contrast(values, odd(whole * share)) for share in CENTRE_SHARES]
    return torch.cat([kind for scale in scales for kind in scale], dim=1)


def centre_contrast(values: Tensor, centre: int) -> tuple[Tensor, Tensor]:
    """Return spot and line contrast, (N, 1, h, w) each: positive for bright, negative for dark.

    The centre's mean is compared with the means of the eight windows of the same size around it.
    Spot: by how much it differs from the most similar of the eight, if it is brighter or darker
    than all of them. Line: the same on the axis, of four, where it stands out most from both sides.
    A straight edge between two even areas has neither; a hole has both; a scratch has the second.

    Args:
        values: Grey (N, 1, h, w).
        centre: Side of a window in pixels, odd.
    """
    means = box_mean(values, centre)
    reach = round(1.5 * centre)
    slant = round(1.5 * centre * 0.7071)
    padded = F.pad(means, (reach, reach, reach, reach), mode="replicate")
    axes = ((0, reach), (reach, 0), (slant, slant), (slant, -slant))
    # a loop over an unknown number of pictures cannot be exported; a GPU prefers large batches
    if torch.compiler.is_compiling() or values.device.type != "cpu" or len(values) <= FEW:
        return _against_sides(means, padded, reach, axes)
    pieces = zip(torch.split(means, FEW), torch.split(padded, FEW), strict=True)
    found = [_against_sides(mean, around, reach, axes) for mean, around in pieces]
    spots, lines = zip(*found, strict=True)
    return torch.cat(spots), torch.cat(lines)


def _against_sides(
    means: Tensor, padded: Tensor, reach: int, axes: Sequence[tuple[int, int]]
) -> tuple[Tensor, Tensor]:
    """Return by how much means differ from the most similar side, and on the best axis."""
    height, width = means.shape[-2:]

    def neighbour(down: int, right: int) -> Tensor:
        return padded[:, :, reach + down :, reach + right :][:, :, :height, :width]

    sides = [(neighbour(y, x), neighbour(-y, -x)) for y, x in axes]
    higher = [torch.maximum(one, other) for one, other in sides]
    lower = [torch.minimum(one, other) for one, other in sides]
    # rounding keeps the order, so the least difference is, to the bit, that with the largest
    spot = means - torch.clamp(means, least(lower), most(higher))
    line = (means - least(higher)).clamp(min=0) - (most(lower) - means).clamp(min=0)
    return spot, line


def least(values: list[Tensor]) -> Tensor:
    """Return the smallest at each place."""
    return functools.reduce(torch.minimum, values)  # without a copy of all of them


def most(values: list[Tensor]) -> Tensor:
    """Return the largest at each place."""
    return functools.reduce(torch.maximum, values)


def box_mean(values: Tensor, size: int) -> Tensor:
    """Return the mean over an odd square window around each place, edges repeated.

    As products with matrices whose row i holds the window around i: on a CPU several times quicker
    than pooling with large windows.

    Args:
        values: (N, C, h, w).
        size: Side of the window in pixels, odd.
    """
    if size == 1:
        return values
    rows, columns = (window_matrix(length, size, values) for length in values.shape[-2:])
    return rows @ values @ columns.T


def window_matrix(length: int, size: int, like: Tensor) -> Tensor:
    """Return (length, length) whose row i takes the mean of ``size`` places around i."""
    offsets = torch.arange(size, device=like.device) - size // 2
    window = (torch.arange(length, device=like.device)[:, None] + offsets).clamp(0, length - 1)
    share = torch.full(window.shape, 1 / size, device=like.device, dtype=like.dtype)
    empty = torch.zeros(length, length, device=like.device, dtype=like.dtype)
    return empty.scatter_add(1, window, share)


def odd(length: float) -> int:
    """Return the odd whole number closest to a positive length, the larger of two."""
    return 2 * int(length / 2) + 1
