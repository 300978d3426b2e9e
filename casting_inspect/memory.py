"""How much memory this machine has to give."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from pathlib import Path

_AVAILABLE = re.compile(r"^MemAvailable: +(\d+) kB", re.MULTILINE)


def memory() -> tuple[int, str] | None:
    """Return bytes and what they are, ``available`` or ``in all``; None where nothing tells."""
    if sys.platform == "win32":
        status = (ctypes.c_ulonglong * 8)(64)  # MEMORYSTATUSEX: its own length first
        told = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return (status[2], "available") if told else None
    with contextlib.suppress(OSError):
        found = _AVAILABLE.search(Path("/proc/meminfo").read_text(encoding="utf-8"))
        if found is not None:
            return int(found[1]) * 1024, "available"
    with contextlib.suppress(OSError, ValueError):  # macOS says no more than this
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "in all"
    return None
