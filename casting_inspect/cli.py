"""`casting-inspect`: the list of commands, and the way to each."""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path

from casting_inspect import __version__
from casting_inspect.errors import suggestion

COMMANDS = {
    "start": "from a folder of pictures to a plain answer: all that follows, one after the other",
    "prepare": "check every picture once and write a folder with its manifest",
    "audit": "which files show the same casting, and what a score on them is worth",
    "train": "fit a network and measure it on castings it has never seen",
    "evaluate": "metrics and figures from a table of predictions",
    "compare": "models on the same test files, with intervals and tests",
    "export": "a bundle that runs fast anywhere and agrees with its run",
    "predict": "verdicts on pictures, a drop folder or a camera, by a bundle or a run",
    "plan": "how many castings an acceptance test needs, and what to photograph",
    "doctor": "whether training could start on this machine, and what to do if not",
    "reproduce": "a finished run done again, and whether it gives the same",
    "demo": "synthetic castings, training and evaluation in one go",
}


def _find_modules_here() -> None:
    """Let a network of the user's own be found beside him, as `python -m` finds it."""
    with contextlib.suppress(FileNotFoundError):  # a working directory that was removed
        here = str(Path.cwd())
        if "" not in sys.path and here not in sys.path:
            sys.path.append(here)


def main(argv: list[str] | None = None) -> int:
    """Run the command that the first word names; without one, list the commands.

    Args:
        argv: The words after the program's name; None for ``sys.argv[1:]``.

    Returns:
        The command's exit code, 2 for an unknown command.
    """
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help", "help"):
        print(listing())
        return 0
    if words[0] == "--version":
        print(f"casting-inspect {__version__}")
        return 0
    if words[0] not in COMMANDS:
        hint = suggestion(words[0], COMMANDS) or f" There are {', '.join(COMMANDS)}."
        print(f"casting-inspect: unknown command '{words[0]}'.{hint}", file=sys.stderr)
        return 2
    _find_modules_here()
    command = importlib.import_module(f"casting_inspect.{words[0]}")
    code: int = command.main(words[1:])
    return code


def listing() -> str:
    """Return the commands with a line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: casting-inspect COMMAND [KEY=VALUE ...]",
            "",
            *lines,
            "",
            "casting-inspect COMMAND --help says more.",
        ]
    )
