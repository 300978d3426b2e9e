"""VGG-19 that ends the process at its first training batch; for startup.py."""

from __future__ import annotations

import os

from torch import Tensor

from casting_inspect.models.vgg19 import Vgg19


class FirstBatch(Vgg19):
    """`train` with this network lasts until the first batch is there."""

    def __init__(self, weights: str = "none") -> None:
        super().__init__(head="gap", weights=weights)

    def forward(self, images: Tensor) -> Tensor:
        """End the process."""
        assert images.ndim == 4
        os._exit(0)
