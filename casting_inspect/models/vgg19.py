"""VGG-19 from torchvision with one of four heads: the paper's, pooled, pyramid, or attention."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn

from casting_inspect.errors import UserError, suggestion
from casting_inspect.models.contrast import local_contrast
from casting_inspect.models.heads import (
    CLASSES,
    AttentionHead,
    PooledHead,
    initialise_linear,
)
from casting_inspect.models.weights import load_weights

HEADS = ("gap", "paper", "attention", "pyramid")
CONTRASTS = ("none", "local")
CHANNELS = 512
PYRAMID_BLOCKS = (2, 3, 4)  # of VGG's five, counted from 0
MAP_BLOCK = 3  # of the five: finer than block 5, and still tells defects from edges
PYRAMID_CHANNELS = 2 * (256 + 512 + 512)  # mean and maximum of each block
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # torchvision.transforms._presets.ImageClassification
IMAGENET_STD = (0.229, 0.224, 0.225)


class Vgg19(nn.Module):
    """Transfer learning with VGG-19, the paper's model, for pictures of any side of 64 or more.

    The paper's: VGG-19 pretrained on ImageNet with all its convolutional and pooling layers kept,
    and the last layer replaced by two outputs (``head="paper"``). Ours: the other three heads, the
    dropout in them, local contrast, and what is trained when, which the paper does not say.
    Pictures are normalised with ImageNet's mean and deviation inside. Head and logits are float32
    whatever the autocast.

    Args:
        head: ``paper`` keeps ImageNet's two hidden fully connected layers and replaces the last by
            Linear(4096, 2); ``gap`` averages the last feature grid, then dropout and
            Linear(512, 2); ``attention`` weighs the grid's places by a learned map instead;
            ``pyramid`` takes mean and maximum of the last layer of blocks 3, 4 and 5, so that a
            small hole is not averaged away, then dropout and Linear(2560, 2).
        weights: ``imagenet`` (torchvision's, from its cache or the network), the path of a state
            dict, or ``none`` (He initialisation; needs a GPU to learn, or ``batch_norm``).
        batch_norm: Take torchvision's ``vgg19_bn``.
        dropout: Share of values dropped before the last layer while training (with
            ``head="paper"`` also between the fully connected layers), 0 to below 1.
        contrast: ``local`` takes brightness and slow shading out of the picture first
            (:func:`casting_inspect.models.contrast.local_contrast`); ``none`` does not.

    Attributes:
        cache_layer: ``fc2`` (N, 4096), ``pooled`` (N, 512), ``grid`` (N, 512, S/32, S/32) or
            ``pyramid`` (N, 2560), followed by ``-local`` with local contrast.
        derivable: Other layers whose stored values give this one's, and how.
        map_layer: What the pooling after block 4 takes in, S/8 places a side: where maps of
            evidence are taken (:mod:`casting_inspect.models.maps`). With ``pyramid`` they show what
            block 5 makes of it; the means and maxima of blocks 3 and 4 have no part in them.

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
        contrast: str = "none",
    ) -> None:
        super().__init__()
        for key, value, options in (("head", head, HEADS), ("contrast", contrast, CONTRASTS)):
            if value not in options:
                raise UserError(
                    f"model.{key}={value}: not one of {', '.join(options)}."
                    f"{suggestion(str(value), options)}"
                )
        if not 0.0 <= dropout < 1.0:
            raise UserError(f"model.dropout={dropout}: give a share from 0 to below 1.")
        # buffers out of the state dict: constants, the same whatever the weights
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        self.head_name = head
        self.contrast = contrast
        layers = {"paper": "fc2", "gap": "pooled", "attention": "grid", "pyramid": "pyramid"}
        kind = "-local" if contrast == "local" else ""
        self.cache_layer = layers[head] + kind
        # what is stored for the attention head gives the pooled values without another pass
        self.derivable = {"grid" + kind: pooled} if head == "gap" else {}
        self._add_layers(head, batch_norm, dropout)
        pools = [at for at, layer in enumerate(self.features) if isinstance(layer, nn.MaxPool2d)]
        self.map_layer = f"features.{pools[MAP_BLOCK]}:input"
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
        elif head in ("gap", "pyramid"):
            channels = CHANNELS if head == "gap" else PYRAMID_CHANNELS
            self.head: nn.Module = PooledHead(channels, dropout)
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
            float32; ``grid``: (N, 512, S/32, S/32); ``pyramid``: (N, 2560) float32, mean and
            maximum of block 3, 4, 5. ``fc2`` and ``grid`` have autocast's type.
        """
        normalised = self._normalised(images)
        if self.head_name == "pyramid":
            return self._pyramid(normalised)
        grid: Tensor = self.features(normalised)
        if self.head_name == "gap":
            return self._pooled(grid)
        if self.head_name == "attention":
            return grid
        values = torch.flatten(self.avgpool(grid), 1)
        for layer in self.classifier[:5]:
            values = layer(values)
        return values

    def _normalised(self, images: Tensor) -> Tensor:
        """Return pictures as the first layer takes them."""
        if self.contrast == "local":
            images = local_contrast(images)
        return (images - self.mean) / self.std

    def _pooled(self, grid: Tensor) -> Tensor:
        """Return the mean over the places of the last grid: float32 (N, 512)."""
        # rounded as a stored grid is: pooled now or from the store, the bits are the same
        return pooled(grid if self.training else grid.half())

    def _pyramid(self, values: Tensor) -> Tensor:
        """Return mean and maximum over the places of the chosen blocks, (N, 2560) float32."""
        found = []
        block = 0
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                if block in PYRAMID_BLOCKS:
                    floats = values.float()
                    found += [floats.mean(dim=(2, 3)), floats.amax(dim=(2, 3))]
                block += 1
                if block > max(PYRAMID_BLOCKS):
                    break
            values = layer(values)
        rows = torch.cat(found, dim=1)
        return rows if self.training else rows.half().float()  # as a stored row is rounded

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
        """Return logits (N, 2) and a map (N, 1, h, w), both float32, without any gradient.

        ``attention``: the head's own map over S/32 places a side, positive and of sum 1 in each
        picture. ``gap``: the class activation map of the log-odds of defective (Zhou et al. 2016,
        "Learning deep features for discriminative localization", eq. 2), with its sign, over the
        S/16 places a side before the last pooling; it is the Grad-CAM there, up to a factor.

        Raises:
            UserError: If the head has no such map.
        """
        head = getattr(self, "head", None)
        if isinstance(head, AttentionHead):
            grid = self.backbone_features(images)
            with torch.autocast(grid.device.type, enabled=False):
                return head.with_map(grid.float())
        if self.head_name == "gap" and isinstance(head, PooledHead):
            finer = self.features[:-1](self._normalised(images))
            logits = self.head_logits(self._pooled(self.features[-1](finer)))
            with torch.autocast(finer.device.type, enabled=False):
                return logits, class_activation(finer.float(), head)
        raise UserError(
            f"model.head={self.head_name} has no map without gradients. Take model.head=gap or "
            "attention."
        )

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


def class_activation(grid: Tensor, head: PooledHead) -> Tensor:
    """Return what each place of a grid (N, C, h, w) adds to the log-odds of defective.

    Returns:
        (N, 1, h, w); of the grid that the head pools, its mean and the head's offset
        (:meth:`PooledHead.evidence`) make the log-odds.
    """
    weights, _ = head.evidence()
    return torch.einsum("c,nchw->nhw", weights, grid)[:, None]


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
