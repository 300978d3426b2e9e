"""The engines that run a bundle's models: OpenVINO and ONNX Runtime, one call for both."""

from __future__ import annotations

import functools
import importlib.util
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from casting_inspect.cores import usable_cores
from casting_inspect.errors import UserError, first_line

Pixels = NDArray[np.uint8]


class Scored(NamedTuple):
    """What a model says of some pictures.

    Attributes:
        log_odds: Calibrated log-odds of normal, float64 (N,).
        p_normal: The model's own, float32 (N,).
        heatmap: Evidence by place, float32 (N, h, w) from 0 to 1, or None.
    """

    log_odds: NDArray[np.float64]
    p_normal: NDArray[np.float32]
    heatmap: NDArray[np.float32] | None


PIXELS: Final = "pixels"
"""The name of a model's input."""
VERDICT: Final = ("p_normal", "log_odds")
"""Those of its outputs that verdicts come from; a map may follow."""
Engine = Callable[[Pixels], Scored]
"""From RGB pictures (N, S, S, 3) to what a model says of them; safe in several threads.

Raises `RuntimeError` or `MemoryError` where it cannot.
"""

_making: Final = threading.Lock()

PACKAGES: Final = {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "onnx")}
"""The modules that a runtime needs; `onnx` looks into a file before it is opened."""


def is_installed(runtime: str) -> bool:
    """Say whether all that a runtime needs can be imported, without importing it."""
    return not _missing(runtime)


def _missing(runtime: str) -> list[str]:
    return [name for name in PACKAGES[runtime] if importlib.util.find_spec(name) is None]


def open_model(
    runtime: str, path: Path, threads: int | None = None, *, heatmap: bool = True
) -> Engine:
    """Open a model file with a runtime; what is float in it stays float32 on every processor.

    Args:
        runtime: One of ``bundle.RUNTIMES``.
        path: Its file; for OpenVINO the ``.xml`` beside its ``.bin``.
        threads: Processors that one call may use; None: all that this process has.
        heatmap: Whether the map that it may have is wanted; OpenVINO saves the time without.

    Raises:
        UserError: If the runtime is missing, or the file is not one that it can open.
    """
    if missing := _missing(runtime):
        raise UserError(
            f"{path.name} needs {missing[0]}, which is not installed: pip install "
            '"casting-inspect[export]"'
        )
    count = threads or usable_cores()
    try:
        return {"openvino": _openvino, "onnxruntime": _onnxruntime}[runtime](path, count, heatmap)
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(f"{path}: {runtime} cannot open it ({first_line(error)})") from error


def _scored(outputs: Sequence[Any]) -> Scored:
    # a copy, because a runtime may use its buffers again
    p_normal, log_odds = (np.array(values) for values in outputs[:2])
    heatmap = np.array(outputs[2]) if len(outputs) > 2 else None
    return Scored(log_odds.astype(np.float64), p_normal, heatmap)


def silent() -> None:
    """Keep OpenVINO and NNCF from reporting to their makers, as they do on import.

    Both take a stand-in where the package that sends is missing. An inspection station has no
    business with anybody outside, and export none either.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


@functools.cache
def _the_core() -> Any:
    silent()
    import openvino

    return openvino.Core()


def openvino_core() -> Any:
    """Return OpenVINO's ``Core``, one for the whole process, and never given back.

    Each that compiles a model puts a signal stack of its own under the thread, and puts back the
    one that it found when it ends. Of two that end in the order of their making, the second puts
    back the stack that the first has freed; the next signal that Python handles, a Ctrl-C or the
    end of a child, then ends the process (OpenVINO 2026.4, Linux).
    """
    with _making:
        return _the_core()


def _openvino(path: Path, threads: int, heatmap: bool) -> Engine:
    core = openvino_core()
    model = core.read_model(path, path.with_suffix(".bin"))
    if not heatmap:
        for result in model.get_results()[len(VERDICT) :]:
            model.remove_result(result)
    compiled = core.compile_model(
        model,
        "CPU",
        {
            # by itself it computes in bfloat16 wherever the processor can
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        },
    )
    idle: queue.LifoQueue[Any] = queue.LifoQueue()  # a request serves one thread at a time

    def run(pixels: Pixels) -> Scored:
        with _lent(idle, compiled.create_infer_request) as request:
            return _scored(list(request.infer([pixels], share_inputs=True).values()))

    return run


@contextmanager
def _lent(idle: queue.LifoQueue[Any], make: Callable[[], Any]) -> Iterator[Any]:
    """Yield one of the idle things, or a new one when all are in use."""
    try:
        taken = idle.get_nowait()
    except queue.Empty:
        taken = make()
    try:
        yield taken
    finally:
        idle.put(taken)


def _onnxruntime(path: Path, threads: int, heatmap: bool) -> Engine:
    import onnxruntime

    refuse_outside_data(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its own classes derive from Exception alone
        raise ValueError(first_line(error)) from error

    def run(pixels: Pixels) -> Scored:
        try:
            return _scored(session.run(None if heatmap else [*VERDICT], {PIXELS: pixels}))
        except MemoryError:
            raise
        except Exception as error:
            raise RuntimeError(first_line(error)) from error

    return run


def refuse_outside_data(path: Path) -> None:
    """Refuse an ONNX file that takes values from other files, before anything opens those.

    A bundle's models hold all of their weights; such a reference can only lead out of it.

    Raises:
        UserError: If there is one, or the file is no ONNX.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise UserError(f"{path} is damaged: it is no ONNX file") from error
    if any(tensor.data_location == tensor.EXTERNAL for tensor in _tensors(model)):
        raise UserError(f"{path} takes values from other files and is not opened: export it again")


def _tensors(message: Any) -> Iterator[Any]:
    """Yield every tensor in a protocol buffer, of subgraphs and functions too."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in [value] if hasattr(value, "DESCRIPTOR") else value:
                yield from _tensors(one)
