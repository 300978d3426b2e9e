"""Maps of evidence: where in a picture a network sees that a casting is defective.

The evidence is the log-odds of defective, ``logit_defective - logit_normal``. A map keeps its sign:
what is below zero speaks for normal. Nothing here depends on how a network was trained.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from casting_inspect.errors import UserError, suggestion
from casting_inspect.labels import DEFECTIVE, NORMAL

AUTO = "auto"
OWN = "own"
"""The map that a network gives itself, without a layer being named or a gradient taken."""
INPUT = ":input"
TURNS = (1, 4, 8)
COARSEST = 16  # a network of the user's own is looked at where a place is 16 pixels at most
REACH = 4.0  # of a Gaussian, in its own widths: beyond it nothing is left

MapOf = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From RGB pictures (N, 3, S, S) in 0..1 to logits (N, 2) and maps (N, h, w)."""


def picture_maps(
    network: nn.Module,
    images: Tensor,
    *,
    layer: str = AUTO,
    weights: Tensor | None = None,
    level: Tensor | None = None,
    smooth: float = 0.0,
    turns: int = 1,
) -> tuple[Tensor, Tensor]:
    """Return logits and maps of evidence at the pictures' own size.

    Args:
        network: In evaluation mode, on the pictures' device; its gradients are not touched.
        images: RGB (N, 3, S, S) in 0..1.
        layer: See `layer_of`; or ``own``: what the network's ``forward_with_map`` gives.
        weights: Of the layer's channels, (C,), the same for every picture (`mean_weights`): no
            gradient is taken. None: each picture's own. Not used with ``own``.
        level: With ``weights``: what of a channel good castings show too, (C,) (`usual_level`); the
            map is then of what is above it (`excess`). None: of all that the channels show.
        smooth: Width (standard deviation) of a Gaussian as a share of S; 0 for none.
        turns: 1 for the picture as it is; 4 for the mean over quarter turns, each map turned back;
            8 for those of the mirrored picture too. Logits are those of the picture as it is.

    Returns:
        Logits float32 (N, 2) and maps float32 (N, S, S).

    Raises:
        UserError: If there is no such layer, or its values have no places.
    """
    name = layer if layer == OWN else layer_of(network, images, layer)

    def one(pictures: Tensor) -> tuple[Tensor, Tensor]:
        if name == OWN:
            logits, grids = own_map(network, pictures)
        elif weights is None:
            logits, grids = grad_cam(network, pictures, name)
        else:
            logits, values = layer_values(network, pictures, name)
            grids = weighted(values, weights) if level is None else excess(values, weights, level)
        return logits, in_picture(network, grids, pictures)

    logits, maps = turned_mean(one, images, turns)
    return logits, smoothed(maps, smooth)


