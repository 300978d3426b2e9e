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


def evidence_of(run: TrainedRun, inspector: Inspector) -> Evidence | None:
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
    blank = torch.zeros(1, 3, side, side, device=inspector.device)
    layer = shared_layer(network, blank)
    if layer is None:
        return None
    places = maps.layer_values(network, blank, layer)[1].shape
    if places[0] != 1 or places[2] != places[3]:
        return None  # not one square grid a picture: channels stand last, or a picture is cut up
    choice = MapChoice(layer=layer, weights="excess")
    referred = replace(inspector, choice=choice)
    referred = referred.referred(run.references(referred, run.folder))
    assert referred.weights is not None
    assert referred.level is not None
    return Evidence(layer, referred.weights, referred.level, places[-1], side)


def shared_layer(network: nn.Module, images: Tensor) -> str | None:
    """Return the layer whose channels weigh the same in every picture; None where there is none.

    Args:
        network: In evaluation mode.
        images: RGB (N, 3, S, S) in 0..1; one is enough.
    """
    if not maps.takes_mean_weights(network):
        return None
    try:
        return maps.layer_of(network, images)
    except UserError:  # not convolutional
        return None
