"""Heads against closed forms: even pooling at the start, a softmax over places after it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from casting_inspect.models.heads import AttentionHead, PooledHead

CHANNELS = 16


@pytest.fixture
def grid() -> torch.Tensor:
    return torch.randn(3, CHANNELS, 5, 4, generator=torch.Generator().manual_seed(1))


def test_pooled_head_is_one_linear_layer(grid: torch.Tensor) -> None:
    head = PooledHead(CHANNELS, 0.5).eval()
    pooled = grid.mean(dim=(2, 3))
    torch.testing.assert_close(head(pooled), pooled @ head.linear.weight.T + head.linear.bias)


def test_untrained_attention_pools_evenly(grid: torch.Tensor) -> None:
    head = AttentionHead(CHANNELS, 0.5).eval()
    logits, attention = head.with_map(grid)
    torch.testing.assert_close(attention, torch.full((3, 1, 5, 4), 1 / 20))
    torch.testing.assert_close(logits, head.linear(grid.mean(dim=(2, 3))))


def test_attention_is_gated_softmax_over_places(grid: torch.Tensor) -> None:
    head = AttentionHead(CHANNELS, 0.0)
    nn.init.normal_(head.score.weight)
    logits, attention = head.with_map(grid)
    # place by place, as the formula is printed
    for n in range(3):
        features = [grid[n, :, y, x] for y in range(5) for x in range(4)]
        scores = []
        for f in features:
            h = (f - f.mean()) / (f.var(unbiased=False) + 1e-5).sqrt()
            gate = torch.sigmoid(head.gate.weight @ h + head.gate.bias)
            scores.append(head.score.weight[0] @ (torch.tanh(head.content.weight @ h) * gate))
        expected = torch.stack(scores).exp() / torch.stack(scores).exp().sum()
        torch.testing.assert_close(attention[n].flatten(), expected, rtol=1e-4, atol=1e-6)
        pooled = sum(a * f for a, f in zip(expected, features, strict=True))
        torch.testing.assert_close(logits[n], head.linear(pooled), rtol=1e-4, atol=1e-6)


def test_attention_can_learn_from_its_even_start(grid: torch.Tensor) -> None:
    head = AttentionHead(CHANNELS, 0.0)
    head(grid)[:, 0].sum().backward()
    assert head.score.weight.grad is not None
    assert head.score.weight.grad.abs().max() > 0


def test_same_seed_same_head() -> None:
    heads = []
    for _ in range(2):
        torch.manual_seed(7)
        heads.append(AttentionHead(CHANNELS, 0.5).state_dict())
    for name, value in heads[0].items():
        assert torch.equal(value, heads[1][name])
