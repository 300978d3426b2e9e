"""The fused kernels give the weights that the plain ones do, clipped and in any precision."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from omegaconf import OmegaConf
from quiet_trainer import quiet_trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from casting_inspect.training.optimizer import optimizer_maker, updates_in_one_pass

NODES = {
    "adamw": {"_target_": "torch.optim.AdamW", "weight_decay": 1e-2, "betas": [0.9, 0.999]},
    "sgd": {"_target_": "torch.optim.SGD", "momentum": 0.9, "nesterov": True},
}


def node(name: str, **keywords: Any) -> Any:
    return OmegaConf.create({**NODES[name], **keywords})


def trained(node: Any, steps: int = 30) -> tuple[torch.optim.Optimizer, Tensor]:
    """Return the optimizer and all weights after some steps of a small convolutional network."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 36, 2))
    images, labels = torch.rand(16, 3, 8, 8), torch.arange(16) % 2
    halves = [list(network[0].parameters()), list(network[3].parameters())]
    groups = [{"params": half, "lr": lr} for half, lr in zip(halves, (1e-3, 1e-2), strict=True)]
    optimizer = optimizer_maker(node)(groups)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return optimizer, torch.cat([value.detach().flatten() for value in network.parameters()])


@pytest.mark.parametrize("name", NODES)
def test_weights_are_those_of_the_plain_kernel_within_rounding(name: str) -> None:
    fast, weights = trained(node(name))
    plain, expected = trained(node(name, fused=False))
    assert [group["fused"] for group in (*fast.param_groups, *plain.param_groups)] == [
        *(True, True),
        *(False, False),
    ]
    torch.testing.assert_close(weights, expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(trained(node(name))[1], weights)  # the same bits each time


def test_what_the_user_chose_stays_and_other_optimizers_are_left_alone() -> None:
    assert updates_in_one_pass(node("adamw"))
    assert not updates_in_one_pass(node("adamw", foreach=True))
    assert trained(node("adamw", foreach=True), steps=1)[0].param_groups[0]["foreach"] is True
    other = OmegaConf.create({"_target_": "torch.optim.RMSprop"})
    assert not updates_in_one_pass(other)
    assert type(trained(other, steps=1)[0]) is torch.optim.RMSprop


def test_complex_weights_take_the_plain_kernel() -> None:
    weight = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    optimizer = optimizer_maker(node("adamw"))([{"params": [weight], "lr": 1e-3}])
    assert not optimizer.param_groups[0]["fused"]


class Module(L.LightningModule):
    def __init__(self, node: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.node = node
        self.norms: list[float] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        del batch_idx
        return 1e3 * self.layer(batch).square().mean()

    def on_before_zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        del optimizer
        gradients = [value.grad for value in self.parameters() if value.grad is not None]
        if gradients:
            self.norms.append(float(torch.cat([g.flatten() for g in gradients]).norm()))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimizer_maker(self.node)([{"params": list(self.parameters()), "lr": 1e-3}])


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_lightning_clips_gradients_all_the_same(tmp_path: Path, precision: Any) -> None:
    module = Module(node("adamw"))
    trainer = quiet_trainer(
        tmp_path, 2, precision=precision, gradient_clip_val=0.5, enable_checkpointing=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, DataLoader([torch.ones(4)] * 6, batch_size=3))  # type: ignore[arg-type]
    assert module.norms
    assert max(module.norms) <= 0.5 + 1e-3
