"""What to say when a library could not make a file: a full disk, or a failure of its own."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from casting_inspect.errors import UserError, first_line

ROOM: Final = 2**16
"""Bytes; a disk with less is full."""


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Say in one line when a library could not make a file, and when the disk is to blame.

    Libraries have words of their own for a full disk, or read back what was cut off by it.

    Raises:
        UserError: If the disk is full, the folder cannot be written, or the library failed.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if _is_full(path.parent, error):
            reason = f"cannot be written: the disk is full ({os.strerror(errno.ENOSPC)})"
        elif isinstance(error, OSError):
            reason = f"cannot be written ({error.strerror or first_line(error)})"
        elif isinstance(error, RuntimeError):
            reason = f"cannot be made ({first_line(error)}): try another format or precision"
        else:
            raise
        raise UserError(f"{path.name} {reason}") from error


def _is_full(folder: Path, error: Exception) -> bool:
    """Say whether a failure to write into a folder is a full disk's."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
    # the part that was written may have been removed: renditions are about as large as each other
    largest = max((each.stat().st_size for each in folder.iterdir()), default=0)
    return shutil.disk_usage(folder).free < max(ROOM, largest)
