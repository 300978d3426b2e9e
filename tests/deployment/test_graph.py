from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_runs import CNN, VGG19
from torch import nn

from casting_inspect.deployment.evidence import SMOOTH, Evidence, shared_layer
from casting_inspect.deployment.graph import Shipped, export_onnx, quantisable
from casting_inspect.deployment.renditions import file_name, move, render
from casting_inspect.deployment.runtimes import open_model
from casting_inspect.deployment.scorer import probabilities
from casting_inspect.errors import UserError
from casting_inspect.evaluation.calibration import Calibration
from casting_inspect.models import maps
from casting_inspect.models.build import build_network

SIDE = 64
LIN = {"_target_": "casting_inspect.models.lin2018.Lin2018", "width": 4, "regions": 4, "crop": 16}
NGUYEN = {"_target_": "casting_inspect.models.nguyen2021.Nguyen2021", "width": 4, "parts": 2}
NETWORKS: dict[str, dict[str, Any]] = {
    "cnn": CNN,
    "lin2018": LIN,
    "nguyen2021": NGUYEN,
    "gap": VGG19,
    "attention": {**VGG19, "head": "attention"},
    "pyramid": {**VGG19, "head": "pyramid"},
    "local": {**VGG19, "contrast": "local"},
    "batch_norm": {**VGG19, "batch_norm": True},
}


def network_of(name: str) -> nn.Module:
    torch.manual_seed(1)
    return build_network(NETWORKS[name]).eval()


def pixels_of(count: int) -> np.ndarray:
    import cv2

    random = np.random.default_rng(count)
    coarse = random.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    return np.stack([cv2.resize(one, (SIDE, SIDE)) for one in coarse])


def images_of(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def shown_by(network: nn.Module) -> tuple[Evidence, torch.Tensor, torch.Tensor] | None:
    """Return a network's map as it ships, and the channels' weights and level in it."""
    some = images_of(pixels_of(4))
    layer = shared_layer(network, some)
    if layer is None:
        return None
    weights, level = maps.mean_weights(network, some, layer), maps.usual_level(network, some, layer)
    places = maps.layer_values(network, some, layer)[1].shape[-1]
    return Evidence(layer, weights, level / 2, places, SIDE), weights, level / 2


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_gives_what_the_network_gives(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    onnx = pytest.importorskip("onnx")
    network, path = network_of(name), tmp_path / "model.onnx"
    calibration, shift = Calibration(slope=0.5, intercept=0.25), 3.0
    shown = shown_by(network)
    assert (shown is None) == (name in ("lin2018", "nguyen2021"))  # a map a region
    shipped = Shipped(network, calibration, shift, shown and shown[0]).eval()
    export_onnx(shipped, SIDE, path)
    engine = open_model("onnxruntime", path)
    for count in (1, 2, 7):
        pixels = pixels_of(count)
        images = images_of(pixels)
        with torch.inference_mode():
            logits = network(images).double().numpy()
        log_odds = calibration.log_odds(logits[:, 1] - logits[:, 0]) + shift
        scored = engine(pixels)
        np.testing.assert_allclose(scored.log_odds, log_odds, atol=2e-4)
        np.testing.assert_allclose(scored.p_normal, 1 / (1 + np.exp(-log_odds)), atol=1e-4)
        if shown is None:
            assert scored.heatmap is None
            continue
        assert scored.heatmap is not None
        _, evidence = maps.picture_maps(
            network, images, weights=shown[1], level=shown[2], smooth=SMOOTH
        )
        drawn = (evidence / evidence.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)).numpy()
        assert drawn.max() == pytest.approx(1.0)
        np.testing.assert_allclose(scored.heatmap, drawn, atol=2e-3)
    model = onnx.load(str(path))
    named = {node.name for node in model.graph.node}
    assert set(quantisable(network)) <= named
    assert b"site-packages" not in path.read_bytes()  # no traces of where it was made


def test_a_picture_without_evidence_has_an_empty_map() -> None:
    network = network_of("cnn")
    shown = shown_by(network)
    assert shown is not None
    shown[0].level.fill_(1e6)  # as if good castings showed more than any picture does
    heat = Shipped(network, Calibration(), 0.0, shown[0])(torch.from_numpy(pixels_of(2)))[2]
    assert torch.equal(heat, torch.zeros(2, SIDE, SIDE))


@pytest.mark.parametrize("slope", [1.0, 0.5])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_scores_are_moved_by_a_constant_whatever_is_added_already(
    slope: float, runtime: str, tmp_path: Path
) -> None:
    for package in ("onnxscript", "onnx", runtime):
        pytest.importorskip(package, reason="the extra 'export' is not installed")
    graph, path = tmp_path / "graph.onnx", tmp_path / file_name(runtime, "fp32")
    export_onnx(Shipped(network_of("cnn"), Calibration(slope), 0.0).eval(), SIDE, graph)
    render(runtime, "fp32", graph, path)
    pixels, files = pixels_of(3), {each.name for each in tmp_path.iterdir()}
    before = open_model(runtime, path)(pixels)
    move(runtime, path, 0.25)
    after = open_model(runtime, path)(pixels)
    np.testing.assert_allclose(after.log_odds, before.log_odds + 0.25, atol=1e-5)
    np.testing.assert_allclose(after.p_normal, probabilities(after.log_odds), atol=1e-6)
    assert {each.name for each in tmp_path.iterdir()} == files


def test_what_onnx_has_no_word_for_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the extra 'export' is not installed")

    class Own(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.mean() > 0.5:  # which way is taken depends on the picture
                return images.mean(dim=(2, 3))[:, :2]
            return images.amax(dim=(2, 3))[:, :2]

    with pytest.raises(UserError, match="Own cannot be written as ONNX"):
        export_onnx(Shipped(Own(), Calibration(), 0.0), SIDE, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_neither_head_nor_normalisation_is_quantised() -> None:
    assert len(quantisable(network_of("gap"))) == 16
    assert all(name.startswith("features.") for name in quantisable(network_of("attention")))
    assert "linear" not in quantisable(network_of("cnn"))
