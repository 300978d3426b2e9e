"""Several runs at once on one machine: the launcher, the cores that each may use, a common end."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import threading
import time
from collections.abc import Iterator

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from casting_inspect.cores import usable_cores
from casting_inspect.errors import UserError

LAUNCHER = "machine"  # in conf/hydra/launcher
THREADS = (  # each is read by a library once, when it is imported
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)
MOST_WORKERS = 8  # that load pictures, as with data.workers=auto
_SECONDS = 1.0  # between two looks at the process that started this one


def launcher_words(config: DictConfig) -> list[str]:
    """Return the overrides that make Hydra run ``jobs`` runs at once; none for one at a time.

    Args:
        config: The composed configuration with Hydra's own. A launcher chosen there is left.

    Raises:
        UserError: If joblib's launcher is not installed.
    """
    chosen = OmegaConf.select(config, "hydra.runtime.choices", default={})
    if config.get("jobs", 1) == 1 or chosen.get("hydra/launcher") != "basic":
        return []
    if importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        raise UserError(
            f"jobs={config.jobs}: joblib's launcher is not installed; "
            'pip install "casting-inspect[sweep]", or leave jobs out.'
        )
    return [f"hydra/launcher={LAUNCHER}"]


@contextlib.contextmanager
def cores_shared(jobs: int) -> Iterator[None]:
    """Let processes that are started in the block take ``1 / jobs`` of the cores each.

    What the environment says already stays.
    """
    new = [name for name in THREADS if jobs > 1 and name not in os.environ]
    os.environ.update(dict.fromkeys(new, str(cores_of_one(jobs))))
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


def cores_of_one(jobs: int) -> int:
    """Return how many cores one of so many runs may use: at least one."""
    return max(1, usable_cores() // jobs)


def share_machine(config: DictConfig) -> None:
    """Fit a run to its share of the machine where others run beside it; change nothing else.

    Its loading processes get a share of the cores, its progress bar is not shown, and it ends
    when the process that started it does.
    """
    now = HydraConfig.get()
    if now.mode != RunMode.MULTIRUN or now.runtime.choices.get("hydra/launcher") != LAUNCHER:
        return
    if config.data.workers == "auto":
        config.data.workers = min(cores_of_one(config.jobs), MOST_WORKERS)
    config.callbacks.progress_bar = False
    end_with(os.getppid())


def end_with(parent: int) -> None:
    """End this process at once when its parent is gone: nobody waits for its result.

    On Windows a process is not told that its parent has gone, and goes on to the end of its run.
    """
    if os.name == "nt":
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS)
        os._exit(143)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
