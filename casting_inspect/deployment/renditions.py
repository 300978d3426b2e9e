"""The float graph in other clothes: OpenVINO's format, half-precision weights, 8-bit layers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from casting_inspect.deployment.graph import OUTPUTS, WEIGHED
from casting_inspect.deployment.quiet import quietly
from casting_inspect.deployment.runtimes import PIXELS, openvino_core, silent

Pixels = NDArray[np.uint8]

PASSED: Final = (
    *("Constant", "Parameter", "Result", "Convert", "Transpose", "Reshape", "Squeeze"),
    *("Relu", "Clamp", "MaxPool", "Concat", "Split", "StridedSlice", "Pad"),
)
"""Operations through which 8-bit values may run to the layer that takes them."""
BIAS: Final = "/WithoutBiases"
"""What OpenVINO adds to the name of a layer when it takes the bias apart."""
HALF_LARGEST: Final = 65504.0
"""The largest value that half precision holds."""


def file_name(runtime: str, precision: str) -> str:
    """Return the name of a rendition's file in a bundle."""
    stem = "model" if precision == "fp32" else f"model_{precision}"
    return f"{stem}.xml" if runtime == "openvino" else f"{stem}.onnx"


def render(
    runtime: str,
    precision: str,
    graph: Path,
    out: Path,
    layers: Collection[str] = (),
    pixels: Pixels | None = None,
) -> None:
    """Write a graph for a runtime at a precision.

    Args:
        runtime: ``openvino`` or ``onnxruntime``.
        precision: ``fp32``; ``fp16``: weights alone, computed with in float32; ``int8``.
        graph: The float32 graph as ONNX.
        out: The file, named by `file_name`.
        layers: Those to compute in 8 bits, by their name in the network.
        pixels: Pictures (n, S, S, 3) that set the ranges of the 8-bit values.
    """
    if runtime == "openvino":
        _for_openvino(precision, graph, out, layers, pixels)
    elif precision == "int8":
        assert pixels is not None
        quantise_onnx(graph, out, layers, pixels)
    elif precision == "fp16":
        halve_onnx(graph, out)
    else:
        out.write_bytes(graph.read_bytes())


def _for_openvino(
    precision: str, graph: Path, out: Path, layers: Collection[str], pixels: Pixels | None
) -> None:
    silent()
    import openvino

    model = openvino.convert_model(graph)
    if precision == "int8":
        assert pixels is not None
        model = quantise_openvino(model, layers, pixels)
    openvino.save_model(model, out, compress_to_fp16=precision == "fp16")


def quantise_openvino(model: Any, layers: Collection[str], pixels: Pixels) -> Any:
    """Return an OpenVINO model with some layers in 8 bits, by NNCF's post-training quantisation."""
    with quietly("nncf", "torch.utils.cpp_extension"):
        import nncf

        others = [
            operation.get_friendly_name()
            for operation in model.get_ordered_ops()
            if operation.get_type_name() not in PASSED
            and operation.get_friendly_name().removesuffix(BIAS) not in layers
        ]
        return nncf.quantize(
            model,
            nncf.Dataset([pixels[at : at + 1] for at in range(len(pixels))]),
            subset_size=len(pixels),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            # a network without a single such operation is none that NNCF would know
            ignored_scope=nncf.IgnoredScope(names=others, validate=False),
        )


def quantise_onnx(graph: Path, out: Path, layers: Collection[str], pixels: Pixels) -> None:
    """Write a graph with some layers in 8 bits, by ONNX Runtime's static quantisation.

    Ranges are those of the pictures; weights have a scale a channel, and each layer's input is
    quantised and dequantised in the graph (QDQ), which runtimes join into 8-bit layers.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Gives the pictures one by one."""

        def __init__(self) -> None:
            self.left = iter(range(len(pixels)))

        def get_next(self) -> dict[str, Pixels] | None:
            """Return the next picture, or None."""
            at = next(self.left, None)
            return None if at is None else {PIXELS: pixels[at : at + 1]}

    with quietly(""):  # the root: it recommends a step that changes nothing here
        quantize_static(
            str(graph),
            str(out),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(WEIGHED),
            nodes_to_quantize=sorted(layers),
            # what a ReLU is about to cut off would take half of the 256 levels
            extra_options={"OpTypesToExcludeOutputQuantization": list(WEIGHED)},
        )


def move(runtime: str, path: Path, by: float) -> None:
    """Add a constant to the log-odds of a rendition, once.

    Rounding in 8 bits moves scores to one side, all of them by about the same (Nagel and others
    2019, "Data-free quantization through weight equalization and bias correction", sec. 4.2); what
    the quantiser leaves of that can be measured on a few pictures and taken off again.

    Args:
        runtime: That it is for.
        path: Its file.
        by: What is added.
    """
    add = _add_in_onnx if runtime == "onnxruntime" else _add_in_openvino
    add(path, by)


def _add_in_onnx(path: Path, by: float) -> None:
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    graph, (place, last) = model.graph, _maker_of(model.graph.node, OUTPUTS[1])
    before, constant = f"{OUTPUTS[1]}.rounded", f"{OUTPUTS[1]}.moved_by"
    last.output[:] = [before if name == OUTPUTS[1] else name for name in last.output]
    graph.initializer.append(numpy_helper.from_array(np.array(by, np.float32), constant))
    graph.node.insert(place + 1, helper.make_node("Add", [before, constant], [OUTPUTS[1]]))
    onnx.save(model, str(path))


def _maker_of(nodes: Any, name: str) -> tuple[int, Any]:
    """Return the node of a graph that makes a value, and its place."""
    (found,) = [(place, node) for place, node in enumerate(nodes) if name in node.output]
    return found


def _add_in_openvino(path: Path, by: float) -> None:
    silent()
    import openvino

    model = openvino_core().read_model(path)
    before = model.output(OUTPUTS[1]).get_node().input_value(0)
    takers = list(before.get_target_inputs())
    added = openvino.opset1.add(before, openvino.opset1.constant(np.float32(by)))
    for taker in takers:
        taker.replace_source_output(added.output(0))
    before.get_tensor().set_names(set())
    added.output(0).get_tensor().set_names({OUTPUTS[1]})
    added.set_friendly_name(f"{OUTPUTS[1]}.moved")
    moved = path.with_name(f"moved_{path.name}")
    openvino.save_model(model, moved, compress_to_fp16=False)
    del model, before, takers, added  # the file is mapped into memory as long as they are there
    for suffix in (".xml", ".bin"):
        moved.with_suffix(suffix).replace(path.with_suffix(suffix))


def halve_onnx(graph: Path, out: Path) -> None:
    """Write a graph with its weights in half precision, made float32 again when it is opened."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(graph))
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue  # biases and constants weigh nothing
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max(initial=0.0) > HALF_LARGEST:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    for place, node in enumerate(casts):
        model.graph.node.insert(place, node)
    onnx.save(model, str(out))
