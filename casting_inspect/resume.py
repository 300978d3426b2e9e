"""Going on with a run that was stopped: its own configuration, and nothing else."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from casting_inspect import overrides
from casting_inspect.errors import UserError, first_line
from casting_inspect.multirun import log_to_file
from casting_inspect.ranges import complaints, cross_complaints
from casting_inspect.schemas import TrainSchema

SHOWING = ("--help", "-h", "--hydra-help", "--cfg", "-c", "--info", "-i")  # and not running


def is_asked_for(typed: Sequence[str]) -> bool:
    """Say whether ``resume=RUN_DIR`` is among the words of a command that runs.

    ``resume=auto`` is not: it leaves the folder and the configuration to the command.
    """
    if any(word in SHOWING for word in typed):
        return False
    return any(
        overrides.key_of(word) == "resume" and word.partition("=")[2] not in ("", "null", "auto")
        for word in typed
    )


def resume(typed: Sequence[str]) -> int:
    """Go on with the run that ``resume=RUN_DIR`` names.

    Returns:
        0 when it is done.

    Raises:
        UserError: If there is no run to go on with, or other words than the run's own are given.
    """
    flags = [word for word in typed if word.startswith("-")]
    if flags:
        raise UserError(
            f"resume and {flags[0]} do not go together: one run, with its own settings."
        )
    given = overrides.parsed(overrides.prepared("train", typed, multirun=False))
    folder = Path(str(next(o.value() for o in given if o.key_or_group == "resume")))
    config = read_config(folder)
    # what the folder says of itself is not trusted; what is typed now is
    allowed: list[Any] = [o.value() for o in given if o.key_or_group == "allow_targets"]
    config.allow_targets = [str(target) for targets in allowed for target in targets]
    own = set(_command_of(folder))
    for override, word in zip(given, typed, strict=False):
        if override.key_or_group == "allow_targets":
            continue
        if word not in own and not _is_own(override, config, folder):
            raise UserError(
                f"resume={folder} with '{word}': a run goes on with its own configuration. "
                "Leave that out, or start a new run."
            )
    from casting_inspect.models.floors import is_floor
    from casting_inspect.training.experiment import run_experiment

    if is_floor(str(config.model.get("_target_", ""))):
        print(f"{config.model.name} keeps no checkpoint: it is simply run again", file=sys.stderr)
    with _logging_to(folder / "train.log"):
        try:
            run_experiment(config, folder, ["casting-inspect", "train", *typed], resume=True)
        except Exception as error:
            log_to_file(error)
            raise
    return 0


def read_config(folder: Path, key: str = "resume") -> DictConfig:
    """Read a run's configuration, with its types.

    Args:
        folder: The run's.
        key: What named it, for the message.

    Raises:
        UserError: If there is none, or it is not one of `train`.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise UserError(f"{key}={folder}: no config.yaml there. Give the folder of a run.")
    try:
        stored = OmegaConf.load(path)
        typed = OmegaConf.structured(TrainSchema)
        config = OmegaConf.merge(typed, stored)
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: not a configuration of train ({first_line(error)}).") from error
    assert isinstance(config, DictConfig)
    for complaint in (*complaints(config), *cross_complaints(config)):
        raise UserError(f"{path}: {complaint}")
    return config


def _command_of(folder: Path) -> list[str]:
    """Return the words of the command that began the run, as far as its run.json tells."""
    try:
        command = json.loads((folder / "run.json").read_text(encoding="utf-8"))["command"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [str(word) for word in command] if isinstance(command, list) else []


def _is_own(override: Override, config: DictConfig, folder: Path) -> bool:
    """Say whether an override gives what the run has already."""
    key, value = override.key_or_group, override.value()
    if key == "resume":
        return True
    if key == "hydra.run.dir":
        return Path(str(value)).absolute() == folder.absolute()
    found: Any = OmegaConf.select(config, key)
    if isinstance(found, DictConfig) and isinstance(value, str):  # a group's choice
        return bool(found.get("name", found.get("strategy")) == value)
    return bool(found == value)


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Send messages to the screen and, with time and origin, to the end of the run's log."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    screen, log = logging.StreamHandler(sys.stdout), logging.FileHandler(path, encoding="utf-8")
    log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.handlers[:] = [screen, log]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.close()
        root.handlers[:] = handlers
        root.setLevel(level)
