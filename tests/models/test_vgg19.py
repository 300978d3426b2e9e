"""VGG-19 against torchvision's own forward pass, and what its three heads promise."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from casting_inspect.errors import UserError
from casting_inspect.models.heads import PooledHead
from casting_inspect.models.protocol import is_split
from casting_inspect.models.vgg19 import Vgg19, class_activation, initialise_he

SIDE = 64
SHARED = Path(os.environ.get("CASTING_INSPECT_SHARED", Path(__file__).parents[3] / "shared"))
STANDIN = SHARED / "weights" / "vgg19_features_standin.pth"
needs_standin = pytest.mark.skipif(not STANDIN.is_file(), reason=f"{STANDIN} is not there")


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def gap() -> Vgg19:
    torch.manual_seed(0)
    return Vgg19(head="gap", weights="none").eval()


@pytest.fixture(scope="module")
def attention() -> Vgg19:
    torch.manual_seed(0)
    network = Vgg19(head="attention", weights="none").eval()
    nn.init.normal_(network.head.score.weight)  # type: ignore[union-attr, arg-type]
    return network


@pytest.fixture(scope="module")
def paper() -> Iterator[Vgg19]:
    """560 MB: made once."""
    torch.manual_seed(0)
    with torch.no_grad():
        yield Vgg19(head="paper", weights="none").eval()


def by_hand(images: Tensor) -> Tensor:
    return torchvision.transforms.functional.normalize(
        images, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]
    )


def torchvision_twin(network: Vgg19, **options: object) -> nn.Module:
    """torchvision's network with the same values, without making the 560 MB a second time."""
    build = torchvision.models.vgg19_bn if options.get("bn") else torchvision.models.vgg19
    with torch.device("meta"):
        twin: nn.Module = build(weights=None, init_weights=False, num_classes=2)
    twin.load_state_dict(network.state_dict(), strict=False, assign=True)
    return twin.eval()


def test_paper_is_torchvisions_network_with_two_outputs(paper: Vgg19, images: Tensor) -> None:
    twin = torchvision_twin(paper)
    assert set(twin.state_dict()) == set(paper.state_dict())
    torch.testing.assert_close(paper(images), twin(by_hand(images)))
    hidden = twin.classifier[:5](twin.avgpool(twin.features(by_hand(images))).flatten(1))
    torch.testing.assert_close(paper.backbone_features(images), hidden)
    assert hidden.shape == (2, 4096)
    assert paper.cache_layer == "fc2"


def test_gap_pools_torchvisions_features(gap: Vgg19, images: Tensor) -> None:
    grid = torchvision_twin(gap).features(by_hand(images))  # type: ignore[operator]
    # in evaluation mode the grid is rounded to float16, as a stored one is: 2^-11 of each value
    expected = grid.mean(dim=(2, 3))
    torch.testing.assert_close(gap.backbone_features(images), expected, rtol=2**-11, atol=1e-6)
    assert gap.cache_layer == "pooled"


def test_batch_norm_is_torchvisions_vgg19_bn(images: Tensor) -> None:
    network = Vgg19(head="attention", weights="none", batch_norm=True).eval()
    grid = torchvision_twin(network, bn=True).features(by_hand(images))  # type: ignore[operator]
    torch.testing.assert_close(network.backbone_features(images), grid)
    assert network.cache_layer == "grid"


@pytest.mark.parametrize("name", ["gap", "attention", "paper"])
def test_backbone_and_head_make_the_network(
    name: str, images: Tensor, request: pytest.FixtureRequest
) -> None:
    network: Vgg19 = request.getfixturevalue(name)
    assert is_split(network)
    with torch.no_grad():
        logits = network(images)
        assert torch.equal(logits, network.head_logits(network.backbone_features(images)))
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network(images)
    assert logits.shape == (2, 2)
    assert logits.dtype == mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, logits, atol=0.05, rtol=0.1)
    assert not network.pretrained
    assert network.weights_name == network.weights_digest == "none"


