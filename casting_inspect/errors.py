"""The one exception for a user's mistake, and the nearest valid word to a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can mend: one line that says what, where and what to do.

    Entry points print the message without a traceback and exit with code 2.
    """


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
