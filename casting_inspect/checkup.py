"""What `doctor` looks at: versions, device, weights, space, extras and caches of this machine."""

from __future__ import annotations

import contextlib
import importlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from casting_inspect.errors import UserError, first_line, one_line
from casting_inspect.files import cache_root
from casting_inspect.memory import memory as memory_here

GOOD, NOTE, BAD = "ok", "note", "fails"
"""Of a finding; one that fails keeps training from starting."""
GIGABYTE: Final = 10**9
LEAST_DISK: Final = 2 * GIGABYTE
"""Checkpoints of VGG-19 with its optimizer's state take about 1.7 GB."""
LEAST_MEMORY: Final = 2 * GIGABYTE
MODULES: Final = {  # import names that differ from the package's
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "hydra-core": "hydra",
    "hydra-joblib-launcher": "hydra_plugins.hydra_joblib_launcher",
    "hydra-optuna-sweeper": "hydra_plugins.hydra_optuna_sweeper",
    "hydra-ray-launcher": "hydra_plugins.hydra_ray_launcher",
    "hydra-submitit-launcher": "hydra_plugins.hydra_submitit_launcher",
    # types, and programs that are run and not imported
    **dict.fromkeys(("pandas-stubs", "build", "hatchling", "mypy", "ruff"), ""),
    **dict.fromkeys(("pytest-cov", "pytest-timeout", "pytest-xdist"), ""),
}
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA: Final = re.compile(r"extra *== *[\"']([A-Za-z0-9._-]+)[\"']")


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        topic: ``versions``, ``device``, ``weights``, ``space``, ``extras`` or ``caches``.
        name: What was looked at.
        state: ``ok``, ``note`` or ``fails``.
        found: What is there.
        todo: What to do about it; empty where nothing is.
    """

    topic: str
    name: str
    state: str
    found: str
    todo: str = ""


def findings(runs: Path, cache: Path | None = None) -> list[Finding]:
    """Look at everything; nothing is downloaded or changed.

    Args:
        runs: Folder in which runs are to be written, there or not.
        cache: Folder of the caches; None: the default one.
    """
    caches = cache_root() if cache is None else cache
    core, extras = requirements()
    looked = [python(), *map(package, core)]
    parts: dict[str, Callable[[], list[Finding]]] = {
        "device": device,
        "weights": weights,
        "space": lambda: [disk("runs", runs), disk("caches", caches), memory()],
        "extras": lambda: [extra(name, needed) for name, needed in extras.items()],
        "caches": lambda: sizes(caches),
    }
    for topic, part in parts.items():
        try:
            looked += part()
        except Exception as error:  # a broken installation fails in any way; the others still count
            looked.append(
                Finding(topic, topic, BAD, one_line(error), "mend what the lines above say")
            )
    return looked


def requirements() -> tuple[list[str], dict[str, list[str]]]:
    """Return the packages needed, and those of each extra, as the installation declares them."""
    core: list[str] = []
    extras: dict[str, list[str]] = {}
    with contextlib.suppress(metadata.PackageNotFoundError):
        for name in metadata.metadata("casting-inspect").get_all("Provides-Extra") or []:
            extras[name] = []
    for line in _declared():
        found, marker = _REQUIREMENT.match(line), _EXTRA.search(line)
        if found is None or found.group() == "casting-inspect":
            continue
        (extras.setdefault(marker[1], []) if marker else core).append(found.group())
    return core, extras


def _declared() -> list[str]:
    try:
        return metadata.requires("casting-inspect") or []
    except metadata.PackageNotFoundError:
        return []


def python() -> Finding:
    """Name the interpreter; an older one than is needed could not have read this file."""
    return Finding("versions", "python", GOOD, platform.python_version())


def package(name: str) -> Finding:
    """Look whether a needed package is there and can be imported."""
    problem = _problem(name)
    if problem:
        return Finding("versions", name, BAD, problem, "pip install -e . in a fresh environment")
    return Finding("versions", name, GOOD, metadata.version(name))


def extra(name: str, needed: list[str]) -> Finding:
    """Look whether all packages of an extra can be imported."""
    problems = [f"{one}: {problem}" for one in needed if (problem := _problem(one))]
    if problems:
        todo = f'if you want it: pip install "casting-inspect[{name}]"'
        return Finding("extras", name, NOTE, "; ".join(problems), todo)
    return Finding("extras", name, GOOD, f"{len(needed)} packages load")


def _problem(name: str) -> str:
    """Say what keeps a package from being imported, or nothing."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
    module = MODULES.get(name, name.replace("-", "_"))
    if not module:
        return ""
    try:
        importlib.import_module(module)
    except Exception as error:
        return f"does not load ({first_line(error)})"
    return ""


