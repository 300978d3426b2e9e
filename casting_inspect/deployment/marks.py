"""What tells a file from an earlier one of its name: a camera may use one name for all."""

from __future__ import annotations

import os
import stat

from casting_inspect.deployment.sources import Item


def mark_of(status: os.stat_result) -> str:
    """Return a file's mark: its size in bytes and its time in nanoseconds."""
    return f"{status.st_size}:{status.st_mtime_ns}"


def is_written_over(item: Item) -> bool:
    """Say whether another file has the name of one that has a mark; not whether it is gone."""
    if item.file is None or not item.mark:
        return False
    try:
        status = item.file.stat()
    except OSError:
        return False
    return not stat.S_ISREG(status.st_mode) or mark_of(status) != item.mark
