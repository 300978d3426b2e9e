"""What a network with a pretrained backbone offers beside its forward pass."""

from __future__ import annotations

from typing import Protocol, TypeGuard, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class SplitNetwork(Protocol):
    """A network that is a backbone and a head, so that the two can be trained apart.

    Every network maps RGB pictures (N, 3, S, S) in 0..1 to float32 logits (N, 2), index 0 defective
    and 1 normal; a network of this kind can also be frozen, opened stage by stage, and trained on
    stored features. A network without these attributes can be trained as a whole only.

    Attributes:
        cache_layer: Name of the layer whose values are stored; part of the cache's key.
        pretrained: False when the backbone started from random values.
        weights_name: ``imagenet``, ``none``, or the weights file's name.
        weights_digest: SHA-256 of the weights file, or ``none``.
    """

    cache_layer: str
    pretrained: bool
    weights_name: str
    weights_digest: str

    def backbone_features(self, images: Tensor) -> Tensor:
        """Return what is stored for each picture; to be called in evaluation mode for that."""
        ...

    def head_logits(self, features: Tensor) -> Tensor:
        """Return float32 logits (N, 2): ``forward(x)`` is ``head_logits(backbone_features(x))``."""
        ...

    def head_modules(self) -> list[nn.Module]:
        """Return the modules that are trained while the backbone is frozen."""
        ...

    def stages(self) -> list[list[nn.Module]]:
        """Return the backbone's parts in the order in which they are opened, the top first."""
        ...


def is_split(network: nn.Module) -> TypeGuard[SplitNetwork]:
    """Say whether a network can be frozen, opened stage by stage and trained on stored features."""
    return isinstance(network, SplitNetwork)
