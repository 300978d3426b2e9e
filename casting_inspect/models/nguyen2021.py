"""In the style of Nguyen et al. 2021: a shared network judges each part of the picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


class Nguyen2021(nn.Module):
    """A shared network on the P x P parts of a picture; a casting is as bad as its parts together.

    The paper's (Nguyen, Choi, Park, Park and Yoon 2021, "Inspecting Method for Defective Casting
    Products with Convolutional Neural Network"): the picture is cut into sub-images, a CNN trained
    from scratch judges each, and what it learns encodes the sub-image's place and whether it has a
    defect. Ours, because neither layers, input size, loss nor optimiser could be found: the
    layers, fixed contrasts beside the grey values, a learned vector for each place, and training
    from the casting's label alone, where the paper labelled every sub-image. The casting's log-odds
    of defective are

        log sum_i exp(z_i),

    z_i the log-odds of part i: the odds of the parts added up, so that one defective part makes the
    casting defective. The picture is cut before the first convolution, so in evaluation mode a part
    tells nothing about another.

    Takes square pictures of any side of 64 or more; made for 128. A side that is no multiple of P
    is filled up by repeating the last row and column.

    Args:
        parts: Parts a side, P, 1 to 8.
        width: Channels of the first two stages; the others have twice and four times as many.
        place_size: Length of the learned vector of a place.
        dropout: Share of a part's values dropped while training, 0 to below 1.

    Attributes:
        map_layer: Where maps of evidence are taken (:mod:`casting_inspect.models.maps`).

    Raises:
        UserError: If a value is out of its range.
    """

    map_layer = "features"

    def __init__(
        self, *, parts: int = 4, width: int = 16, place_size: int = 16, dropout: float = 0.2
    ) -> None:
        super().__init__()
        check_range("parts", parts, 1, 8)  # a part has at least 8 x 8 pixels
        check_range("place_size", place_size, 1, 512)
        check_range("width", width, 1, 512)
        check_range("dropout", dropout, 0, MOST_DROPPED)
        self.parts = parts
        self.features = four_stages(DESCRIBED, width)
        self.places = nn.Parameter(torch.randn(parts * parts, place_size) * 0.1)
        self.judge = judge(8 * width + place_size, dropout, parts * parts)
        self.to(memory_format=torch.channels_last)  # a third to a half quicker on CPUs

    def cut(self, values: Tensor) -> Tensor:
        """Cut (N, 1, S, S) into parts (N * P * P, 1, side, side), row by row."""
        count, channels, height, width = values.shape
        side = -(-max(height, width) // self.parts)
        whole = side * self.parts
        values = F.pad(values, (0, whole - width, 0, whole - height), mode="replicate")
        cut = values.reshape(count, channels, self.parts, side, self.parts, side)
        return cut.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, side, side)

    def part_logits(self, images: Tensor) -> Tensor:
        """Return the log-odds that each part is defective, float32 (N, P, P), rows downwards."""
        with torch.autocast(images.device.type, enabled=False):
            parts = described(self.cut(grey(images)), images.shape[-1])
        pooled = peak_and_mean(self.features(parts))
        with torch.autocast(images.device.type, enabled=False):
            places = self.places.repeat(images.shape[0], 1)
            judged: Tensor = self.judge(torch.cat([pooled, places], dim=1))
        return judged.reshape(-1, self.parts, self.parts)

    def in_picture(self, grids: Tensor, images: Tensor) -> Tensor:
        """Put the maps of parts (N * P * P, h, w) together to those of pictures, (N, S, S)."""
        side = images.shape[-1]
        part = -(-side // self.parts)
        maps = F.interpolate(grids[:, None], size=(part, part), mode="bilinear")
        tiles = maps.reshape(-1, self.parts, self.parts, part, part).permute(0, 1, 3, 2, 4)
        whole = part * self.parts
        return tiles.reshape(-1, whole, whole)[:, :side, :side]  # `cut` filled up right and below

    @staticmethod
    def pool(part_logits: Tensor) -> Tensor:
        """Return the casting's log-odds of defective (N,) from its parts' (N, P, P)."""
        return any_defective(part_logits.flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB (N, 3, S, S) in 0..1 to float32 logits (N, 2): defective, normal."""
        return logits_from_evidence(self.pool(self.part_logits(images)))