def own_map(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits (N, 2) and the map (N, h, w) that a network gives itself, without gradients.

    Raises:
        UserError: If it gives none.
    """
    with_map = getattr(network, "forward_with_map", None)
    if with_map is None:
        raise UserError(
            f"map.layer={OWN}: {type(network).__name__} has no map of its own; take {AUTO}."
        )
    with torch.no_grad():
        logits, grids = with_map(images)
    return logits.float(), grids.float()[:, 0]


def takes_mean_weights(network: nn.Module) -> bool:
    """Say whether one weight a channel suits all of a network's pictures.

    Not where a network cuts pictures into regions: a region's weights say how much it matters.
    """
    return not hasattr(network, "in_picture")


def mean_weights(network: nn.Module, images: Tensor, layer: str = AUTO) -> Tensor:
    """Return the mean of Grad-CAM's channel weights over some pictures, float32 (C,).

    With them a map needs no gradient. Ours: on castings such maps pointed at defects as well as
    those with each picture's own weights, or better, because a weight that an odd picture moves
    has no say.

    Args:
        network: In evaluation mode.
        images: RGB (N, 3, S, S) in 0..1, such as some training pictures of both classes.
        layer: See `layer_of`.
    """
    return channel_weights(network, images, layer_of(network, images, layer))[2].mean(dim=0)


def grad_cam(network: nn.Module, images: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """Return logits and the signed Grad-CAM of the log-odds of defective at a layer.

    Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based
    localization", eq. 1 and 2, for the log-odds in place of one class's score and without the
    ReLU of eq. 2: a channel's weight is the mean of the evidence's gradient over its places (see
    `channel_weights` for an exception), and the map is the weighted sum of channels. Only what lies
    above the layer is differentiated.

    Args:
        network: In evaluation mode.
        images: RGB (N, 3, S, S) in 0..1.
        layer: The full name of a module whose output is (M, C, h, w); or, with ``:input`` behind
            it, of one that takes such values: then only what this module makes of them counts.

    Returns:
        Logits float32 (N, 2), and maps float32 (M, h, w); M is N, or the number of regions that a
        network cut out of the pictures.

    Raises:
        UserError: If there is no such layer, or its values have no places.
    """
    logits, values, weights = channel_weights(network, images, layer)
    return logits, weighted(values, weights)


def channel_weights(
    network: nn.Module, images: Tensor, layer: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits (N, 2), a layer's values (M, C, h, w) and Grad-CAM's weights of them (M, C).

    Where a network pools a layer by its peaks (``map_at_peaks``), a weight is the gradient at the
    channel's largest place. There it says what a place adds by being the peak; the mean over all
    places, that are not, would let the weight of the pooled mean, which hardly ever decides, count
    as much.
    """
    with torch.no_grad():
        logits, values = watched(network, images, layer, differentiable=True)
        evidence = (logits[:, DEFECTIVE] - logits[:, NORMAL]).sum()
        (gradient,) = torch.autograd.grad(evidence, values)
    values, gradients = values.detach().float(), gradient.float().flatten(2)
    if getattr(network, "map_at_peaks", False):
        weights = gradients.gather(2, values.flatten(2).argmax(dim=2, keepdim=True)).squeeze(2)
    else:
        weights = gradients.mean(dim=2)
    return logits.detach().float(), values, weights


def layer_values(network: nn.Module, images: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """Return logits (N, 2) and a layer's values (M, C, h, w), without gradients."""
    with torch.no_grad():
        logits, values = watched(network, images, layer, differentiable=False)
    return logits.float(), values.float()


def watched(
    network: nn.Module, images: Tensor, layer: str, *, differentiable: bool
) -> tuple[Tensor, Tensor]:
    """Run a network and return its logits and a layer's values; to be called without gradients.

    Args:
        network: In evaluation mode.
        images: RGB (N, 3, S, S) in 0..1.
        layer: The full name of a module, or that with ``:input``.
        differentiable: Whether gradients are on from the layer upwards, and stay on.
    """
    found: list[Tensor] = []

    def keep(values: object) -> Tensor:
        check_places(layer, values)
        assert isinstance(values, Tensor)
        found[:] = [values.detach().requires_grad_(differentiable)]
        if differentiable:
            torch.set_grad_enabled(True)
        return found[0].clone()  # the next layer may work in place

    module, takes_input = module_of(network, layer)
    if takes_input:
        handle = module.register_forward_pre_hook(lambda _module, inputs: keep(inputs[0]))
    else:
        handle = module.register_forward_hook(lambda _module, _inputs, output: keep(output))
    try:
        logits = network(images)
    finally:
        handle.remove()
    if not found:
        raise UserError(f"map.layer={layer}: the network passes it by; name another one.")
    return logits, found[0]


def weighted(values: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum of channels, (M, h, w).

    Args:
        values: (M, C, h, w).
        weights: (M, C), or (C,) for all alike.
    """
    with torch.autocast(values.device.type, enabled=False):
        return torch.einsum("mc,mchw->mhw", weights.expand(values.shape[0], -1), values)


def usual_level(network: nn.Module, images: Tensor, layer: str = AUTO) -> Tensor:
    """Return the mean over good castings of each channel's largest value, float32 (C,).

    Args:
        network: In evaluation mode.
        images: RGB (N, 3, S, S) in 0..1, such as some good training castings.
        layer: See `layer_of`.
    """
    values = layer_values(network, images, layer_of(network, images, layer))[1]
    return values.amax(dim=(2, 3)).mean(dim=0)


def excess(values: Tensor, weights: Tensor, level: Tensor) -> Tensor:
    """Return what speaks for a defect and is stronger than good castings show it, (M, h, w).

    Ours. A channel that fires at a hole's edge fires at the casting's own edges too, so that the
    weighted sum of channels is largest on a rim or a bore. What a channel shows anywhere on a good
    casting is therefore no evidence of a defect; only what exceeds it is, where the channel's
    weight speaks for defective. Nothing is below zero. How well it points, and how much of it
    outlives a head drawn anew: experiments/heatmaps.

    Args:
        values: (M, C, h, w).
        weights: (C,).
        level: (C,), as `usual_level` gives it.
    """
    return weighted((values - level[:, None, None]).clamp(min=0), weights.clamp(min=0))


def module_of(network: nn.Module, layer: str) -> tuple[nn.Module, bool]:
    """Return a layer by its full name, and whether its input is meant (``NAME:input``).

    Raises:
        UserError: If there is none of that name.
    """
    name = layer.removesuffix(INPUT)
    named = dict(network.named_modules())
    named.pop("", None)
    if name not in named:
        raise UserError(
            f"map.layer={layer}: {type(network).__name__} has no layer of that name."
            f"{suggestion(name, named)}"
        )
    return named[name], name != layer


def check_places(layer: str, values: object) -> None:
    """Check that a layer's output is a grid with more than one place.

    Raises:
        UserError: If it is not.
    """
    if not isinstance(values, Tensor) or values.ndim != 4 or values[0, 0].numel() < 2:
        raise UserError(
            f"map.layer={layer}: its values have no places in the picture; name a convolution or "
            "the layer after it."
        )


def layer_of(network: nn.Module, images: Tensor, layer: str = AUTO) -> str:
    """Return the full name of the layer at which the map is taken.

    Args:
        network: In evaluation mode.
        images: RGB (N, 3, S, S) in 0..1; one is enough.
        layer: A full name; or ``auto``: the network's own ``map_layer``, and where it has none the
            last layer whose places are 16 pixels at most.

    Raises:
        UserError: If there is no such layer, or none is that fine.
    """
    if layer != AUTO:
        module_of(network, layer)
        return layer
    own = getattr(network, "map_layer", None)
    return str(own) if own is not None else finest_last_layer(network, images[:1])


def finest_last_layer(network: nn.Module, images: Tensor) -> str:
    """Return the last layer to run whose output (N, C, h, w) has places of at most 16 pixels.

    Raises:
        UserError: If there is none: then the network is not convolutional.
    """
    found: list[str] = []
    least = -(-images.shape[-1] // COARSEST)

    def note(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) >= least:
            found.append(name)

    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
        for name, module in network.named_modules()
        if name and not list(module.children())
    ]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise UserError(
            f"{type(network).__name__} has no layer with places of {COARSEST} pixels or less, so "
            "no map can be taken; name a coarser one with map.layer=NAME"
        )
    return found[-1]


def in_picture(network: nn.Module, grids: Tensor, images: Tensor) -> Tensor:
    """Bring the maps of a layer (M, h, w) to the pictures' places and size, (N, S, S).

    A network that cuts pictures into regions says itself where they lie (``in_picture``).
    """
    own = getattr(network, "in_picture", None)
    side = images.shape[-1]
    return resized(grids, side) if own is None else own(grids, images)


def resized(grids: Tensor, side: int) -> Tensor:
    """Return maps (N, h, w) at a side in pixels, linear between the middles of places."""
    sized = F.interpolate(grids[:, None], size=(side, side), mode="bilinear", align_corners=False)
    return sized[:, 0]


def smoothed(maps: Tensor, width: float) -> Tensor:
    """Return maps (N, S, S) under a Gaussian, the border's values repeated around.

    Args:
        maps: (N, S, S).
        width: Its standard deviation as a share of S; 0 changes nothing.
    """
    if width == 0:
        return maps
    # as a product with a matrix: on a CPU quicker than a convolution with a long kernel
    rows = gaussian_rows(maps.shape[-1], width).to(maps.device, maps.dtype)
    return on_both_sides(maps, rows)


def gaussian_rows(side: int, width: float) -> Tensor:
    """Return the matrix (S, S) by which a column of S values is smoothed, the last ones repeated.

    Args:
        side: S.
        width: The Gaussian's standard deviation as a share of S, above 0.
    """
    reach = int(REACH * width * side) + 1
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets / (width * side)) ** 2)
    places = (torch.arange(side)[:, None] + offsets).clamp(0, side - 1)
    shares = (weights / weights.sum()).expand(side, -1)
    return torch.zeros(side, side).scatter_add(1, places, shares)


def spreading_rows(places: int, side: int, width: float) -> Tensor:
    """Return the matrix (S, h) that does to a side of a grid what `resized` and `smoothed` do.

    Args:
        places: h, the grid's places a side.
        side: S, the picture's pixels a side.
        width: See `smoothed`.
    """
    rows = F.interpolate(torch.eye(places)[None], size=side, mode="linear", align_corners=False)
    between = rows[0].T
    return between if width == 0 else gaussian_rows(side, width) @ between


def on_both_sides(maps: Tensor, rows: Tensor) -> Tensor:
    """Return maps (N, h, h) after a matrix (S, h) on their rows and their columns, (N, S, S)."""
    with torch.autocast(maps.device.type, enabled=False):
        return rows @ maps @ rows.T


def turned_mean(map_of: MapOf, images: Tensor, turns: int) -> tuple[Tensor, Tensor]:
    """Return logits of the pictures and the mean of their copies' maps, each turned back.

    Args:
        map_of: What gives logits (N, 2) and maps (N, S, S) of pictures.
        images: RGB (N, 3, S, S) in 0..1.
        turns: 1, 4 (quarter turns) or 8 (those of the mirrored picture too).

    Raises:
        ValueError: If ``turns`` is another number.
    """
    if turns not in TURNS:
        raise ValueError(f"turns={turns}: must be one of {TURNS}")
    logits, total = map_of(images)
    for copy in range(1, turns):
        quarter, mirrored = copy % 4, copy >= 4
        pictures = torch.rot90(images, quarter, (2, 3))
        maps = map_of(pictures.flip(3) if mirrored else pictures)[1]
        total = total + torch.rot90(maps.flip(2) if mirrored else maps, -quarter, (1, 2))
    return logits, total / turns
