"""Parts are judged apart, by their place, and pooled as stated."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casting_inspect.models.nguyen2021 import Nguyen2021


@pytest.fixture(scope="module")
def network() -> Nguyen2021:
    torch.manual_seed(0)
    network = Nguyen2021(width=4)
    torch.nn.init.normal_(network.places)
    torch.nn.init.normal_(network.judge[-1].weight)  # type: ignore[arg-type]
    with torch.no_grad():
        network(torch.rand(8, 3, 64, 64))  # running statistics away from their start
    return network.eval()


@settings(max_examples=12, deadline=None)
@given(row=st.integers(0, 3), column=st.integers(0, 3), seed=st.integers(0, 99))
def test_a_part_changes_its_own_logit_only(
    network: Nguyen2021, row: int, column: int, seed: int
) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    changed = images.clone()
    changed[0, :, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] *= 0.3
    with torch.no_grad():
        moved = network.part_logits(images) != network.part_logits(changed)
    assert moved.nonzero().tolist() == [[0, row, column]]


@pytest.mark.parametrize("side", [64, 90, 101])
def test_the_castings_odds_are_the_sum_of_the_parts(network: Nguyen2021, side: int) -> None:
    images = torch.rand(3, 3, side, side)
    with torch.no_grad():
        logits = network(images).double()
        odds = network.part_logits(images).double().exp().sum(dim=(1, 2))
    assert logits.shape == (3, 2)
    torch.testing.assert_close((logits[:, 0] - logits[:, 1]).exp(), odds, rtol=1e-5, atol=0)


def test_the_place_counts(network: Nguyen2021) -> None:
    with torch.no_grad():
        parts = network.part_logits(torch.full((1, 3, 64, 64), 0.5))
    assert parts.flatten().unique().numel() == 16


def test_parts_are_cut_row_by_row(network: Nguyen2021) -> None:
    picture = torch.arange(64.0 * 64).reshape(1, 1, 64, 64)
    parts = network.cut(picture)
    assert parts.shape == (16, 1, 16, 16)
    assert torch.equal(parts[6, 0], picture[0, 0, 16:32, 32:48])


def test_a_side_that_does_not_divide_is_filled_up(network: Nguyen2021) -> None:
    picture = torch.arange(66.0 * 66).reshape(1, 1, 66, 66)
    parts = network.cut(picture)
    assert parts.shape == (16, 1, 17, 17)
    assert parts[-1, 0, -1].unique().tolist() == [*picture[0, 0, -1, 51:].tolist()]


def test_float32_logits_under_autocast(network: Nguyen2021) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(1, 3, 64, 64)).dtype == torch.float32


def test_an_untrained_casting_has_even_odds() -> None:
    torch.manual_seed(0)
    logits = Nguyen2021(width=4).eval()(torch.rand(2, 3, 64, 64))
    assert (logits[:, 0] - logits[:, 1]).abs().max() < 0.5