def device() -> list[Finding]:
    """Look where `train` would compute, and how exactly."""
    import torch

    from casting_inspect.training.precision import resolve_accelerator, resolve_precision

    accelerator = resolve_accelerator("auto")
    precision = resolve_precision("auto", accelerator)
    if accelerator == "gpu":
        gpu = torch.cuda.get_device_properties(0)
        words = f"{gpu.name}, {gpu.total_memory / GIGABYTE:.0f} GB"
    else:
        words = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    state, todo = (GOOD, "")
    if accelerator == "cpu":
        state, todo = NOTE, "frozen VGG-19 trains well here; finetune=full wants a GPU"
    return [
        Finding("device", accelerator, state, words, todo),
        Finding("device", "precision", GOOD, precision),
        Finding("device", "training step", GOOD, f"{one_step(accelerator, precision):.2f} s"),
    ]


def one_step(accelerator: str, precision: str) -> float:
    """Train a small network for one step as `train` would, and return the seconds it took.

    Raises:
        RuntimeError: If its loss is not finite; what a driver or library that does not fit raises.
    """
    import torch

    from casting_inspect.models.cnn import SmallCnn
    from casting_inspect.training.precision import autocast, device_of

    started = time.perf_counter()
    where = device_of(accelerator)
    network = SmallCnn().to(where)
    step = torch.optim.AdamW(network.parameters())
    images = torch.rand(2, 3, 64, 64, device=where)
    with autocast(where, precision):
        loss = torch.nn.functional.cross_entropy(
            network(images), torch.tensor([0, 1], device=where)
        )
    loss.backward()  # type: ignore[no-untyped-call]
    step.step()
    if not torch.isfinite(loss):
        raise RuntimeError(f"the loss of a training step is {loss.item()}")
    return time.perf_counter() - started


def weights() -> list[Finding]:
    """Look whether the ImageNet weights are on this machine; they are not downloaded."""
    import torch
    from torchvision.models import VGG19_Weights

    url = VGG19_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if path.is_file():
        return [Finding("weights", "VGG-19, ImageNet", GOOD, str(path))]
    todo = (
        f"they are fetched on first use; without a network put {url} there, or model.weights=PATH"
    )
    return [Finding("weights", "VGG-19, ImageNet", NOTE, f"not at {path}", todo)]


def disk(name: str, folder: Path) -> Finding:
    """Look whether a folder can be written to, and how much room its disk has."""
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        found = f"{there} cannot be written ({error.strerror})"
        return Finding("space", f"disk of {name}", BAD, found, "name another folder")
    free = shutil.disk_usage(there).free
    words = f"{free / GIGABYTE:.1f} GB free in {there}"
    if free < LEAST_DISK:
        todo = f"free {LEAST_DISK / GIGABYTE:.0f} GB, or name another folder"
        return Finding("space", f"disk of {name}", BAD, words, todo)
    return Finding("space", f"disk of {name}", GOOD, words)


def memory() -> Finding:
    """Look how much memory is free; where the system does not say, note that."""
    found = memory_here()
    if found is None:
        return Finding("space", "memory", NOTE, "not known on this system")
    amount, kind = found
    words = f"{amount / GIGABYTE:.1f} GB {kind}"
    if amount < LEAST_MEMORY:
        return Finding("space", "memory", BAD, words, "close other programs")
    return Finding("space", "memory", GOOD, words)


def sizes(cache: Path) -> list[Finding]:
    """Look how much each cache holds."""
    if not cache.is_dir():
        return [Finding("caches", "folder", GOOD, f"none yet at {cache}")]
    found = [
        Finding("caches", folder.name, GOOD, f"{_bytes_in(folder) / GIGABYTE:.2f} GB in {folder}")
        for folder in sorted(cache.iterdir())
        if folder.is_dir()
    ]
    return found or [Finding("caches", "folder", GOOD, f"empty: {cache}")]


def _bytes_in(folder: Path) -> int:
    return sum(_sizes_below(folder))


def _sizes_below(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # evicted meanwhile
            if path.is_file():
                yield path.stat().st_size


def refuse_folder(path: Path) -> None:
    """Refuse a folder as the place of a file.

    Raises:
        UserError: If ``path`` is a folder.
    """
    if path.is_dir():
        raise UserError(f"out={path}: is a folder; name a file, as in out={path / 'doctor.json'}.")
