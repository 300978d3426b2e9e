"""The runs of a multirun: each one's status in its folder, and the table of them at the end."""

from __future__ import annotations

import csv
import io
import json
import logging
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from casting_inspect.errors import UserError
from casting_inspect.files import replace_json, replace_text

METRICS = {
    "accuracy": ("accuracy",),
    "escape_rate": ("escape_rate",),
    "overkill_rate": ("overkill_rate",),
    "balanced_accuracy_by_group": ("balanced_accuracy_by_group", "value"),
}


@dataclass
class Sweep:
    """A multirun.

    Attributes:
        folder: Where its runs' folders are.
        started: Seconds since the epoch; older runs in the same folder are not its own.
    """

    folder: Path
    started: float


_sweeps: list[Sweep] = []  # the one under way or just done, last; Hydra makes the callback itself


def run_one(job: Callable[[DictConfig], None], config: DictConfig) -> None:
    """Do one run of several, and keep its status in its folder whatever happens to it.

    An exception goes into the run's log and status, not further: the other runs go on.
    """
    now = HydraConfig.get()
    path = Path(now.runtime.output_dir) / "status.json"
    status: dict[str, Any] = {
        "status": "running",
        "error": "",
        "number": int(now.job.num),
        "overrides": list(now.overrides.task),
        "started": time.time(),
    }
    replace_json(path, status)
    try:
        job(config)
    except Exception as error:
        if not log_to_file(error):
            text = "".join(traceback.format_exception(error))
            replace_text(path.with_name(f"{now.job.name}.log"), text)
        status |= {"status": "failed", "error": one_line(error)}
        print(f"run {now.job.num} failed: {one_line(error)}", flush=True)
    except BaseException:
        replace_json(path, status | {"status": "stopped", "error": "stopped by hand"})
        raise
    else:
        status["status"] = "finished"
    replace_json(path, status)


def one_line(error: BaseException) -> str:
    """Return what to say of an error where there is one line for it."""
    message = " ".join(str(error).split())
    if isinstance(error, UserError):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def log_to_file(error: Exception) -> bool:
    """Write an error to the run's log, with its traceback, and not to the screen.

    Returns:
        Whether the run has a log.
    """
    text = "".join(traceback.format_exception(error)).rstrip()
    record = logging.LogRecord(__name__, logging.ERROR, __file__, 0, text, None, None)
    files = [h for h in logging.getLogger().handlers if isinstance(h, logging.FileHandler)]
    for handler in files:
        handler.handle(record)
    return bool(files)


class RunTable(Callback):
    """Prints the table of runs when a multirun is done; for ``hydra.callbacks``."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Keep where and when the multirun began."""
        del kwargs
        _sweeps[:] = [Sweep(Path(config.hydra.sweep.dir).absolute(), time.time())]

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table and write runs.csv."""
        del config, kwargs
        report()


def runs_of(sweep: Sweep) -> list[dict[str, Any]]:
    """Read the status and metrics of a multirun's runs from their folders, by number.

    Returns:
        For each run ``number``, ``folder``, ``overrides``, ``status``, ``error`` and the keys of
        `METRICS`, None where there is no figure.
    """
    runs = []
    for path in sweep.folder.glob("*/status.json"):
        status = json.loads(path.read_text(encoding="utf-8"))
        if status["started"] < sweep.started - 5:  # clocks of a cluster differ a little
            continue
        runs.append({**status, "folder": path.parent, **_metrics(path.with_name("metrics.json"))})
    return sorted(runs, key=lambda run: int(run["number"]))


def _metrics(path: Path) -> dict[str, float | None]:
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    values: dict[str, float | None] = {}
    for name, keys in METRICS.items():
        value: Any = found.get("test", {})
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        values[name] = value
    return values


def forget() -> None:
    """Forget the last multirun, so that a single run after it has no table."""
    _sweeps.clear()


def any_failed() -> bool:
    """Say whether a run of the last multirun did not finish."""
    return any(run["status"] != "finished" for run in runs_of(_sweeps[-1])) if _sweeps else False


def report() -> None:
    """Print the table of the last multirun's runs and write it as runs.csv into its folder."""
    if not _sweeps:
        return
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    runs = runs_of(_sweeps[-1])
    _write_table(runs, _sweeps[-1].folder / "runs.csv")
    table = Table("run", box=box.SIMPLE)
    table.add_column("overrides", overflow="fold")
    table.add_column("status")
    shown = [name for name in METRICS if any(run[name] is not None for run in runs)]
    for name in shown:
        table.add_column(name.replace("_", "\n"), justify="right")
    for run, words in zip(runs, distinct([run["overrides"] for run in runs]), strict=True):
        figures = ["" if run[name] is None else f"{run[name]:.4f}" for name in shown]
        table.add_row(str(run["number"]), escape("\n".join(words)), run["status"], *figures)
    console = Console()
    console.print(table)
    for run in runs:
        if run["error"]:
            console.print(f"run {run['number']}: {run['error']} ({run['folder']})", markup=False)
    console.print(f"table: {_sweeps[-1].folder / 'runs.csv'}", markup=False)


def distinct(overrides: Sequence[Sequence[str]]) -> list[list[str]]:
    """Leave out of each run's overrides those that all runs have, unless they are all the same."""
    if not overrides:
        return []
    common = set.intersection(*(set(words) for words in overrides))
    if all(set(words) == common for words in overrides):
        return [list(words) for words in overrides]
    return [[word for word in words if word not in common] for words in overrides]


def _write_table(runs: Sequence[dict[str, Any]], path: Path) -> None:
    out = io.StringIO()
    names = ["number", "folder", "status", *METRICS, "error", "overrides"]
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for run in runs:
        row = {**run, "folder": run["folder"].name, "overrides": " ".join(run["overrides"])}
        writer.writerow(row)
    replace_text(path, out.getvalue())
