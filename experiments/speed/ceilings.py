"""What the machine could do at best: matrix products, memory, disk; and what a network asks of it.

    python experiments/speed/ceilings.py

Every script measures the ceilings that it needs in its own run, in turn with what it compares;
run as a script this one only writes them down.
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from record import Row, write
from settings import pick
from timing import Timed, side_by_side
from torch import nn

from casting_inspect.files import cache_root
from casting_inspect.training.precision import device_of, resolve_accelerator, resolve_precision

MATRIX_SIDE = pick(2048, 256)
COPIED = pick(2**28, 2**22)
"""Bytes of the array that is copied; far more than any processor's own cache."""


def device() -> torch.device:
    """Return the device that `train` would take."""
    return device_of(resolve_accelerator("auto"))


def our_precision() -> str:
    """Return the precision that `train` would take here, as Lightning names it."""
    return resolve_precision("auto", resolve_accelerator("auto"))


def our_type() -> torch.dtype:
    """Return the type that `train` multiplies in here."""
    types = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    return types.get(our_precision(), torch.float32)


def type_name(dtype: torch.dtype) -> str:
    """Return a type's name, such as ``bfloat16``."""
    return str(dtype).removeprefix("torch.")


def matrix(dtype: torch.dtype, on: torch.device | None = None) -> Callable[[], object]:
    """Return a matrix product of 2 * MATRIX_SIDE^3 operations, the ceiling of every convolution."""
    where = on or device()
    side = MATRIX_SIDE * (4 if where.type == "cuda" else 1)
    a = torch.randn(side, side, device=where).to(dtype)
    b = torch.randn(side, side, device=where).to(dtype)
    return lambda: a @ b


def rate(product: Timed, on: torch.device | None = None) -> float:
    """Return operations a second of a timed ``matrix``."""
    side = MATRIX_SIDE * (4 if (on or device()).type == "cuda" else 1)
    return float(2 * side**3 / product.median)


def copying() -> Callable[[], object]:
    """Return a copy of COPIED bytes within memory: read once, written once."""
    source = torch.zeros(COPIED // 4)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def reading(path: Path) -> Callable[[], object]:
    """Return a read of a file, from the disk where the system can be told to forget it."""

    def read() -> None:
        with path.open("rb", buffering=0) as stream:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while stream.read(2**22):
                pass

    return read


def operations(network: nn.Module, shape: Sequence[int], *, training: bool = False) -> int:
    """Return the floating-point operations of a pass, two for each multiplication and addition.

    Counted by PyTorch on shapes alone; nothing is computed and the network is left as it is.

    Args:
        network: Any network.
        shape: Of its input, the number of pictures first.
        training: Forward and backward; else forward alone.
    """
    from torch.utils.flop_counter import FlopCounterMode

    double = _on_meta(network).train(training)
    counter = FlopCounterMode(display=False)
    with counter, torch.set_grad_enabled(training):
        out = double(torch.empty(tuple(shape), device="meta"))
        if training:
            out.float().sum().backward()
    return int(counter.get_total_flops())


def _on_meta(network: nn.Module) -> nn.Module:
    """Return a copy of a network that has shapes and no values."""
    memo: dict[int, Any] = {}
    for tensor in (*network.parameters(), *network.buffers()):
        shape = tensor.detach().to("meta")
        memo[id(tensor)] = nn.Parameter(shape) if isinstance(tensor, nn.Parameter) else shape
    return copy.deepcopy(network, memo).requires_grad_(True)


def main() -> None:
    """Measure every ceiling and write results/ceilings.csv."""
    here = device()
    cache_root().mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cache_root()) as file:  # where features are kept
        file.write(os.urandom(COPIED))
        file.flush()
        os.fsync(file.fileno())
        runs: dict[str, Callable[[], object]] = {
            f"matrix product {type_name(kind)}": matrix(kind)
            for kind in dict.fromkeys((torch.float32, our_type()))
        }
        runs["memory: copy"] = copying()
        runs["disk: read"] = reading(Path(file.name))
        found = side_by_side(runs)
    rows = []
    for name, times in found.items():
        if name.startswith("matrix"):
            value, unit = rate(times, here) / 1e12, "10^12 operations/s"
        else:
            passes = 2 if name.startswith("memory") else 1
            value, unit = passes * COPIED / times.median / 1e9, "GB/s"
        rows.append(Row(name, ours=value, unit=unit, repeats=len(times.seconds)))
    write("ceilings", rows)


if __name__ == "__main__":
    main()
