"""What is trainable, as a pure function of the epoch, and with which learning rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from casting_inspect.errors import UserError
from casting_inspect.models.protocol import SplitNetwork, is_split

STRATEGIES = ("frozen", "probe", "gradual", "full")
ON_FEATURES = ("frozen", "probe")
"""Strategies that leave the backbone as it is."""


def resolve_strategy(strategy: str, network: nn.Module) -> str:
    """Return ``frozen``, ``probe``, ``gradual`` or ``full`` for a configured strategy.

    ``auto`` is frozen where the network brings pretrained weights, else full.

    Raises:
        UserError: If a network without a backbone is to be frozen or opened gradually.
    """
    if strategy == "auto":
        return "frozen" if is_split(network) and network.pretrained else "full"
    if strategy != "full" and not is_split(network):
        raise UserError(
            f"finetune={strategy} needs a network with a backbone and a head, and "
            f"{type(network).__name__} has none: use finetune=full"
        )
    return strategy


def open_modules(
    network: nn.Module, strategy: str, epoch: int, open_every: int
) -> list[nn.Module] | None:
    """Return the modules that learn in an epoch; None means the whole network.

    A pure function of its arguments, so that a resumed run needs no memory of what was open.

    Args:
        network: The network; a ``SplitNetwork`` unless the strategy is full.
        strategy: ``frozen`` (the head), ``gradual`` (the head, and one stage of the backbone
            more every ``open_every`` epochs, from the top) or ``full``.
        epoch: Counted from 0.
        open_every: Epochs between openings, at least 1.
    """
    if strategy == "full" or not is_split(network):
        return None
    opened = list(network.head_modules())
    if strategy == "gradual":
        for stage in network.stages()[: epoch // open_every]:
            opened += stage
    return opened


def set_trainable(network: nn.Module, opened: list[nn.Module] | None) -> None:
    """Freeze everything but ``opened``: no gradients, and evaluation mode (dropout, batch norm)."""
    network.train(opened is None)
    network.requires_grad_(opened is None)
    for module in opened or []:
        module.train()
        module.requires_grad_(True)


def parameter_groups(
    network: nn.Module, strategy: str, head_lr: float, backbone_lr: float
) -> list[dict[str, Any]]:
    """Return the optimizer's groups: the backbone's and the head's, each with its rate.

    All parameters that may ever learn are in from the start, frozen ones without a gradient are
    passed over by the optimizer: nothing has to be added, or remembered, later. A network
    without a pretrained backbone has one group with ``head_lr``.
    """
    every = list(network.parameters())
    if not is_split(network):
        return [{"params": every, "lr": head_lr, "name": "network"}]
    head = _parameters(network.head_modules())
    groups = [{"params": head, "lr": head_lr, "name": "head"}]
    if strategy != "frozen":
        in_head = {id(parameter) for parameter in head}
        backbone = [p for p in every if id(p) not in in_head]
        rate = backbone_lr if network.pretrained else head_lr
        groups.append({"params": backbone, "lr": rate, "name": "backbone"})
    return groups


def _parameters(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]


def backbone_keys(network: SplitNetwork) -> set[str]:
    """Return the state-dict keys that do not belong to the head."""
    assert isinstance(network, nn.Module)
    names = {id(module): name for name, module in network.named_modules()}
    heads = tuple(names[id(module)] + "." for module in network.head_modules())
    return {key for key in network.state_dict() if not key.startswith(heads)}
