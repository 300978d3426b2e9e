"""In the style of Lin et al. 2018: contrast marks suspicious regions, a network looks at those."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from casting_inspect.errors import UserError
from casting_inspect.models.contrast import CENTRE_SHARES, centre_contrast, odd
from casting_inspect.models.layers import (
    DESCRIBED,
    MOST_DROPPED,
    any_defective,
    check_range,
    described,
    four_stages,
    grey,
    judge,
    logits_from_evidence,
    peak_and_mean,
)

CELL = 8  # pixels: at most one region from a cell of this side


class Lin2018(nn.Module):
    """Regions that differ from their surround are cut out, and a shared network judges each.

    The paper's (Lin, Yao, Ma and Wang 2018, "Detection of a casting defect tracked by deep
    convolution neural network"): the centre-peripheral difference of grey values marks suspicious
    regions, and a CNN trained from scratch describes each region. The paper follows regions through
    a sequence of X-ray pictures; we have single pictures, so that step is left out. Ours, because
    neither layers, input size, loss nor optimiser could be found: three scales, the number and size
    of the regions, the layers, and training from the casting's label alone. The casting's log-odds
    of defective are log sum_i exp(z_i), z_i the log-odds of region i.

    Takes square pictures of any side of 64 or more; made for 128. Regions are cut at the picture's
    own resolution.

    Args:
        regions: Suspicious regions that are looked at in each picture, 1 to 64.
        crop: Side of a region in pixels, even, 8 to 128.
        width: Channels of the first two stages; the others have twice and four times as many.
        dropout: Share of a region's values dropped while training, 0 to below 1.

    Attributes:
        map_layer: Where maps of evidence are taken (:mod:`casting_inspect.models.maps`).

    Raises:
        UserError: If a value is out of its range.
    """

    map_layer = "features"

    def __init__(
        self, *, regions: int = 16, crop: int = 32, width: int = 16, dropout: float = 0.2
    ) -> None:
        super().__init__()
        check_range("regions", regions, 1, 64)  # a picture of 64 x 64 has 64 cells
        check_range("crop", crop, 8, 128)
        if crop % 2:
            raise UserError(f"model.crop={crop}: give an even number of pixels.")
        check_range("width", width, 1, 512)
        check_range("dropout", dropout, 0, MOST_DROPPED)
        self.regions = regions
        self.crop = crop
        self.features = four_stages(DESCRIBED, width)
        self.judge = judge(8 * width, dropout, regions)
        self.to(memory_format=torch.channels_last)  # a third to a half quicker on CPUs

    def suspicious_regions(self, images: Tensor) -> Tensor:
        """Return how far each place stands out from its surround, float32 (N, 1, S, S), 0..1.

        The mean over three scales of the spot contrast, bright on dark and dark on bright alike:
        the difference between the mean of a centre and the most similar of eight windows around
        it, where the centre is brighter or darker than all eight. Taking the most similar and not
        the mean of the periphery is ours: straight edges, of which a casting is full, are then not
        suspicious. Nothing here is learned.
        """
        with torch.autocast(images.device.type, enabled=False):
            values = grey(images)
            side = values.shape[-1]
            spots = [centre_contrast(values, odd(side * share))[0] for share in CENTRE_SHARES]
            return torch.cat(spots, dim=1).abs().mean(dim=1, keepdim=True)

    def region_centres(self, contrast: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows and columns (N, K) of the K most suspicious places, the first the worst.

        The peak of each 8 x 8 cell is a candidate; peaks that are the largest among the nine cells
        around them come first, so that one strong edge does not take all the regions.
        """
        peaks, positions = F.max_pool2d(contrast, CELL, ceil_mode=True, return_indices=True)
        largest = peaks == F.max_pool2d(peaks, 3, stride=1, padding=1)
        rank = (peaks + largest).flatten(1)  # contrast is at most 1: local peaks before all others
        chosen = rank.topk(self.regions, dim=1).indices
        places = positions.flatten(1).gather(1, chosen)
        side = contrast.shape[-1]
        return torch.div(places, side, rounding_mode="floor"), places % side

    def cut(self, values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Cut regions (N * K, C, crop, crop) around K centres out of (N, C, S, S)."""
        half = self.crop // 2
        padded = F.pad(values, (half, half, half, half), mode="replicate")
        offsets = torch.arange(self.crop, device=values.device)
        picture = torch.arange(values.shape[0], device=values.device)[:, None, None, None]
        y = (rows[:, :, None] + offsets)[:, :, :, None]
        x = (columns[:, :, None] + offsets)[:, :, None, :]
        regions = padded.permute(0, 2, 3, 1)[picture, y, x]
        return regions.flatten(0, 1).permute(0, 3, 1, 2)

    def region_logits(self, images: Tensor) -> Tensor:
        """Return the log-odds that each region is defective, float32 (N, K)."""
        with torch.autocast(images.device.type, enabled=False):
            pictures = described(grey(images))
            rows, columns = self.region_centres(self.suspicious_regions(images))
            regions = self.cut(pictures, rows, columns)
        pooled = peak_and_mean(self.features(regions))
        with torch.autocast(images.device.type, enabled=False):
            judged: Tensor = self.judge(pooled)
        return judged.reshape(images.shape[0], self.regions)

    def in_picture(self, grids: Tensor, images: Tensor) -> Tensor:
        """Put the maps of regions (N * K, h, w) back to where they were cut, (N, S, S).

        Where regions overlap, the largest value stays; where none lies it is 0.
        """
        rows, columns = self.region_centres(self.suspicious_regions(images))
        half, (count, side) = self.crop // 2, (images.shape[0], images.shape[-1])
        whole = side + self.crop  # with the border that `cut` adds
        maps = F.interpolate(grids[:, None], size=(self.crop, self.crop), mode="bilinear")
        offsets = torch.arange(self.crop, device=images.device)
        y = (rows[:, :, None] + offsets)[:, :, :, None]
        x = (columns[:, :, None] + offsets)[:, :, None, :]
        places = (y * whole + x).flatten(1)
        empty = torch.zeros(count, whole * whole, device=grids.device, dtype=grids.dtype)
        put = empty.scatter_reduce(1, places, maps.reshape(count, -1), "amax", include_self=False)
        return put.reshape(count, whole, whole)[:, half : half + side, half : half + side]

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB (N, 3, S, S) in 0..1 to float32 logits (N, 2): defective, normal."""
        return logits_from_evidence(any_defective(self.region_logits(images)))
