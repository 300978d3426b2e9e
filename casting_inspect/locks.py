"""One process at a time: a file that is held, or a line that says who is at it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from casting_inspect.errors import UserError


@contextlib.contextmanager
def alone(place: Path, busy: str, *, soft: bool = True) -> Iterator[None]:
    """Hold a file's lock, without waiting for it.

    Args:
        place: The file, in a folder that is there.
        busy: What to say where another process holds it.
        soft: Whether, on a drive without locks, a file that is there is one; it outlives a kill.

    Raises:
        UserError: If another process holds it.
        OSError: If it cannot be held for another reason.
    """
    lock = FileLock(place, fallback_to_soft=soft)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(busy) from error
    try:
        yield
    finally:
        lock.release()
