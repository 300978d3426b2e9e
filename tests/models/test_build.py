"""Networks from configurations: the user's own plug in, a checkpoint's may not run anything."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from torch import nn

from casting_inspect.errors import UserError
from casting_inspect.models.build import build_network
from casting_inspect.models.cnn import SmallCnn

OWN = """
import torch
class Net(torch.nn.Module):
    def __init__(self, *, width=4, depth: int, inner=None):
        super().__init__()
        self.width, self.depth, self.inner = width, depth, inner
class Fussy(torch.nn.Module):
    def __init__(self):
        raise ZeroDivisionError("our bug")
def ready(**anything):
    return torch.nn.Linear(2, 2)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "foundry_nets.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "foundry_nets", raising=False)
    return "foundry_nets"


def error_of(model: dict[str, Any], **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        build_network(model, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("wrap", [dict, OmegaConf.create])
def test_name_and_image_size_are_not_keywords(wrap: Any) -> None:
    target = "casting_inspect.models.cnn.SmallCnn"
    model = wrap({"name": "cnn", "image_size": 128, "_target_": target, "dropout": 0.1})
    network = build_network(model)
    assert isinstance(network, SmallCnn)
    assert network.dropout.p == 0.1
    assert model["name"] == "cnn"


def test_own_network_with_a_network_inside(own: str) -> None:
    inner = {"_target_": "torch.nn.Linear", "in_features": 3, "out_features": 2}
    network: Any = build_network({"_target_": f"{own}.Net", "depth": 3, "inner": inner})
    assert (network.width, network.depth) == (4, 3)
    assert isinstance(network.inner, nn.Linear)


def test_function_and_list_of_targets(own: str) -> None:
    assert isinstance(build_network({"_target_": f"{own}.ready", "any": 1}), nn.Linear)
    layers = [
        {"_target_": "torch.nn.Flatten"},
        {"_target_": "torch.nn.LazyLinear", "out_features": 2},
    ]
    network = build_network({"_target_": "torch.nn.Sequential", "_args_": layers}, trusted=False)
    assert [type(layer) for layer in network.children()] == [nn.Flatten, nn.LazyLinear]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"name": "cnn"}, "no _target_"),
        ({"_target_": "casting_inspect.models.cnn.SmalCnn"}, "Did you mean 'SmallCnn'"),
        ({"_target_": "no_such_package.Net"}, "cannot be imported"),
        ({"_target_": "Net"}, "cannot be imported"),
        ({"_target_": "casting_inspect.labels.NORMAL"}, "not a class or a function"),
        ({"_target_": "casting_inspect.models.cnn.SmallCnn", "widht": 3}, "Did you mean 'width'"),
        ({"_target_": "torch.nn.Linear", "in_features": 3}, "'out_features'"),
        ({"_target_": "builtins.dict", "a": 1}, "not a nn.Module"),
        ({"_target_": "os.system", "command": "true"}, "blocklisted"),
        ({"_target_": "casting_inspect.models.vgg19.Vgg19", "head": "gab"}, "Did you mean 'gap'"),
    ],
)
def test_mistakes_are_one_line(model: dict[str, Any], message: str) -> None:
    assert message in error_of(model)


def test_missing_keyword_of_own_network(own: str) -> None:
    assert "'depth'" in error_of({"_target_": f"{own}.Net"})


def test_partial_needs_no_keywords(own: str) -> None:
    inner = {"_target_": f"{own}.Net", "_partial_": True}
    network: Any = build_network({"_target_": f"{own}.Net", "depth": 1, "inner": inner})
    assert network.inner(depth=5).depth == 5


def test_a_bug_in_a_network_keeps_its_traceback(own: str) -> None:
    with pytest.raises(Exception, match="our bug") as caught:
        build_network({"_target_": f"{own}.Fussy"})
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "casting_inspect.files.os",  # out of the package through a module's own imports
        "casting_inspect.files.replace_text",
        "casting_inspect.models.build.importlib.import_module",
        "torch.nn.functional.torch",
        "torch.nn.functional.relu",
        "torchvision.models.vgg.partial",
        "torch.nnx.Linear",
    ],
)
def test_a_checkpoint_names_networks_only(target: str) -> None:
    assert f"model._target_={target}: " in error_of({"_target_": target}, trusted=False)


def test_a_checkpoint_may_not_hide_a_target_inside(own: str) -> None:
    inner = {"_target_": f"{own}.ready"}
    model = {"_target_": "torch.nn.Sequential", "_args_": [[inner]]}
    assert f"allow_targets=[{own}.ready]" in error_of(model, trusted=False)
    assert own not in sys.modules


def test_a_checkpoint_with_leave_and_of_our_own(own: str) -> None:
    target = f"{own}.Net"
    network: Any = build_network({"_target_": target, "depth": 2}, [target], trusted=False)
    assert network.depth == 2
    ours = {"_target_": "casting_inspect.models.cnn.SmallCnn"}
    assert isinstance(build_network(ours, trusted=False), SmallCnn)
    theirs = {"_target_": "torchvision.models.squeezenet1_1", "num_classes": 2}
    assert isinstance(build_network(theirs, trusted=False), nn.Module)
