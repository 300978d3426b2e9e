import numpy as np
import torch
from torch import nn

from casting_inspect.deployment.sensitivity import by_sensitivity, in_8_bits


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 3)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def test_a_layer_with_one_huge_weight_comes_first() -> None:
    net = network()
    with torch.no_grad():
        # every output channel has a weight that takes all 255 levels for itself, on an input that
        # is always zero: the rounding of the others is all that it does
        net[2].weight[:, 0, 0, 0] = 500.0
        net[0].weight[0] = 0.0
        net[0].bias[0] = 0.0
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    assert by_sensitivity(net, ["0", "2", "4"], pixels)[0] == "2"
    after = net.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_rounding_is_to_256_levels() -> None:
    layer = nn.Conv2d(1, 1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        values = torch.rand(1, 1, 200, 200)
        with in_8_bits(layer):
            found = layer(values)
        assert len(found.unique()) <= 256
        step = float(values.max() - values.min()) / 255
        assert float((found - values).abs().max()) <= 0.5 * step + 1e-6
        assert torch.equal(layer(values), values)
