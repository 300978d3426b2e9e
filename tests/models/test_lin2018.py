"""Contrast marks suspicious regions, and the network looks at those and at nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casting_inspect.models.lin2018 import Lin2018

SIDE = 96


@pytest.fixture(scope="module")
def network() -> Lin2018:
    torch.manual_seed(0)
    return Lin2018(width=4, regions=3, crop=16).eval()


def face(with_edge: bool = True) -> torch.Tensor:
    """A round bright face on a grey ground: a strong edge, and nothing suspicious."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    inside = (y - 48) ** 2 + (x - 48) ** 2 < 40**2
    picture = torch.where(inside & torch.tensor(with_edge), 0.6, 0.35)
    return picture.expand(1, 3, SIDE, SIDE).clone()


def with_disc(picture: torch.Tensor, row: int, column: int, radius: int, by: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    disc = (y - row) ** 2 + (x - column) ** 2 <= radius**2
    return torch.where(disc, picture + by, picture)


@settings(max_examples=20, deadline=None)
@given(
    row=st.integers(30, 66),
    column=st.integers(30, 66),
    radius=st.integers(1, 4),
    by=st.sampled_from([0.3, -0.3]),
)
def test_a_small_disc_moves_the_peak_to_it(
    network: Lin2018, row: int, column: int, radius: int, by: float
) -> None:
    plain = network.suspicious_regions(face())
    marked = network.suspicious_regions(with_disc(face(), row, column, radius, by))
    assert plain.shape == marked.shape == (1, 1, SIDE, SIDE)
    peak = divmod(int(marked.argmax()), SIDE)
    assert max(abs(peak[0] - row), abs(peak[1] - column)) <= 3
    assert marked.max() > plain.max()
    rows, columns = network.region_centres(marked)
    assert max(abs(int(rows[0, 0]) - row), abs(int(columns[0, 0]) - column)) <= 3


def test_regions_are_cut_around_their_centres(network: Lin2018) -> None:
    picture = torch.arange(float(SIDE * SIDE)).reshape(1, 1, SIDE, SIDE)
    cut = network.cut(picture, torch.tensor([[40, 0]]), torch.tensor([[50, 95]]))
    assert cut.shape == (2, 1, 16, 16)
    assert torch.equal(cut[0, 0], picture[0, 0, 32:48, 42:58])
    assert cut[1, 0, :8].unique(dim=0).shape[0] == 1  # above the picture its first row repeats
    assert cut[1, 0, 8, 8].item() == 95


def test_regions_of_each_picture_are_its_own(network: Lin2018) -> None:
    images = torch.rand(3, 3, SIDE, SIDE)
    with torch.no_grad():
        together = network.region_logits(images)
        alone = torch.cat([network.region_logits(image[None]) for image in images])
    torch.testing.assert_close(together, alone)


def test_places_far_from_every_region_change_nothing(network: Lin2018) -> None:
    spots = face(with_edge=False)
    for row, column in ((20, 20), (20, 40), (40, 20)):
        spots = with_disc(spots, row, column, 2, 0.4)
    faint = with_disc(spots, 80, 80, 2, 0.05)
    with torch.no_grad():
        assert torch.equal(network(spots), network(faint))


@pytest.mark.parametrize("side", [64, 97])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_castings_odds_are_the_sum_of_the_regions(side: int, mixed: bool) -> None:
    network = Lin2018(width=4).eval()
    images = torch.rand(2, 3, side, side)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        logits = network(images)
        odds = network.region_logits(images).exp().sum(dim=1)
    assert logits.dtype == torch.float32
    torch.testing.assert_close((logits[:, 0] - logits[:, 1]).exp(), odds)


def test_an_even_picture_is_no_trouble(network: Lin2018) -> None:
    logits = network(torch.full((1, 3, 64, 64), 0.4))
    assert torch.isfinite(logits).all()
    logits.sum().backward()
