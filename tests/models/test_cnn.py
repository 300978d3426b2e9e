"""The small network's contract."""

from __future__ import annotations

import pytest
import torch

from casting_inspect.models.cnn import SmallCnn
from casting_inspect.models.protocol import is_split


@pytest.mark.parametrize("side", [64, 91, 128])
@pytest.mark.parametrize("mixed", [False, True])
def test_float32_logits_for_any_side(side: int, mixed: bool) -> None:
    network = SmallCnn(width=4).eval()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        logits = network(torch.rand(2, 3, side, side))
    assert logits.shape == (2, 2)
    assert logits.dtype == torch.float32
    assert not is_split(network)


def test_state_dict_carries_the_whole_network() -> None:
    first, second = SmallCnn(width=4).eval(), SmallCnn(width=4).eval()
    second.load_state_dict(first.state_dict())
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(first(images), second(images))


def test_same_seed_same_network() -> None:
    torch.manual_seed(5)
    first = SmallCnn(width=4).state_dict()
    torch.manual_seed(5)
    second = SmallCnn(width=4).state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_learns_a_dark_spot_within_few_steps() -> None:
    torch.manual_seed(0)
    network = SmallCnn(width=8, dropout=0.0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    labels = torch.arange(16) % 2  # defective where the spot is
    for _ in range(25):
        images = 0.7 + 0.03 * torch.randn(16, 1, 64, 64)
        for n, (y, x) in enumerate(torch.randint(8, 52, (16, 2)).tolist()):
            if labels[n] == 0:
                images[n, 0, y : y + 4, x : x + 4] -= 0.4
        loss = torch.nn.functional.cross_entropy(network(images.expand(-1, 3, -1, -1)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2
