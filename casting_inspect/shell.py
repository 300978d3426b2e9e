"""Commands that are printed, as they are typed in this system's shell."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from typing import Final

_PLAIN: Final = re.compile(r"[\w+=:./\\~\[\]-]+")
"""What neither cmd.exe nor PowerShell reads as anything else; commas and carets are not of it."""


def typed(words: Iterable[str], *, windows: bool = os.name == "nt") -> str:
    """Return words in one line, in quotes where the shell would not take them as they are.

    Args:
        words: Of the command.
        windows: Whether cmd.exe or PowerShell reads them, which know double quotes alone.
    """
    return " ".join(map(_quoted if windows else shlex.quote, words))


def _quoted(word: str) -> str:
    """Return a word in double quotes, unless it needs none, by the rules of Windows' programs.

    A backslash is itself but before a double quote, where each is doubled (Microsoft, "Parsing C
    command-line arguments").
    """
    if _PLAIN.fullmatch(word):
        return word
    inside = re.sub(r'(\\*)"', r'\1\1\\"', word)
    return '"' + re.sub(r"(\\+)$", r"\1\1", inside) + '"'
