"""Maps of evidence against closed forms, under turns, and for every network of the package."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from torch import Tensor, nn

from casting_inspect.errors import UserError
from casting_inspect.models import maps
from casting_inspect.models.cnn import SmallCnn
from casting_inspect.models.heads import PooledHead
from casting_inspect.models.lin2018 import Lin2018
from casting_inspect.models.nguyen2021 import Nguyen2021
from casting_inspect.models.vgg19 import Vgg19

SIDE = 64


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def gap() -> Vgg19:
    torch.manual_seed(0)
    network = Vgg19(head="gap", weights="none").eval()
    assert isinstance(network.head, PooledHead)
    nn.init.normal_(network.head.linear.weight, std=1.0)
    return network


def evidence(logits: Tensor) -> Tensor:
    return logits[:, 0] - logits[:, 1]


def test_grad_cam_of_gap_is_the_class_activation_map(gap: Vgg19, images: Tensor) -> None:
    with torch.no_grad():
        logits, activation = gap.forward_with_map(images)
    found, grids = maps.grad_cam(gap, images, "features.36:input")
    places = activation[0, 0].numel()
    assert torch.equal(found, logits)
    # the gradient passes the rounding to float16 that stored features have
    torch.testing.assert_close(places * grids, activation[:, 0], rtol=1e-2, atol=1e-2)


def test_map_over_the_pooled_grid_adds_up_to_the_log_odds(gap: Vgg19, images: Tensor) -> None:
    logits, grids = maps.grad_cam(gap, images, "features.36")
    assert isinstance(gap.head, PooledHead)
    offset = gap.head.evidence()[1].detach()
    torch.testing.assert_close(
        grids.sum(dim=(1, 2)) + offset, evidence(logits), rtol=1e-2, atol=1e-2
    )


def test_where_the_head_is_linear_every_picture_has_the_same_weights(
    gap: Vgg19, images: Tensor
) -> None:
    mean = maps.mean_weights(gap, images, "features.36:input")
    own = maps.picture_maps(gap, images, layer="features.36:input")[1]
    shared = maps.picture_maps(gap, images, layer="features.36:input", weights=mean)[1]
    torch.testing.assert_close(own, shared)


def test_grad_cam_against_autograd_by_hand(images: Tensor) -> None:
    torch.manual_seed(1)
    network = SmallCnn(width=4).eval()
    logits, grids = maps.grad_cam(network, images, "features")
    values: list[Tensor] = []
    handle = network.features.register_forward_hook(lambda *found: values.append(found[2]))
    by_hand = network(images)
    handle.remove()
    (gradient,) = torch.autograd.grad(evidence(by_hand).sum(), values[0])
    expected = torch.zeros_like(grids)
    for picture in range(len(images)):
        for channel in range(values[0].shape[1]):
            # the network pools by peaks, so the gradient at the channel's peak is its weight
            at = int(values[0][picture, channel].argmax())
            weight = gradient[picture, channel].flatten()[at]
            expected[picture] += weight * values[0][picture, channel].detach()
    torch.testing.assert_close(grids, expected)
    torch.testing.assert_close(logits, by_hand.detach())


def test_weights_at_peaks_are_those_of_the_peaks_in_the_head(images: Tensor) -> None:
    network = SmallCnn(width=4).eval()
    _, values, weights = maps.channel_weights(network, images, "features")
    head = network.linear.weight[0] - network.linear.weight[1]
    places = values[0, 0].numel()
    expected = head[:16] + head[16:] / places
    alive = values.amax(dim=(2, 3)) > 0
    torch.testing.assert_close(weights[alive], expected.expand(2, -1)[alive].detach())


NETWORKS = {
    "cnn": lambda: SmallCnn(width=4),
    "lin2018": lambda: Lin2018(width=4, regions=4, crop=16),
    "nguyen2021": lambda: Nguyen2021(width=4),
    "gap": lambda: Vgg19(head="gap", weights="none"),
    "attention": lambda: Vgg19(head="attention", weights="none"),
    "pyramid": lambda: Vgg19(head="pyramid", weights="none"),
    "batch_norm": lambda: Vgg19(head="gap", weights="none", batch_norm=True),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_map_and_is_left_as_it_was(name: str, images: Tensor) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        expected = network(images)
    logits, found = maps.picture_maps(network, images, smooth=0.02)
    assert found.shape == (2, SIDE, SIDE)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    assert found.std() > 0
    torch.testing.assert_close(logits, expected)
    assert torch.is_grad_enabled()
    assert all(value.grad is None for value in network.parameters())
    assert all(value.requires_grad for value in network.parameters())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.slow  # 560 MB
def test_the_papers_head_has_a_map(images: Tensor) -> None:
    torch.manual_seed(0)
    network = Vgg19(head="paper", weights="none").eval()
    _, found = maps.picture_maps(network, images)
    assert found.shape == (2, SIDE, SIDE)
    assert found.std() > 0


def test_autocast_gives_float32_maps(gap: Vgg19, images: Tensor) -> None:
    weights = maps.mean_weights(gap, images)
    with torch.autocast("cpu", torch.bfloat16):
        logits, found = maps.picture_maps(gap, images, weights=weights, smooth=0.05)
    assert logits.dtype == found.dtype == torch.float32
    exact = maps.picture_maps(gap, images, weights=weights, smooth=0.05)[1]
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.99


def test_parts_of_nguyen2021_go_back_to_their_places() -> None:
    network = Nguyen2021(width=4, parts=4)
    pictures = torch.rand(1, 3, 66, 66)  # 17 pixels a part, the last ones filled up
    numbers = torch.arange(16.0)[:, None, None].expand(16, 2, 2)
    found = network.in_picture(numbers, pictures)
    assert found.shape == (1, 66, 66)
    rows, columns = torch.meshgrid(torch.arange(66) // 17, torch.arange(66) // 17, indexing="ij")
    torch.testing.assert_close(found[0], (4 * rows + columns).float())


def test_regions_of_lin2018_go_back_to_where_they_were_cut() -> None:
    network = Lin2018(width=4, regions=1, crop=16)
    pictures = torch.full((1, 3, SIDE, SIDE), 0.5)
    pictures[:, :, 40:43, 10:13] = 0.0
    rows, columns = network.region_centres(network.suspicious_regions(pictures))
    assert abs(int(rows) - 41) <= 1
    assert abs(int(columns) - 11) <= 1
    found = network.in_picture(torch.ones(1, 2, 2), pictures)[0]
    ys, xs = np.nonzero(found.numpy())
    assert (ys.min(), ys.max()) == (int(rows) - 8, int(rows) + 7)
    assert (xs.min(), xs.max()) == (int(columns) - 8, int(columns) + 7)
    assert network.in_picture(-torch.ones(1, 2, 2), pictures).sum() == -(16**2)


def brightness(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """A map that turns with the picture."""
    return torch.zeros(len(pictures), 2), pictures.mean(dim=1)


def corner(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """A map that stays where it is, whatever the picture shows."""
    found = torch.zeros(len(pictures), SIDE, SIDE)
    found[:, 3, 9] = 1.0
    return torch.zeros(len(pictures), 2), found


@pytest.mark.parametrize("turns", [1, 4, 8])
def test_turned_copies_agree_where_the_map_turns_along(images: Tensor, turns: int) -> None:
    torch.testing.assert_close(
        maps.turned_mean(brightness, images, turns)[1], brightness(images)[1]
    )


@pytest.mark.parametrize("turns", [4, 8])
def test_the_mean_over_turned_copies_turns_with_the_picture(images: Tensor, turns: int) -> None:
    torch.manual_seed(2)
    network = SmallCnn(width=4).eval()

    def averaged(pictures: Tensor) -> Tensor:
        return maps.picture_maps(network, pictures, turns=turns)[1]

    plain = averaged(images)
    torch.testing.assert_close(averaged(images.rot90(1, (2, 3))), plain.rot90(1, (1, 2)))
    if turns == 8:
        torch.testing.assert_close(averaged(images.flip(3)), plain.flip(2))
    assert not torch.allclose(maps.picture_maps(network, images)[1], plain)


def test_what_stays_in_place_is_spread_over_all_copies(images: Tensor) -> None:
    found = maps.turned_mean(corner, images, 8)[1][0]
    assert int((found > 0).sum()) == 8
    torch.testing.assert_close(found.max(), torch.tensor(1 / 8))


def test_another_number_of_turns(images: Tensor) -> None:
    with pytest.raises(ValueError, match="turns=3"):
        maps.turned_mean(corner, images, 3)


def test_smoothing_is_scipys_gaussian() -> None:
    values = torch.rand(2, 50, 50, generator=torch.Generator().manual_seed(3))
    found = maps.smoothed(values, 0.06)
    for mine, plain in zip(found, values, strict=True):
        expected = gaussian_filter(plain.numpy(), 3.0, mode="nearest", truncate=13 / 3)
        np.testing.assert_allclose(mine, expected, atol=1e-5)
    assert maps.smoothed(values, 0) is values


def test_resizing_keeps_places() -> None:
    grid = torch.zeros(1, 7, 7)
    grid[0, 2, 5] = 1.0
    found = maps.resized(grid, 224)[0]
    row, column = divmod(int(found.argmax()), 224)
    assert (row // 32, column // 32) == (2, 5)


def test_maps_change_when_weights_are_drawn_anew(images: Tensor) -> None:
    """Adebayo et al. 2018: a map that outlives its weights shows edges, not evidence.

    One draw can be alike by chance, with either sign; a map of edges is alike in all of them.
    """
    torch.manual_seed(0)
    network = SmallCnn(width=8).eval()
    mine = shown(network, images)
    assert np.array_equal(mine, shown(network, images))
    alike = []
    for _ in range(8):
        other = copy.deepcopy(network)
        for module in other.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
        alike.append(float(spearmanr(mine, shown(other, images)).statistic))
    assert abs(np.mean(alike)) < 0.5


def shown(network: nn.Module, images: Tensor) -> np.ndarray:
    return maps.picture_maps(network, images, smooth=0.02)[1].ravel().numpy()


def test_a_network_of_the_users_own_is_looked_at_before_it_gets_coarse(images: Tensor) -> None:
    def block(inputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(4)]

    network = nn.Sequential(*block(3), *block(4), *block(4), nn.Flatten(), nn.Linear(4, 2)).eval()
    # 64, 16 and 4 places a side; 64 pixels make 4 places of 16
    assert maps.layer_of(network, images) == "7"
    logits, found = maps.picture_maps(network, images)
    assert found.shape == (2, SIDE, SIDE)
    torch.testing.assert_close(logits, network(images).detach())


def test_layers_that_will_not_do(images: Tensor) -> None:
    network = SmallCnn(width=4).eval()
    with pytest.raises(UserError, match=r"map\.layer=feature: .*Did you mean 'features'\?"):
        maps.picture_maps(network, images, layer="feature")
    with pytest.raises(UserError, match=r"map\.layer=linear: its values have no places"):
        maps.picture_maps(network, images, layer="linear")
    network.spare = nn.Conv2d(3, 3, 1)
    with pytest.raises(UserError, match=r"map\.layer=spare: the network passes it by"):
        maps.picture_maps(network, images, layer="spare")
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 2))
    with pytest.raises(UserError, match="no layer with places of 16 pixels"):
        maps.picture_maps(flat, images)
    assert torch.is_grad_enabled()


def test_the_heads_own_map_is_the_attention_of_its_places(images: Tensor) -> None:
    torch.manual_seed(0)
    network = Vgg19(head="attention", weights="none").eval()
    logits, found = maps.picture_maps(network, images, layer=maps.OWN)
    with torch.no_grad():
        expected, attention = network.forward_with_map(images)
    assert torch.equal(logits, expected)
    torch.testing.assert_close(found, maps.resized(attention[:, 0], SIDE))
    assert (found > 0).all()


def test_a_network_without_a_map_of_its_own_says_so(images: Tensor) -> None:
    with pytest.raises(UserError, match="SmallCnn has no map of its own"):
        maps.picture_maps(SmallCnn().eval(), images, layer=maps.OWN)


def test_what_good_castings_show_is_no_evidence(gap: Vgg19, images: Tensor) -> None:
    layer = "features.27:input"
    weights = maps.mean_weights(gap, images, layer)
    level = maps.usual_level(gap, images[:1], layer)
    found = maps.picture_maps(gap, images, layer=layer, weights=weights, level=level)[1]
    assert (found >= 0).all()
    # nothing in the first is above its own largest values, but for another batch's rounding
    assert found[0].max() < 1e-3 * found[1].max()


def test_excess_place_by_place() -> None:
    random = np.random.default_rng(0)
    values, weights, level = (random.normal(size=shape) for shape in ((2, 3, 4, 5), 3, 3))
    expected = np.zeros((2, 4, 5))
    for channel in range(3):
        above = np.maximum(values[:, channel] - level[channel], 0)
        expected += max(weights[channel], 0) * above
    found = maps.excess(*(torch.from_numpy(each) for each in (values, weights, level)))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
