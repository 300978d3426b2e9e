"""Every command's way through Hydra: quoting, checks before anything heavy, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser  # Hydra's own; it has no public name for it
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from casting_inspect import __version__, multirun, overrides, sweep_jobs, sweep_search
from casting_inspect.composition import checked, help_text
from casting_inspect.errors import UserError, first_line, of_the_disk
from casting_inspect.identity import register_resolver
from casting_inspect.multirun import Job
from casting_inspect.schemas import SCHEMAS, register

_typed: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())


def conf_dir() -> Path:
    """Return the folder of the configuration: in the wheel, else beside the package."""
    packaged = Path(__file__).parent / "conf"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "conf"


def run_command(name: str, job: Job, argv: Sequence[str] | None = None) -> int:
    """Run a command as Hydra runs it, and return its exit code.

    Args:
        name: The command, and its primary configuration in conf/.
        job: What to do with the composed configuration; imports heavy packages inside.
        argv: What was typed after the command; None for ``sys.argv[1:]``.

    Returns:
        0; 1 after an error of ours or a failed run of several; 2 after a user's mistake; 130
        after Ctrl-C; 143 after SIGTERM.
    """
    typed = list(sys.argv[1:] if argv is None else argv)
    _take_any_sign()
    return guarded(name, lambda: _run(name, job, typed))


def guarded(name: str, action: Callable[[], int]) -> int:
    """Turn what an action raises into a message on stderr and an exit code."""
    try:
        return action()
    except UserError as error:
        _complain(name, str(error))
        return 2
    except KeyboardInterrupt:
        _complain(name, "stopped by Ctrl-C.")
        return 130
    except BrokenPipeError:  # what reads the output, `| head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        mistake = of_the_disk(error)
        if mistake is None:
            traceback.print_exc()
            return 1
        _complain(name, str(mistake))
        return 2
    except SystemExit as leaving:
        if isinstance(leaving.__context__, KeyboardInterrupt):  # Lightning's way of stopping
            _complain(name, "stopped by Ctrl-C.")
            return 130
        if type(leaving).__name__ == "SIGTERMException":  # Lightning's; it brings no exit code
            _complain(name, "stopped by SIGTERM; resume=RUN_DIR goes on.")
            return 143
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except Exception:
        traceback.print_exc()
        return 1


def _take_any_sign() -> None:
    """Let stdout and stderr write in escapes what their code page lacks, as in a Windows log."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _complain(name: str, message: str) -> None:
    one_line = " ".join(message.split())
    print(f"casting-inspect {name}: {one_line}", file=sys.stderr, flush=True)


def run_folder() -> Path:
    """Return the folder of the run that is under way."""
    return Path(HydraConfig.get().runtime.output_dir)


def command_line() -> list[str]:
    """Return the command that gives the run under way; in a multirun, this one run alone."""
    now = HydraConfig.get()
    words = list(now.overrides.task) if now.mode == RunMode.MULTIRUN else list(_typed.get())
    return ["casting-inspect", str(now.job.name), *words]


