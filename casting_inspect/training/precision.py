"""Choose the device and the precision by looking at the machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Final

import torch

from casting_inspect.errors import UserError

NVML_CHECK: Final = "PYTORCH_NVML_BASED_CUDA_CHECK"


def resolve_accelerator(accelerator: str) -> str:
    """Return ``cpu``, ``gpu`` or ``mps`` for a configured ``auto|cpu|gpu|mps``.

    Raises:
        UserError: If a GPU is asked for and none is there.
    """
    if accelerator == "auto":
        if torch.cuda.is_available():
            return "gpu"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError(
            "trainer=gpu, but PyTorch finds no CUDA device: use trainer=cpu, or install a CUDA "
            "build of PyTorch and check nvidia-smi"
        )
    return accelerator


def device_of(accelerator: str, devices: int | Sequence[int] = 1) -> torch.device:
    """Return the torch device of a resolved accelerator, the first one or the one named.

    Args:
        accelerator: ``cpu``, ``gpu`` or ``mps``.
        devices: As ``trainer.devices``: 1, or a list with one device's number.
    """
    if accelerator == "gpu":
        return torch.device("cuda", 0 if isinstance(devices, int) else devices[0])
    return torch.device(accelerator)


def resolve_precision(precision: str, accelerator: str) -> str:
    """Return a Lightning precision name for a configured one.

    ``auto`` takes bf16-mixed where the device multiplies bfloat16 natively (NVIDIA from Ampere
    on; x86 with AVX512-BF16 or AMX), 16-mixed on older NVIDIA cards, else 32-true.

    Args:
        precision: ``auto`` or a Lightning precision.
        accelerator: A resolved accelerator.
    """
    if precision != "auto":
        return precision
    if accelerator == "gpu":
        return (
            "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
        )
    if accelerator == "cpu" and cpu_multiplies_bf16():
        return "bf16-mixed"
    return "32-true"


def cpu_multiplies_bf16() -> bool:
    """Say whether this processor has bfloat16 instructions (AVX512-BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def allow_tf32() -> None:
    """Let a GPU multiply what is left in float32 as TF32; PyTorch's convolutions do so already.

    Ten bits of mantissa instead of 23, products added in float32: still more than bfloat16's seven.
    Not on a CPU, where some would multiply in bfloat16.
    """
    torch.set_float32_matmul_precision("high")


@contextlib.contextmanager
def cheap_device_checks() -> Iterator[None]:
    """Let PyTorch ask for CUDA devices without loading NVIDIA's library anew at each step.

    Lightning asks for the check by that library, and AdamW checks in every step: where there is no
    device, that takes longer than the step of a small head.
    """
    before = os.environ.get(NVML_CHECK)
    if before is None or torch.cuda.is_available():
        yield
        return
    os.environ[NVML_CHECK] = "0"
    try:
        yield
    finally:
        os.environ[NVML_CHECK] = before


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return the autocast context of a Lightning precision name; none for 32-true."""
    types = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    if precision not in types:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=types[precision])
