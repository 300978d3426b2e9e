"""The configured optimizer, which updates all weights in one pass where PyTorch has that."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from hydra.utils import get_object, instantiate
from omegaconf import DictConfig
from torch.optim import Optimizer

CHOSEN_BY_HAND = ("fused", "foreach", "differentiable")
"""Keywords of PyTorch's optimizers after which nothing is chosen for the user."""


def optimizer_maker(node: DictConfig) -> Callable[[list[dict[str, Any]]], Optimizer]:
    """Return a function from parameter groups to the optimizer of the ``optimizer`` node.

    Args:
        node: ``_target_`` and its keywords.
    """
    make = instantiate(node, _partial_=True)
    if not updates_in_one_pass(node):
        return make  # type: ignore[no-any-return]
    return functools.partial(_fused, make)


def updates_in_one_pass(node: DictConfig) -> bool:
    """Say whether PyTorch's fused kernel is taken: it has one, and nothing else is asked for.

    Weights must be real numbers; those of all our networks are.
    """
    if any(key in node for key in CHOSEN_BY_HAND):
        return False
    found = get_object(node["_target_"])
    ours = inspect.isclass(found) and found.__module__.startswith("torch.optim.")
    return ours and "fused" in inspect.signature(found).parameters


def _fused(make: Callable[..., Optimizer], groups: list[dict[str, Any]]) -> Optimizer:
    if any(value.is_complex() for group in groups for value in group["params"]):
        return make(groups)
    optimizer = make(groups, fused=True)
    # Lightning takes this for an optimizer that undoes the loss's scale by itself, and refuses to
    # clip gradients then; without it, scale and clipping are handled as for any other
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer
