"""The run folder: where each file lies, and the record of how the run came about."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

import casting_inspect
from casting_inspect.config import resolved
from casting_inspect.errors import UserError
from casting_inspect.files import replace_json, replace_text
from casting_inspect.locks import alone

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "hydra-core",
    "albumentations",
    "opencv-python-headless",
    "pillow",
    "numpy",
    "scikit-learn",
)


@dataclass(frozen=True)
class RunFolder:
    """The files of one run, as paths below ``root``."""

    root: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.root / "config.yaml"

    @property
    def manifest(self) -> Path:
        """The manifest as used, its ``split`` column filled."""
        return self.root / "manifest.csv"

    @property
    def checkpoints(self) -> Path:
        """The folder of ``best.ckpt`` and ``last.ckpt``."""
        return self.root / "checkpoints"

    @property
    def predictions(self) -> Path:
        """One row a validation or test file."""
        return self.root / "predictions.csv"

    @property
    def metrics(self) -> Path:
        """Figures by split, computed from the predictions table."""
        return self.root / "metrics.json"

    @property
    def history(self) -> Path:
        """Loss and rates by epoch."""
        return self.root / "history.csv"

    def inner(self, number: int) -> Path:
        """The folder of an inner fold's fit."""
        return self.root / "inner" / str(number)

    def fold(self, number: int) -> RunFolder:
        """The run folder of one of several test parts."""
        return RunFolder(self.root / f"fold_{number}")

    def holds_work(self) -> bool:
        """Say whether an epoch, an inner fit or a fold of a run is there to go on from."""
        work = ("checkpoints/last.ckpt", "inner/*/fit.json", "inner/*/checkpoints/last.ckpt")
        return any(any(self.root.glob(name)) for name in (*work, "fold_*/run.json"))

    @property
    def record(self) -> Path:
        """Commit, versions, hardware, seeds, digests, durations, command line."""
        return self.root / "run.json"


@contextlib.contextmanager
def held(folder: RunFolder, *, resume: bool) -> Iterator[None]:
    """Hold a run folder for one process, after checking that a run may begin or go on in it.

    A run that failed or was stopped before its first epoch was over leaves nothing worth keeping,
    so that another may begin in its place.

    Raises:
        UserError: If another process is at it, or it holds a run that is not to be touched.
    """
    folder.root.mkdir(parents=True, exist_ok=True)
    busy = f"another process is running in {folder.root}: wait for it"
    with alone(folder.root / ".lock", busy):
        status = read_record(folder.record).get("status")
        begun = folder.holds_work() or status in ("running", "finished")
        if not resume and begun:
            raise UserError(
                f"{folder.root} holds a run already: go on with resume={folder.root}, or choose "
                "another hydra.run.dir"
            )
        if resume and status == "finished":
            raise UserError(f"the run in {folder.root} is finished; there is nothing to resume")
        for path in folder.root.rglob(".*.part*"):  # of writes that were killed
            path.unlink(missing_ok=True)
        yield


class RunRecord:
    """What ``run.json`` holds; written at the start, after each stage and at the end.

    A resumed run keeps what its first part wrote; ``resumed`` lists when it went on, and with what.

    Args:
        folder: The run's folder.
        command: The command line that started the run.
    """

    def __init__(self, folder: RunFolder, command: list[str]) -> None:
        self.folder = folder
        now = {"commit": commit_of_package(), "versions": versions(), "hardware": hardware()}
        self.values = read_record(folder.record)
        if "command" in self.values:
            self.values.setdefault("resumed", []).append({"at": _now(), **now})
        else:
            # what makes it this run and no other may be there already
            self.values |= {"command": command, "started": _now(), "durations_s": {}, **now}
        self.update(status="running")

    @contextlib.contextmanager
    def ended(self) -> Iterator[None]:
        """Write ``failed`` or ``stopped`` when the block does not come to its end."""
        try:
            yield
        except Exception:
            self.update(status="failed")
            raise
        except BaseException:
            self.update(status="stopped")
            raise

    def update(self, **values: Any) -> None:
        """Add values and write the file."""
        self.values.update(values)
        replace_json(self.folder.record, self.values)

    def took(self, **paths: Any) -> None:
        """Add ways that the run took to ``paths_taken`` and write the file."""
        self.update(paths_taken={**self.values.get("paths_taken", {}), **paths})

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the block's wall time in seconds to ``durations_s[stage]``, over resumes.

        The time of a process that was killed is not known and not counted.
        """
        started = time.perf_counter()
        try:
            yield
        finally:
            durations = self.values["durations_s"]
            durations[stage] = round(durations.get(stage, 0.0) + time.perf_counter() - started, 3)
            self.update()

    def finish(self, **values: Any) -> None:
        """Write the last state."""
        self.update(status="finished", finished=_now(), **values)


def read_record(path: Path) -> dict[str, Any]:
    """Return a ``run.json``'s values, or an empty dict where there is none."""
    if not path.exists():
        return {}
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def write_config(config: DictConfig, folder: RunFolder) -> dict[str, Any]:
    """Write the resolved configuration and return it as plain dicts, lists and strings."""
    plain = resolved(config)
    replace_text(folder.config, OmegaConf.to_yaml(OmegaConf.create(plain)))
    return plain


def versions() -> dict[str, str]:
    """Return the versions of Python, this package and what decides its results."""
    import torch

    found = {"python": platform.python_version(), "casting_inspect": casting_inspect.__version__}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    found["torch"] = str(torch.__version__)  # with the build, such as +cu132
    return found


def hardware() -> dict[str, Any]:
    """Return processor, cores, threads and GPU."""
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit_of_package() -> Mapping[str, Any] | None:
    """Return ``{"id", "modified"}`` of the checkout that this package lies in, or None."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"id": commit, "modified": bool(changed)}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
