"""The steps of a start: commands that are printed, run, and can be repeated alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from casting_inspect.errors import UserError
from casting_inspect.files import naming
from casting_inspect.shell import typed
from casting_inspect.starting.questions import Say

Told = Callable[[str], str | None]


def _in_its_own_words(_: str) -> None:
    """Leave a step's last line as it is."""


def run_step(
    number: int,
    of: int,
    title: str,
    words: Sequence[str],
    say: Say,
    told: Told,
    log: Path,
    instead: Told = _in_its_own_words,
) -> None:
    """Run one command in a process of its own, as a user would.

    Args:
        number: Of the step, from 1.
        of: How many there are.
        title: What it does, in a few words.
        words: Command and overrides.
        say: Prints a line.
        told: What to say of a line that the command prints; None: nothing.
        log: Where all its lines go; added to.
        instead: What to say in the place of the last line of a command that fails; None: the line.

    Raises:
        SystemExit: With the command's exit code, if it fails; what it said last is on the screen.
        UserError: If it was ended from outside, or with what ``instead`` gives.
    """
    say("")
    say(f"Step {number} of {of}: {title}")
    say(f"$ casting-inspect {typed(words)}")
    command = [sys.executable, "-m", "casting_inspect", *words]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    log.parent.mkdir(parents=True, exist_ok=True)
    last = ""
    with (
        naming(log),
        log.open("a", encoding="utf-8") as lines,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            encoding="utf-8",
            errors="replace",
        ) as step,
    ):
        assert step.stdout is not None
        lines.write(f"$ casting-inspect {typed(words)}\n")
        for line in step.stdout:
            lines.write(line)
            lines.flush()
            last = line.strip() or last
            shown = told(line.rstrip("\n"))
            if shown is not None:
                say(f"  {shown}")
    if step.returncode < 0:
        raise UserError(
            f"step {number} was ended by signal {-step.returncode}, perhaps for want of memory; "
            "type the same command to go on where it was"
        )
    if step.returncode:
        better = instead(last)
        if better is not None:
            raise UserError(better)
        print(last, file=sys.stderr, flush=True)
        print(f"What it had said before is in {log}", file=sys.stderr, flush=True)
        raise SystemExit(step.returncode)
