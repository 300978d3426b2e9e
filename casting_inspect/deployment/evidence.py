"""Where a network that ships sees a defect: maps that take no gradient, in the graph itself."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from casting_inspect.errors import UserError
from casting_inspect.models import maps
from casting_inspect.training.trained_run import Inspector, MapChoice, TrainedRun

SMOOTH = MapChoice().smooth


class Evidence(nn.Module):
    """The map that `evaluate` draws (``models.maps.excess``, smoothed), as a part of a graph.

    What takes a gradient or other pictures is done once, before: the weights of a layer's channels
    and the level that they reach on good training castings are constants here.

    Args:
        layer: Full name of the layer, or that with ``:input``.
        weights: Of its channels, (C,).
        level: What good castings show of them, (C,).
        places: The layer's places a side.
        side: Pixels a side of the map, those of the picture that the network sees.
        smooth: See ``models.maps.smoothed``.
    """

    weights: Tensor
    level: Tensor
    rows: Tensor

    def __init__(
        self,
        layer: str,
        weights: Tensor,
        level: Tensor,
        places: int,
        side: int,
        smooth: float = SMOOTH,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("weights", weights.detach().float())
        self.register_buffer("level", level.detach().float())
        self.register_buffer("rows", maps.spreading_rows(places, side, smooth))

    def look(self, network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, 2) and maps (N, S, S) of pictures RGB (N, 3, S, S) in 0..1."""
        logits, values = maps.layer_values(network, images, self.layer)
        grids = maps.excess(values, self.weights, self.level)
        return logits, maps.on_both_sides(grids, self.rows)


class OwnMap(nn.Module):
    """The map that a network gives itself (``forward_with_map``), at its own places."""

    def look(self, network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, 2) and maps (N, h, w) of pictures RGB (N, 3, S, S) in 0..1."""
        return maps.own_map(network, images)


def evidence_of(run: TrainedRun, inspector: Inspector) -> Evidence | OwnMap | None:
    """Return how a run's network shows where it sees a defect, or None where it has no such map.

    A network that cuts pictures into regions has one map a region, each with weights of its own:
    that takes gradients, picture by picture.

    Args:
        run: The run, whose training pictures say what good castings show.
        inspector: Its network.

    Raises:
        UserError: If these pictures are not there.
    """
    network, side = inspector.network, inspector.image_size
    layer = shared_layer(network, side, inspector.device)
    if layer is None:
        return OwnMap() if hasattr(network, "forward_with_map") else None
    choice = MapChoice(layer=layer, weights="excess")
    referred = replace(inspector, choice=choice)
    referred = referred.referred(run.references(referred, run.folder))
    assert referred.weights is not None
    assert referred.level is not None
    blank = torch.zeros(1, 3, side, side, device=inspector.device)
    places = maps.layer_values(network, blank, layer)[1].shape[-1]
    return Evidence(layer, referred.weights, referred.level, places, side)


def shared_layer(network: nn.Module, side: int, device: torch.device | str = "cpu") -> str | None:
    """Return the layer whose channels weigh the same in every picture; None where there is none."""
    if not maps.takes_mean_weights(network):
        return None
    try:
        return maps.layer_of(network, torch.zeros(1, 3, side, side, device=device))
    except UserError:  # not convolutional
        return None
