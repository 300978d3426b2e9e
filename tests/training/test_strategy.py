from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from casting_inspect.errors import UserError
from casting_inspect.training.schedule import constant, warmup_cosine
from casting_inspect.training.strategy import (
    backbone_keys,
    open_modules,
    parameter_groups,
    resolve_strategy,
    set_trainable,
)


class TinySplit(nn.Module):
    """Two backbone stages and a head, small enough to look through."""

    cache_layer = "pooled"
    pretrained = True
    weights_name = "tiny"
    weights_digest = "tiny"

    def __init__(self) -> None:
        super().__init__()
        self.bottom = nn.Linear(3, 4)
        self.top = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.Linear(4, 2)

    def backbone_features(self, images: Tensor) -> Tensor:
        return self.top(self.bottom(images.mean(dim=(2, 3))))

    def head_logits(self, features: Tensor) -> Tensor:
        return self.head(features.float())

    def forward(self, images: Tensor) -> Tensor:
        return self.head_logits(self.backbone_features(images))

    def head_modules(self) -> list[nn.Module]:
        return [self.head]

    def stages(self) -> list[list[nn.Module]]:
        return [[self.top], [self.bottom]]


def learning(network: nn.Module) -> set[str]:
    names = {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad}
    return names


def test_auto_freezes_what_is_pretrained_and_trains_the_rest() -> None:
    network = TinySplit()
    assert resolve_strategy("auto", network) == "frozen"
    network.pretrained = False
    assert resolve_strategy("auto", network) == "full"
    assert resolve_strategy("auto", nn.Linear(3, 2)) == "full"


@pytest.mark.parametrize("strategy", ["frozen", "gradual"])
def test_a_network_without_backbone_cannot_be_frozen(strategy: str) -> None:
    with pytest.raises(UserError, match="finetune=full"):
        resolve_strategy(strategy, nn.Linear(3, 2))


@pytest.mark.parametrize(
    ("strategy", "epoch", "expected"),
    [
        ("frozen", 0, {"head"}),
        ("frozen", 99, {"head"}),
        ("full", 0, {"head", "top", "bottom"}),
        ("gradual", 0, {"head"}),
        ("gradual", 1, {"head"}),
        ("gradual", 2, {"head", "top"}),
        ("gradual", 3, {"head", "top"}),
        ("gradual", 4, {"head", "top", "bottom"}),
        ("gradual", 50, {"head", "top", "bottom"}),
    ],
)
def test_what_learns_in_an_epoch(strategy: str, epoch: int, expected: set[str]) -> None:
    network = TinySplit()
    set_trainable(network, open_modules(network, strategy, epoch, open_every=2))
    assert learning(network) == expected
    for name, child in network.named_children():
        assert child.training == (name in expected)


def test_frozen_layers_do_not_even_move_their_batch_statistics() -> None:
    network = TinySplit()
    set_trainable(network, open_modules(network, "frozen", 0, 1))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network(torch.rand(8, 3, 4, 4)).sum().backward()
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])
    assert network.bottom.weight.grad is None
    assert network.head.weight.grad is not None


def test_every_parameter_is_in_one_group_with_its_own_rate() -> None:
    network = TinySplit()
    groups = parameter_groups(network, "gradual", head_lr=0.1, backbone_lr=0.01)
    assert {group["name"]: group["lr"] for group in groups} == {"head": 0.1, "backbone": 0.01}
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in network.parameters())
    assert [g["name"] for g in parameter_groups(network, "frozen", 0.1, 0.01)] == ["head"]
    assert [g["lr"] for g in parameter_groups(nn.Linear(1, 1), "full", 0.1, 0.01)] == [0.1]


def test_a_backbone_from_scratch_learns_at_the_rate_of_the_head() -> None:
    network = TinySplit()
    network.pretrained = False
    groups = parameter_groups(network, "full", head_lr=0.1, backbone_lr=0.01)
    assert {group["lr"] for group in groups} == {0.1}


def test_backbone_keys_are_all_but_the_heads() -> None:
    network = TinySplit()
    assert backbone_keys(network) == set(network.state_dict()) - {"head.weight", "head.bias"}


@given(total=st.integers(1, 500), warmup=st.integers(0, 50), final=st.floats(0, 1))
def test_the_cosine_rises_falls_and_ends_where_it_should(
    total: int, warmup: int, final: float
) -> None:
    factor = warmup_cosine(total, warmup, final)
    values = [factor(step) for step in range(total + 1)]
    assert all(0 <= value <= 1 + 1e-12 for value in values)
    if warmup:
        assert values[0] == pytest.approx(1 / warmup)
    if total > warmup:
        assert max(values) == pytest.approx(1)
        assert values[-1] == pytest.approx(final, abs=1e-9)
        falling = values[warmup:]
        assert all(a >= b - 1e-12 for a, b in itertools.pairwise(falling))


def test_the_cosine_agrees_with_pytorch() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
    factor = warmup_cosine(40, 0)
    for step in range(40):
        assert factor(step) == pytest.approx(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()


def test_constant_after_its_warm_up() -> None:
    factor = constant(100, 4)
    assert [factor(step) for step in (0, 1, 3, 4, 99)] == [0.25, 0.5, 1, 1, 1]
