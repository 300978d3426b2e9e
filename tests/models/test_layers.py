"""Layers of the from-scratch networks against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from casting_inspect.errors import UserError
from casting_inspect.models.cnn import SmallCnn
from casting_inspect.models.layers import (
    any_defective,
    four_stages,
    grey,
    judge,
    logits_from_evidence,
    peak_and_mean,
)
from casting_inspect.models.lin2018 import Lin2018
from casting_inspect.models.nguyen2021 import Nguyen2021


def test_grey_is_the_mean_of_the_channels() -> None:
    picture = torch.tensor([0.0, 0.3, 0.9]).view(1, 3, 1, 1).expand(2, 3, 4, 4).bfloat16()
    assert grey(picture).shape == (2, 1, 4, 4)
    assert grey(picture).dtype == torch.float32
    torch.testing.assert_close(grey(picture)[0, 0, 0, 0].item(), 0.4, atol=0.01, rtol=0)


def test_four_stages_halve_thrice() -> None:
    assert four_stages(2, 4)(torch.rand(1, 2, 64, 64)).shape == (1, 16, 8, 8)


def test_peak_and_mean() -> None:
    grid = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]).bfloat16()
    assert peak_and_mean(grid).tolist() == [[6.0, 3.0]]
    assert peak_and_mean(grid).dtype == torch.float32


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=16))
def test_odds_of_regions_add_up(log_odds: list[float]) -> None:
    found = any_defective(torch.tensor([log_odds])).item()
    assert found == pytest.approx(math.log(sum(math.exp(z) for z in log_odds)), abs=1e-4)


@given(st.floats(-30, 30))
def test_evidence_is_the_log_odds_of_defective(evidence: float) -> None:
    logits = logits_from_evidence(torch.tensor([evidence]))
    expected = 1 / (1 + math.exp(-evidence))
    assert torch.softmax(logits, 1)[0, 0].item() == pytest.approx(expected, abs=1e-6)


def test_judged_regions_start_at_even_odds_together() -> None:
    torch.manual_seed(0)
    judged = judge(10, 0.0, 16)(torch.randn(5 * 16, 10)).reshape(5, 16)
    assert any_defective(judged).abs().max() < 0.3


@pytest.mark.parametrize(
    ("network", "keywords"),
    [
        (SmallCnn, {"width": 0}),
        (SmallCnn, {"dropout": 1.0}),
        (Lin2018, {"regions": 65}),
        (Lin2018, {"crop": 31}),
        (Nguyen2021, {"parts": 9}),
        (Nguyen2021, {"place_size": 0}),
    ],
)
def test_values_out_of_range_are_named(
    network: type[nn.Module], keywords: dict[str, float]
) -> None:
    name, value = next(iter(keywords.items()))
    with pytest.raises(UserError, match=rf"model\.{name}={value}: give a"):
        network(**keywords)


def test_extremes_run_on_the_smallest_picture() -> None:
    images = torch.rand(1, 3, 64, 64)
    assert Lin2018(width=2, regions=64, crop=8).eval()(images).shape == (1, 2)
    assert Lin2018(width=2, regions=1, crop=128).eval()(images).shape == (1, 2)
    assert Nguyen2021(width=2, parts=8).eval()(images).shape == (1, 2)
