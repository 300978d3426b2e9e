"""Building a network from the `model` node of a configuration, the user's own included."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from casting_inspect.errors import UserError, suggestion
from casting_inspect.models.protocol import is_split

__all__ = ["ALLOWED_PREFIXES", "build_network", "is_split"]

ALLOWED_PREFIXES = ("casting_inspect.", "torch.nn.", "torchvision.models.")
NOT_KEYWORDS = ("name", "image_size")  # of the model node, but for others than the constructor
HYDRA_KEYWORDS = ("_target_", "_args_", "_convert_", "_recursive_", "_partial_")


def build_network(
    model: Mapping[str, Any] | DictConfig,
    allow_targets: Sequence[str] = (),
    *,
    trusted: bool = True,
) -> nn.Module:
    """Build the network that a configuration names.

    Args:
        model: The resolved ``model`` node: ``_target_`` and the constructor's keywords, which may
            hold targets in turn; ``name`` and ``image_size`` are taken off.
        allow_targets: Targets outside casting_inspect, torch.nn and torchvision.models that a
            configuration that is not trusted may name.
        trusted: True for the user's own command line, False for a checkpoint's configuration.

    Returns:
        The network, in training mode, on the CPU.

    Raises:
        UserError: If a target is refused or cannot be imported, or a keyword does not fit.
    """
    config = plain(model)
    for name in NOT_KEYWORDS:
        config.pop(name, None)
    if "_target_" not in config:
        raise UserError("model: no _target_ key. Give the import path of a network's class.")
    for node in target_nodes(config):
        target = str(node["_target_"])
        if not trusted and target not in allow_targets and not target.startswith(ALLOWED_PREFIXES):
            raise refusal(target)
        found = locate(target)
        if not trusted and target not in allow_targets and not is_allowed(found):
            raise refusal(target)
        check_keywords(found, node)
    try:
        network = instantiate(config, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        if error.__cause__ is None:  # Hydra's own refusal, over several lines
            raise UserError(f"model: {' '.join(str(error).split())}") from None
        raise
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise UserError(f"model._target_={config['_target_']}: makes a {kind}, not a nn.Module.")
    return network


def plain(model: Mapping[str, Any] | DictConfig) -> dict[str, Any]:
    """Return a copy of the node as dicts and lists."""
    if isinstance(model, DictConfig | ListConfig):
        return OmegaConf.to_container(model, resolve=True)  # type: ignore[return-value]
    return dict(model)


def target_nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every mapping with a ``_target_`` in a nested configuration, the outermost first."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield value
        for inner in value.values():
            yield from target_nodes(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from target_nodes(inner)


def refusal(target: str) -> UserError:
    """Return the error for a target that a checkpoint must not name."""
    return UserError(
        f"model._target_={target}: a checkpoint may not import this. "
        f"If you trust where it is from, add allow_targets=[{target}]."
    )


def locate(target: str) -> Callable[..., Any]:
    """Import what a dotted path names.

    Raises:
        UserError: If the path leads to nothing, or to something that cannot be called.
    """
    module_name, _, name = target.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"model._target_={target}: cannot be imported ({error}). Give package.module.Class, "
            "with the package installed or its folder in PYTHONPATH."
        ) from error
    found = getattr(module, name, None)
    if found is None:
        hint = suggestion(name, vars(module))
        raise UserError(f"model._target_={target}: no '{name}' in {module_name}.{hint}")
    if not callable(found):
        raise UserError(f"model._target_={target}: not a class or a function.")
    return found  # type: ignore[no-any-return]


def is_allowed(found: Callable[..., Any]) -> bool:
    """Say whether what an allowed path led to was also defined there.

    A path under an allowed package may lead out of it through a module's own imports
    (``casting_inspect.files.os``), so where the object was made is what counts: networks of the
    three packages, and torchvision's functions that build one.
    """
    home = str(getattr(found, "__module__", "")) + "."
    if inspect.isclass(found):
        return issubclass(found, nn.Module) and home.startswith(ALLOWED_PREFIXES)
    return inspect.isfunction(found) and home.startswith("torchvision.models.")


def check_keywords(found: Callable[..., Any], node: Mapping[str, Any]) -> None:
    """Check the keywords of a node against a constructor's signature.

    Raises:
        UserError: If a keyword is unknown or one without default is missing.
    """
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return  # some built-in constructors tell nothing; calling them will
    given = {name: value for name, value in node.items() if name not in HYDRA_KEYWORDS}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for name in given:
        if name not in signature.parameters and not takes_any:
            hint = suggestion(name, signature.parameters)
            raise UserError(f"model.{name}: {node['_target_']} takes no such keyword.{hint}")
    if node.get("_partial_"):
        return  # the rest comes with a later call
    try:
        signature.bind(*node.get("_args_", ()), **given)
    except TypeError as error:
        raise UserError(f"model._target_={node['_target_']}: {error}.") from error
