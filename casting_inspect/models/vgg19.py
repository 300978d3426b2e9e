"""VGG-19 from torchvision with one of three heads: the paper's, pooled, or attention."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn

from casting_inspect.errors import UserError, suggestion
from casting_inspect.models.heads import (
    CLASSES,
    AttentionHead,
    PooledHead,
    initialise_linear,
)
from casting_inspect.models.weights import load_weights

HEADS = ("gap", "paper", "attention")
CHANNELS = 512
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # torchvision.transforms._presets.ImageClassification
IMAGENET_STD = (0.229, 0.224, 0.225)


class Vgg19(nn.Module):
    """Transfer learning with VGG-19, the paper's model, for pictures of any side of 64 or more.

    The paper's: VGG-19 pretrained on ImageNet with all its convolutional and pooling layers kept,
    and the last layer replaced by two outputs (``head="paper"``). Ours: the other two heads, the
    dropout in them, and what is trained when, which the paper does not say. Pictures are
    normalised with ImageNet's mean and deviation inside. Head and logits are float32 whatever the
    autocast.

    Args:
        head: ``paper`` keeps ImageNet's two hidden fully connected layers and replaces the last by
            Linear(4096, 2); ``gap`` averages the last feature grid, then dropout and
            Linear(512, 2); ``attention`` weighs the grid's places by a learned map instead.
        weights: ``imagenet`` (torchvision's, from its cache or the network), the path of a state
            dict, or ``none`` (He initialisation; needs a GPU to learn, or ``batch_norm``).
        batch_norm: Take torchvision's ``vgg19_bn``.
        dropout: Share of values dropped before the last layer while training (with
            ``head="paper"`` also between the fully connected layers), 0 to below 1.

    Attributes:
        cache_layer: ``fc2`` (N, 4096), ``pooled`` (N, 512) or ``grid`` (N, 512, S/32, S/32).
        derivable: Other layers whose stored values give this one's, and how.

    Raises:
        UserError: If a value is not valid or the weights cannot be had or do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        head: str = "gap",
        weights: str = "imagenet",
        batch_norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if head not in HEADS:
            options = ", ".join(HEADS)
            raise UserError(
                f"model.head={head}: not one of {options}.{suggestion(str(head), HEADS)}"
            )
        if not 0.0 <= dropout < 1.0:
            raise UserError(f"model.dropout={dropout}: give a share from 0 to below 1.")
        # buffers out of the state dict: constants, the same whatever the weights
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.head_name = head
        self.cache_layer = {"paper": "fc2", "gap": "pooled", "attention": "grid"}[head]
        # what is stored for the attention head gives the pooled values without another pass
        self.derivable = {"grid": pooled} if head == "gap" else {}
        self._add_layers(head, batch_norm, dropout)
        self._fill(weights, batch_norm)

    def _add_layers(self, head: str, batch_norm: bool, dropout: float) -> None:
        """Take torchvision's layers without drawing their values, and draw those of a new head."""
        build = torchvision.models.vgg19_bn if batch_norm else torchvision.models.vgg19
        with torch.device("meta"):  # 140 million numbers are not drawn only to be overwritten
            network = build(weights=None, init_weights=False, dropout=dropout)
        self.features: nn.Sequential = network.features
        if head == "paper":
            self.avgpool: nn.Module = network.avgpool
            self.classifier: nn.Sequential = network.classifier
            self.classifier[-1] = nn.Linear(network.classifier[-1].in_features, CLASSES)
            initialise_linear(self.classifier[-1])
        elif head == "gap":
            self.head: nn.Module = PooledHead(CHANNELS, dropout)
        else:
            self.head = AttentionHead(CHANNELS, dropout)

    def _fill(self, weights: str, batch_norm: bool) -> None:
        """Give the backbone its values: pretrained ones, or He's."""
        backbone = self._backbone_modules()
        if weights == "none":
            self.pretrained, self.weights_name, self.weights_digest = False, "none", "none"
        else:
            expected = {
                name: value.shape
                for name, value in self.state_dict().items()
                if value.is_meta and not name.endswith("num_batches_tracked")
            }
            loaded = load_weights(weights, expected, batch_norm=batch_norm)
            self.pretrained = True
            self.weights_name, self.weights_digest = loaded.name, loaded.digest
        for module in backbone:
            module.to_empty(device="cpu", recurse=False)
            if weights == "none" or isinstance(module, nn.BatchNorm2d):
                initialise_he(module)
        if weights != "none":
            self.load_state_dict(loaded.state, strict=False)  # the head stays; the rest is checked

    def _backbone_modules(self) -> list[nn.Module]:
        """Return every layer that is not the head."""
        hidden = list(self.classifier)[:-1] if self.head_name == "paper" else []
        return [*self.features, *hidden]

    def backbone_features(self, images: Tensor) -> Tensor:
        """Return the values before the head: what is stored when the backbone is frozen.

        Dropout and batch normalisation inside follow the modules' own modes: call it in evaluation
        mode to store features.

        Args:
            images: RGB (N, 3, S, S) in 0..1, S at least 64.

        Returns:
            ``fc2``: (N, 4096) after the second fully connected layer's ReLU; ``pooled``: (N, 512)
            float32; ``grid``: (N, 512, S/32, S/32). Autocast's type except for ``pooled``.
        """
        grid: Tensor = self.features((images - self.mean) / self.std)
        if self.head_name == "gap":
            # rounded as a stored grid is: pooled now or from the store, the bits are the same
            return pooled(grid if self.training else grid.half())
        if self.head_name == "attention":
            return grid
        values = torch.flatten(self.avgpool(grid), 1)
        for layer in self.classifier[:5]:
            values = layer(values)
        return values

    def head_logits(self, features: Tensor) -> Tensor:
        """Map values of ``backbone_features`` to float32 logits (N, 2)."""
        with torch.autocast(features.device.type, enabled=False):
            if self.head_name == "paper":
                logits: Tensor = self.classifier[6](self.classifier[5](features.float()))
            else:
                logits = self.head(features.float())
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB (N, 3, S, S) in 0..1 to float32 logits (N, 2): defective, normal."""
        return self.head_logits(self.backbone_features(images))

    def forward_with_map(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, 2) and the attention map (N, 1, S/32, S/32), both float32.

        The map is positive and of sum 1 in each picture.

        Raises:
            UserError: If the head is not ``attention``.
        """
        head = getattr(self, "head", None)
        if not isinstance(head, AttentionHead):
            raise UserError(f"model.head={self.head_name} has no map. Take model.head=attention.")
        grid = self.backbone_features(images)
        with torch.autocast(grid.device.type, enabled=False):
            return head.with_map(grid.float())

    def head_modules(self) -> list[nn.Module]:
        """Return what is trained while the backbone is frozen: with ``paper`` the last layer."""
        return [self.classifier[6]] if self.head_name == "paper" else [self.head]

    def stages(self) -> list[list[nn.Module]]:
        """Return the backbone's parts, the top first: hidden layers (``paper``), blocks 5 to 1."""
        blocks: list[list[nn.Module]] = [[]]
        for layer in self.features:
            blocks[-1].append(layer)
            if isinstance(layer, nn.MaxPool2d):
                blocks.append([])
        hidden = [list(self.classifier)[:6]] if self.head_name == "paper" else []
        return hidden + blocks[-2::-1]


def pooled(grid: Tensor) -> Tensor:
    """Return the mean over the places of a feature grid (N, C, h, w): float32 (N, C)."""
    return grid.float().contiguous().mean(dim=(2, 3))


def initialise_he(module: nn.Module) -> None:
    """Draw He's initialisation (He et al. 2015) as torchvision's VGG does, zero biases.

    Convolutions: variance 2 / fan-out; hidden linear layers: variance 2 / fan-in; batch
    normalisation: scale 1, running mean 0 and variance 1. Other modules are left alone.
    """
    if isinstance(module, nn.BatchNorm2d):
        module.reset_parameters()
    elif isinstance(module, nn.Conv2d | nn.Linear):
        by_inputs = isinstance(module, nn.Linear)
        nn.init.kaiming_normal_(
            module.weight, mode="fan_in" if by_inputs else "fan_out", nonlinearity="relu"
        )
        if module.bias is not None:
            nn.init.zeros_(module.bias)
