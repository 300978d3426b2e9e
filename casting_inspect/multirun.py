"""The runs of a multirun: what became of each, and the table of them at the end."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import shutil
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from casting_inspect.errors import one_line
from casting_inspect.files import replace_json, replace_text

METRICS = {
    "accuracy": ("test", "accuracy"),
    "escape_rate": ("test", "escape_rate"),
    "overkill_rate": ("test", "overkill_rate"),
    "balanced_accuracy_by_group": ("test", "balanced_accuracy_by_group", "value"),
    # of splits by file: what the figures before them are worth
    "copies_in_training": ("leak", "share"),
    "histogram_accuracy": ("floors", "floor_histogram", "accuracy"),
}
FIGURES = (*METRICS, "objective")
DONE = ("finished", "finished before")
NOTES = ".runs"  # beside the runs' folders: a note a run while their multirun lasts


@dataclass(frozen=True)
class Outcome:
    """What became of a run that raised nothing.

    Attributes:
        status: ``finished``, or ``finished before`` when there was nothing left to do.
        folder: Where the run is, if not where Hydra meant it to be.
        objective: What a search minimises; None when nothing is searched for.
    """

    status: str = "finished"
    folder: Path | None = None
    objective: float | None = None


Job = Callable[[DictConfig], Outcome | None]


@dataclass(frozen=True)
class Sweep:
    """A multirun.

    Attributes:
        folder: Where its runs' folders are.
        name: Sets its notes apart from those of an earlier multirun into the same folder.
    """

    folder: Path
    name: str

    @property
    def notes(self) -> Path:
        """The folder of its notes."""
        return self.folder / NOTES / self.name


_names: list[str] = []  # of the multirun to come or under way
_sweeps: list[Sweep] = []  # the one under way or just done; Hydra makes the callback itself


def new_name() -> str:
    """Return a name for the multirun to come, and forget the last one.

    A single run has a name too, and no table.
    """
    _sweeps.clear()
    _names[:] = [f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"]
    return _names[0]


def run_one(job: Job, config: DictConfig, name: str) -> float | None:
    """Do one run of several, and note what becomes of it, whatever that is.

    An exception goes into the run's log and note, not further: the other runs go on.

    Args:
        job: What to do.
        config: The run's configuration.
        name: The multirun's.

    Returns:
        The objective, for a sweeper that searches; None too when the run failed.
    """
    now = HydraConfig.get()
    folder = Path(now.runtime.output_dir)
    path = Sweep(Path(now.sweep.dir).absolute(), name).notes / f"{now.job.num}.json"
    note: dict[str, Any] = {
        "number": int(now.job.num),
        "folder": str(folder),
        "status": "running",
        "objective": None,
        "error": "",
        "overrides": list(now.overrides.task),
    }
    replace_json(path, note)
    try:
        outcome = job(config) or Outcome()
    except Exception as error:
        if not log_to_file(error):
            text = "".join(traceback.format_exception(error))
            replace_text(folder / f"{now.job.name}.log", text)
        replace_json(path, note | {"status": "failed", "error": one_line(error)})
        print(f"run {now.job.num} failed: {one_line(error)}", flush=True)
        return None
    except BaseException:
        replace_json(path, note | {"status": "stopped", "error": "stopped by hand"})
        raise
    done = {"status": outcome.status, "objective": outcome.objective}
    replace_json(path, note | done | {"folder": str(outcome.folder or folder)})
    return outcome.objective


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
        """Keep where the multirun's runs are."""
        del kwargs
        _sweeps[:] = [Sweep(Path(config.hydra.sweep.dir).absolute(), _names[-1])]

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table and write runs.csv."""
        del config, kwargs
        report()


def runs_of(sweep: Sweep) -> list[dict[str, Any]]:
    """Read what became of a multirun's runs, by number.

    Returns:
        For each run ``number``, ``folder``, ``overrides``, ``status``, ``error`` and `FIGURES`,
        None where there is no figure. A run of a search has its objective and no figure of the
        test part: nothing shall be chosen by that.
    """
    runs = []
    for path in sweep.notes.glob("*.json"):
        note = json.loads(path.read_text(encoding="utf-8"))
        folder = Path(note["folder"])
        measured = note["status"] in DONE and note["objective"] is None
        found = _metrics(folder / "metrics.json") if measured else {}
        runs.append({**dict.fromkeys(METRICS), **found, **note, "folder": folder})
    return sorted(runs, key=lambda run: int(run["number"]))


def _metrics(path: Path) -> dict[str, float | None]:
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    values: dict[str, float | None] = {}
    for name, keys in METRICS.items():
        value: Any = found
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        values[name] = value
    return values


def stopped() -> None:
    """Note of runs under way that they were stopped, after their processes have been ended."""
    for path in _sweeps[-1].notes.glob("*.json") if _sweeps else ():
        note = json.loads(path.read_text(encoding="utf-8"))
        if note["status"] == "running":
            replace_json(path, note | {"status": "stopped", "error": "stopped by hand"})


def all_done() -> bool:
    """Say whether every run of the last multirun came to its end; then remove its notes."""
    if not _sweeps:
        return True
    done = all(run["status"] in DONE for run in runs_of(_sweeps[-1]))
    shutil.rmtree(_sweeps[-1].notes, ignore_errors=True)
    with contextlib.suppress(OSError):  # of another multirun into the same folder
        _sweeps[-1].notes.parent.rmdir()
    return done


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
    shown = [name for name in FIGURES if any(run[name] is not None for run in runs)]
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
    names = ["number", "folder", "status", *FIGURES, "error", "overrides"]
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for run in runs:
        row = {**run, "folder": run["folder"].name, "overrides": " ".join(run["overrides"])}
        writer.writerow(row)
    replace_text(path, out.getvalue())
