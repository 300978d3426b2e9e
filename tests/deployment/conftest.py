"""One run and its float bundle, for all tests of this folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_runs import formats, make_run

from casting_inspect import export


@pytest.fixture(autouse=True, scope="session")
def standard_error_stays_open() -> None:
    """Keep absl, which OpenVINO imports, from closing pytest's stderr when Hydra sets up logs."""
    logging = pytest.importorskip("absl.logging", reason="tensorboard brings it")
    logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def run(castings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run", castings)


@pytest.fixture(scope="session")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run's bundle, in float32, for every runtime that is installed."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="the extra 'export' is not installed")
    out = tmp_path_factory.mktemp("bundles") / "bundle"
    words = [f"run={run}", f"out={out}", f"format=[{','.join(formats())}]", "precision=fp32"]
    assert export.main(words) == 0
    return out


@pytest.fixture
def disk_of(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Return what gives a disk of so many KiB, or skips where none can be mounted."""
    mounted: list[Path] = []

    def mount(kib: int) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)]
        try:
            done = subprocess.run(words, capture_output=True, check=False).returncode == 0
        except OSError:
            done = False
        if not done:
            pytest.skip("no disk can be mounted here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)
