"""One run of `train`, alone or of many: begun, gone on with, or left because it is finished."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from casting_inspect import config as commands
from casting_inspect import sweep_jobs
from casting_inspect.errors import UserError
from casting_inspect.files import replace_json
from casting_inspect.identity import first_difference, identity
from casting_inspect.locks import alone
from casting_inspect.multirun import Outcome
from casting_inspect.training.run_folder import RunFolder, read_record

ANOTHER: Final = "holds another run"


@dataclass(frozen=True)
class Found:
    """What is in a run's folder, or of the same run beside it.

    Attributes:
        state: ``nothing``, ``interrupted`` or ``finished``.
        folder: Where.
    """

    state: str
    folder: Path


def attend(config: DictConfig) -> Outcome:
    """Do what is left to do of the run that Hydra has made a folder for.

    A run whose settings, data and weights are those of a finished one below the same sweep folder
    is not repeated. With ``resume=auto`` an interrupted one goes on from its last epoch.

    Raises:
        UserError: If the folder holds another run, or one that is only to be gone on with when
            asked, or another process is at it; and for all that a run cannot do.
    """
    folder = commands.run_folder()
    several = HydraConfig.get().mode == RunMode.MULTIRUN
    goes_on = config.resume == "auto"
    if not (several or goes_on):  # a single run refuses a folder in use by itself
        return _run(config, folder, resume=False)
    own = identity(config)
    found = find(config, own, folder, beside=several)
    if found.state == "finished":
        print(f"{found.folder}: finished before, nothing to do", flush=True)
        return Outcome("finished before", found.folder, _objective(config, found.folder))
    if found.state == "interrupted" and not goes_on:
        raise UserError(f"{folder} holds this run, interrupted: add resume=auto to go on with it")
    return _run(config, folder, resume=found.state == "interrupted", own=own)


def find(config: DictConfig, own: Mapping[str, str], folder: Path, *, beside: bool) -> Found:
    """Look for a run in its folder, and for the same one, finished, in the folders beside it.

    Args:
        config: The run's configuration, for the message when another run is there.
        own: Its identity.
        folder: Where it is to be.
        beside: Whether to look beside it.

    Raises:
        UserError: If another process is at the folder, or it holds another run.
    """
    _refuse_busy(folder)
    record = _record(folder)
    stored = record.get("identity") or {}
    if _in_use(folder, record):
        if stored.get("digest") != own["digest"]:
            raise refusal(folder, config)
        return Found("finished" if record.get("status") == "finished" else "interrupted", folder)
    for path in sorted(folder.parent.glob("*/run.json")) if beside else ():
        other = _record(path.parent)
        same = (other.get("identity") or {}).get("digest") == own["digest"]
        if same and other.get("status") == "finished":
            return Found("finished", path.parent)
    return Found("nothing", folder)


def refusal(folder: Path, config: DictConfig) -> UserError:
    """Return the error for a folder that holds another run than the one asked for."""
    try:
        stored: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    except (OmegaConfBaseException, YAMLError, OSError, UnicodeDecodeError):
        stored = None
    differs = first_difference(stored, config) if isinstance(stored, dict) else None
    return UserError(
        f"{folder} {ANOTHER} ({differs or 'of other pictures, groups or weights'}): choose "
        "another hydra.run.dir or hydra.sweep.dir, or move that folder away"
    )


def _run(
    config: DictConfig, folder: Path, *, resume: bool, own: Mapping[str, str] | None = None
) -> Outcome:
    from casting_inspect.training.experiment import run_experiment

    sweep_jobs.share_machine(config)
    if not resume:
        with contextlib.suppress(UserError):  # the run says it in its own words
            _sign(folder, own or identity(config))
    else:  # it was typed now, so that it may be run as it was the first time
        config.allow_targets = [*config.allow_targets, str(config.model._target_)]
    run_experiment(config, folder, commands.command_line(), resume=resume)
    return Outcome(objective=_objective(config, folder))


def _sign(folder: Path, own: Mapping[str, str]) -> None:
    """Write the identity of a run that is about to begin into its run.json."""
    record = _record(folder)
    if not _in_use(folder, record):
        replace_json(folder / "run.json", {**record, "identity": dict(own)})


def _in_use(folder: Path, record: Mapping[str, Any]) -> bool:
    """Say whether a folder holds a run, or part of one that is worth going on with."""
    return record.get("status") in ("running", "finished") or RunFolder(folder).holds_work()


def _record(folder: Path) -> dict[str, Any]:
    try:
        return read_record(RunFolder(folder).record)
    except (OSError, ValueError):  # written by hand, or by another program
        return {}


def _refuse_busy(folder: Path) -> None:
    if not (folder / ".lock").exists():
        return
    with alone(folder / ".lock", f"another process is running in {folder}: wait for it"):
        pass


def _objective(config: DictConfig, folder: Path) -> float | None:
    if config.objective is None:
        return None
    from casting_inspect.evaluation.objective import OBJECTIVES
    from casting_inspect.evaluation.predictions import read_predictions

    path = folder / "predictions.csv"
    return OBJECTIVES[config.objective](read_predictions(path))
