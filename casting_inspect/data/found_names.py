"""What the search for copies calls a group, so that it can be told from a name that a user gave."""

from __future__ import annotations

import re
from typing import Final

_DIGITS: Final = 12
_FOUND: Final = re.compile(rf"[gw][0-9a-f]{{{_DIGITS}}}")


def found_name(digest: str, *, wide: bool = False) -> str:
    """Return the name of a group whose smallest file has this SHA-256; ``wide``: of possible links.

    It follows from what the group shows, not from the order of files.
    """
    return f"{'w' if wide else 'g'}{digest[:_DIGITS]}"


def is_found_name(name: str) -> bool:
    """Return whether a group was named by `found_name`."""
    return _FOUND.fullmatch(name) is not None
