from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from casting_inspect.deployment.bundle import seal
from casting_inspect.deployment.runtimes import is_installed, open_model, refuse_outside_data
from casting_inspect.deployment.scorer import Scorer
from casting_inspect.errors import UserError

onnx = pytest.importorskip("onnx", reason="the extra 'export' is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")


def reaching_out(path: Path, location: str, *, inside: str) -> None:
    """Write a model whose weights lie at a place that its maker chose."""
    from onnx import TensorProto, helper

    tensor = helper.make_tensor(
        "w", TensorProto.FLOAT, [4], np.zeros(4, np.float32).tobytes(), raw=True
    )
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    node = helper.make_node("Identity", ["w"], ["p_normal"])
    initializers = [tensor]
    if inside == "constant":
        node = helper.make_node("Constant", [], ["p_normal"])
        node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(tensor)
        initializers = []
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 8, 8, 3])
    out = helper.make_tensor_value_info("p_normal", TensorProto.FLOAT, [4])
    graph = helper.make_graph([node], "g", [pixels], [out], initializers)
    if inside == "branch":
        nothing = helper.make_tensor_value_info("p_normal", TensorProto.FLOAT, [4])
        branch = helper.make_graph([node], "b", [], [nothing], [tensor])
        choose = helper.make_node("If", ["c"], ["p_normal"], then_branch=branch, else_branch=branch)
        true = helper.make_tensor("c", TensorProto.BOOL, [], [True])
        graph = helper.make_graph([choose], "g", [pixels], [out], [true])
    path.write_bytes(helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize("inside", ["graph", "constant", "branch"])
@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "beside"])
def test_a_model_that_takes_values_from_other_files_is_not_opened(
    location: str, inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *words, **_: opened.append(words))
    folder = tmp_path / "bundle"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(16))
    (folder / "beside").write_bytes(bytes(16))
    reaching_out(folder / "model.onnx", location, inside=inside)
    limits = dict.fromkeys(("high", "low", "high_log_odds", "low_log_odds"), 0.5)
    record = {
        "limits": limits,
        "input": {"side": 8, "fit": "pad", "window": None},
        "heatmap": False,
        "models": [{"runtime": "onnxruntime", "precision": "fp32", "file": "model.onnx"}],
    }
    seal(folder, record)  # all digests are right: its maker knows how
    with pytest.raises(UserError, match="takes values from other files and is not opened"):
        Scorer(folder)
    assert opened == []


def test_our_own_models_pass(bundle: Path) -> None:
    refuse_outside_data(bundle / "model.onnx")


@pytest.mark.parametrize("data", [b"", b"no model", bytes(1000)])
def test_what_is_no_onnx_is_one_line(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"model\.onnx"):
        open_model("onnxruntime", path)


def test_what_is_no_openvino_model_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra 'export' is not installed")
    for name in ("model.xml", "model.bin"):
        (tmp_path / name).write_bytes(b"<net>")
    with pytest.raises(UserError, match="openvino cannot open it"):
        open_model("openvino", tmp_path / "model.xml")


def test_onnxruntime_alone_is_not_enough_and_one_line_says_so(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = is_installed("openvino")
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    assert not is_installed("onnxruntime")
    with pytest.raises(UserError, match=r'needs onnx, which.*"casting-inspect\[export\]"'):
        open_model("onnxruntime", bundle / "model.onnx")
    with pytest.raises(UserError, match="needs onnx, which is not installed"):
        Scorer(bundle, "onnxruntime")
    if whole:
        assert Scorer(bundle).model.runtime == "openvino"


def test_what_onnxruntime_cannot_score_is_a_runtime_error(bundle: Path) -> None:
    run = open_model("onnxruntime", bundle / "model.onnx")
    with pytest.raises(RuntimeError, match="pixels"):
        run(np.zeros((1, 3), np.uint8))


INTERRUPTED = """
import gc, os, signal, sys
from pathlib import Path
import numpy as np, onnx
from casting_inspect.deployment.renditions import move, render
from casting_inspect.deployment.runtimes import open_model

bundle, made = Path(sys.argv[1]), Path(sys.argv[2])
pixels = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
graph = bundle / "model.onnx"
layers = [node.name for node in onnx.load(graph).graph.node if node.op_type == "Conv"]
engines = [open_model("openvino", bundle / "model.xml") for _ in range(2)]
render("openvino", "int8", graph, made, layers, pixels)
move("openvino", made, 0.1)
engines.append(open_model("openvino", made))
for place in range(3):
    engines[place](pixels)
while engines:
    engines.pop(0)
    gc.collect()
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_process_that_closed_openvino_models_can_still_be_interrupted(
    bundle: Path, tmp_path: Path
) -> None:
    pytest.importorskip("nncf", reason="the extra 'export' is not installed")
    words = [sys.executable, "-c", INTERRUPTED, str(bundle), str(tmp_path / "model_int8.xml")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["interrupted"]), done.stderr