@pytest.mark.parametrize("side", [64, 97, 130])
def test_any_side(attention: Vgg19, side: int) -> None:
    with torch.no_grad():
        logits, attended = attention.forward_with_map(torch.rand(1, 3, side, side))
    assert logits.shape == (1, 2)
    assert attended.shape == (1, 1, side // 32, side // 32)
    torch.testing.assert_close(attended.sum(), torch.tensor(1.0))


def test_map_belongs_to_the_logits(attention: Vgg19, images: Tensor) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits, attended = attention.forward_with_map(images)
        assert torch.equal(logits, attention(images))
    assert attended.dtype == torch.float32


def test_map_of_gap_makes_its_logits(gap: Vgg19, images: Tensor) -> None:
    network = copy.deepcopy(gap)
    head = network.head
    assert isinstance(head, PooledHead)
    head.standardise.running_mean.normal_(generator=torch.Generator().manual_seed(1))  # type: ignore[union-attr]
    head.standardise.running_var.fill_(0.3)  # type: ignore[union-attr]
    with torch.no_grad():
        logits, before = network.forward_with_map(images)
        assert torch.equal(logits, network(images))
        assert before.shape == (2, 1, SIDE // 16, SIDE // 16)
        last = class_activation(network.features(by_hand(images)), head)
        evidence = last.mean(dim=(1, 2, 3)) + head.evidence()[1]
    # the pooled values are rounded to float16, as stored ones are
    torch.testing.assert_close(evidence, logits[:, 0] - logits[:, 1], rtol=1e-2, atol=1e-3)


def test_other_heads_have_no_map_without_gradients(pyramid: Vgg19, images: Tensor) -> None:
    with pytest.raises(UserError, match=r"model\.head=pyramid has no map without gradients"):
        pyramid.forward_with_map(images)


def convolutions(stage: list[nn.Module]) -> list[int]:
    return [layer.out_channels for layer in stage if isinstance(layer, nn.Conv2d)]


BLOCKS = [[512] * 4, [512] * 4, [256] * 4, [128] * 2, [64] * 2]


@pytest.mark.parametrize("name", ["gap", "attention", "paper"])
def test_stages_open_from_the_top_and_leave_nothing_out(
    name: str, request: pytest.FixtureRequest
) -> None:
    network: Vgg19 = request.getfixturevalue(name)
    stages = network.stages()
    if name == "paper":
        hidden = [layer for layer in stages.pop(0) if isinstance(layer, nn.Linear)]
        assert [layer.in_features for layer in hidden] == [25088, 4096]
        assert network.head_modules() == [network.classifier[6]]
        stages.append([*hidden])
    assert [convolutions(stage) for stage in stages][:5] == BLOCKS
    owned = [module for stage in stages for module in stage] + network.head_modules()
    counted = [id(p) for module in owned for p in module.parameters()]
    assert sorted(counted) == sorted(id(p) for p in network.parameters())


def test_dropout_before_the_last_layer_sleeps_with_the_frozen_paper_head(
    paper: Vgg19, images: Tensor
) -> None:
    paper.eval()
    for module in paper.head_modules():
        module.train()
    with torch.no_grad():
        assert torch.equal(paper(images), paper(images))


def test_pooled_head_drops_out_while_training(gap: Vgg19) -> None:
    features = torch.ones(1, 512)
    for module in gap.head_modules():
        module.train()
    try:
        torch.manual_seed(0)
        assert not torch.equal(gap.head_logits(features), gap.head_logits(features))
    finally:
        gap.eval()


def test_he_initialisation() -> None:
    torch.manual_seed(0)
    convolution, hidden = nn.Conv2d(64, 128, 3), nn.Linear(4096, 64)
    initialise_he(convolution)
    initialise_he(hidden)
    assert convolution.weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
    assert hidden.weight.std().item() == pytest.approx((2 / 4096) ** 0.5, rel=0.02)
    assert not hidden.bias.any()
    norm = nn.BatchNorm2d(3)
    norm.running_mean.fill_(5.0)  # type: ignore[union-attr]
    initialise_he(norm)
    assert not norm.running_mean.any()  # type: ignore[union-attr]


def test_new_head_depends_on_the_seed_alone(gap: Vgg19, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({k: v.half() for k, v in gap.features.state_dict().items()}, path)
    torch.manual_seed(0)
    loaded = Vgg19(head="gap", weights=str(path))
    assert torch.equal(loaded.head.linear.weight, gap.head.linear.weight)  # type: ignore[union-attr]
    assert torch.equal(loaded.features[0].weight, gap.features[0].weight.half().float())
    assert loaded.pretrained
    assert loaded.weights_name == "weights.pth"
    assert set(loaded.state_dict()) == set(gap.state_dict())


def test_batch_norm_statistics_come_from_the_file(tmp_path: Path) -> None:
    donor = Vgg19(head="gap", weights="none", batch_norm=True)
    donor(torch.rand(2, 3, SIDE, SIDE))  # moves the running statistics
    torch.save(donor.features.state_dict(), tmp_path / "bn.pth")
    heir = Vgg19(head="gap", weights=str(tmp_path / "bn.pth"), batch_norm=True)
    for name, value in donor.features.state_dict().items():
        if "num_batches" not in name:
            assert torch.equal(value, heir.features.state_dict()[name]), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "atention"}, "Did you mean 'attention'"),
        ({"dropout": 1.0}, "model.dropout=1.0"),
        ({"weights": "nowhere.pth"}, "no such file"),
    ],
)
def test_mistakes_are_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Vgg19(**options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.real
@needs_standin
def test_standin_weights(images: Tensor) -> None:
    network = Vgg19(head="gap", weights=str(STANDIN)).eval()
    with torch.device("meta"):
        twin = torchvision.models.vgg19(weights=None, init_weights=False).features.eval()
    stored = torch.load(STANDIN, weights_only=True)
    floats = {name.removeprefix("features."): value.float() for name, value in stored.items()}
    twin.load_state_dict(floats, assign=True)
    with torch.no_grad():
        expected = twin(by_hand(images)).mean(dim=(2, 3))
        found = network.backbone_features(images)
    torch.testing.assert_close(found, expected, rtol=2**-11, atol=1e-6)
    assert network.weights_digest == hashlib.sha256(STANDIN.read_bytes()).hexdigest()
    assert network.weights_name == STANDIN.name


@pytest.mark.real
@needs_standin
def test_paper_head_refuses_standin_weights() -> None:
    with pytest.raises(UserError, match="no fully connected layers"):
        Vgg19(head="paper", weights=str(STANDIN))


@pytest.fixture(scope="module")
def pyramid() -> Vgg19:
    torch.manual_seed(0)
    return Vgg19(head="pyramid", weights="none").eval()


def test_pyramid_is_mean_and_maximum_of_three_blocks(pyramid: Vgg19, images: Tensor) -> None:
    twin = torchvision_twin(pyramid)
    values, expected = by_hand(images), []
    for place, layer in enumerate(twin.features):  # type: ignore[arg-type, var-annotated]
        values = layer(values)
        if place in (17, 26, 35):  # the last ReLU of blocks 3, 4 and 5
            expected += [values.mean(dim=(2, 3)), values.amax(dim=(2, 3))]
    found = pyramid.backbone_features(images)
    assert found.shape == (2, 2560)
    assert pyramid.cache_layer == "pyramid"
    # rounded to float16, as a stored row is
    torch.testing.assert_close(found, torch.cat(expected, dim=1), rtol=2**-10, atol=1e-6)
    with torch.no_grad():
        assert torch.equal(pyramid(images), pyramid.head_logits(found))
    assert is_split(pyramid)


def test_local_contrast_makes_the_features_blind_to_light(images: Tensor) -> None:
    torch.manual_seed(0)
    network = Vgg19(head="gap", weights="none", contrast="local").eval()
    plain = Vgg19(head="gap", weights="none").eval()
    plain.load_state_dict(network.state_dict())
    with torch.no_grad():
        darker, same = (network.backbone_features(x) for x in (0.5 * images, images))
        seen, unseen = (plain.backbone_features(x) for x in (0.5 * images, images))
    torch.testing.assert_close(darker, same, rtol=0.01, atol=1e-3)
    assert (seen - unseen).abs().max() > 10 * (darker - same).abs().max()
    assert network.cache_layer == "pooled-local"
    assert list(network.derivable) == ["grid-local"]


def test_unknown_contrast() -> None:
    with pytest.raises(UserError, match=r"model.contrast=locl: not one of none, local. Did you"):
        Vgg19(weights="none", contrast="locl")