def resolved(config: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain dicts, lists, numbers and text, interpolations filled in.

    Raises:
        UserError: If a value is missing or an interpolation leads nowhere.
    """
    try:
        plain = OmegaConf.to_container(
            config, resolve=True, throw_on_missing=True, enum_to_str=True
        )
    except OmegaConfBaseException as error:
        raise UserError(f"configuration: {first_line(error)}") from error
    assert isinstance(plain, dict)
    plain.pop("hydra", None)
    return {str(key): value for key, value in plain.items()}


def _run(name: str, job: Job, typed: list[str]) -> int:
    flags = _flags(typed)
    lines = overrides.prepared(name, flags.overrides, multirun=flags.multirun)
    register()
    register_resolver()
    if flags.help:
        print(help_text(name, conf_dir(), flags, lines))
        return 0
    found = None
    if not (flags.hydra_help or flags.shell_completion or flags.info):
        found = checked(name, conf_dir(), flags, lines)
    several = found is not None and found.several
    task = Task(job, typed, sys.argv, multirun.new_name())
    with contextlib.ExitStack() as around:
        if found is not None and several and not flags.cfg:
            lines += sweep_jobs.launcher_words(found.config)
            lines += around.enter_context(sweep_search.held(found))
            around.enter_context(sweep_jobs.cores_shared(found.config.get("jobs", 1)))
        around.enter_context(_as_program(_hydra_words(typed, flags.overrides, lines)))
        around.enter_context(_logging_kept())
        _through_hydra(name, task)
    if task.failure is not None:
        raise task.failure
    return int(several and not multirun.all_done())


def _through_hydra(name: str, task: Task) -> None:
    """Let Hydra call the task, once or for each run; its complaints become ours."""
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=name)(task)()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(overrides.explained(error, SCHEMAS[name])) from error
    except OSError:
        raise
    except BaseException:  # stopped by hand: the table of what is done all the same
        multirun.stopped()
        multirun.report()
        multirun.all_done()
        raise


class Task:
    """What Hydra calls for each run; launchers pickle it and send it to other processes.

    Args:
        job: What to do with the configuration.
        typed: The words after the command.
        program: ``sys.argv`` as it was.
        name: The multirun's, for `multirun.run_one`.
    """

    def __init__(self, job: Job, typed: list[str], program: list[str], name: str = "") -> None:
        self.name = name
        self.job = job
        self.typed = typed
        self.program = program
        self.failure: Exception | None = None

    def __call__(self, config: DictConfig) -> float | None:
        """Do one run and return its objective, if it has one.

        What it raises is kept here, or of several runs beside their folders.
        """
        sys.argv = self.program  # Lightning starts its further processes with these words
        _typed.set(tuple(self.typed))
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            return multirun.run_one(self.job, config, self.name)
        try:
            self.job(config)
        except Exception as error:
            multirun.log_to_file(error)
            self.failure = error
        return None


def _flags(typed: Sequence[str]) -> argparse.Namespace:
    """Parse Hydra's flags; overrides may stand before and after them."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}. --help lists the keys, --hydra-help the flags.")

    parser.error = refuse  # type: ignore[method-assign]
    for action in parser._actions:
        if "--version" in action.option_strings:
            action.version = f"casting-inspect {__version__} (Hydra {hydra.__version__})"  # type: ignore[attr-defined]
    flags = parser.parse_intermixed_args(list(typed))
    ways = (flags.run, flags.multirun, flags.cfg, flags.info, flags.shell_completion)
    if sum(map(bool, ways)) > 1:
        refuse("only one of --run, --multirun, --cfg, --info and --shell-completion can be given")
    if flags.resolve and not flags.cfg:
        refuse("--resolve needs --cfg")
    return flags


def _hydra_words(typed: Sequence[str], given: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Return the words for Hydra: flags first, since it stops at overrides between them."""
    rest = list(given)
    flags = []
    for word in reversed(typed):  # a flag's own value comes before later overrides
        if rest and word == rest[-1]:
            rest.pop()
        else:
            flags.append(word)
    return [*reversed(flags), *lines]


@contextlib.contextmanager
def _as_program(words: Sequence[str]) -> Iterator[None]:
    """Let Hydra read these words from ``sys.argv`` and raise instead of printing and leaving."""
    before, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [before[0], *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = before
        if full is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)
        else:
            os.environ["HYDRA_FULL_ERROR"] = full


@contextlib.contextmanager
def _logging_kept() -> Iterator[None]:
    """Put logging back as it was, and close the log files opened meanwhile.

    A line that a full disk does not take is left out; the run itself says that the disk is full.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    loud, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        logging.raiseExceptions = loud
        for handler in root.handlers:
            if handler not in handlers:
                with contextlib.suppress(OSError):
                    handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
