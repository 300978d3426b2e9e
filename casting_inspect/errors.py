"""The one exception for a user's mistake, what to say of any error, and the word that was meant."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable
from typing import Final

_FULL: Final = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT") if hasattr(errno, name)
)
_FORBIDDEN: Final = frozenset((errno.EACCES, errno.EROFS, errno.EPERM))


class UserError(Exception):
    """A mistake that the user can mend: one line that says what, where and what to do.

    Entry points print the message without a traceback and exit with code 2.
    """


def of_the_disk(error: OSError) -> UserError | None:
    """Return what to say of an error of the system that the user can mend, or None.

    That is one about a file that it names, a full disk, or a place that is closed to the user.
    """
    if error.filename is None and error.errno not in _FULL | _FORBIDDEN:
        return None
    names = [os.fsdecode(name) for name in (error.filename, error.filename2)
             if isinstance(name, (str, bytes))]  # fmt: skip
    where = " -> ".join(names) or "a file"
    if error.errno in _FULL:
        todo = "the disk is full: free some space, or name a folder on another disk"
    elif error.errno in _FORBIDDEN:
        todo = "name another folder, or ask for the right to this one"
    else:
        todo = "look whether it is there, or name another one"
    return UserError(f"{where}: {error.strerror or error}; {todo}")


def first_line(error: object) -> str:
    """Return the first line of an error's text without a full stop, or its kind without a text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def one_line(error: BaseException) -> str:
    """Return all of an error's text on one line, its kind before it unless it is a `UserError`."""
    message = " ".join(str(error).split())
    if isinstance(error, UserError):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def nearest(word: str, options: Iterable[str]) -> str | None:
    """Return the option most like ``word``, or None when nothing is alike.

    Args:
        word: What was typed.
        options: The valid words.
    """
    by_lower = {option.lower(): option for option in options}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def suggestion(word: str, options: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` with the nearest option, or an empty string."""
    found = nearest(word, options)
    return f" Did you mean '{found}'?" if found else ""
