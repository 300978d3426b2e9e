"""The most memory that a process and those it starts take; files mapped into it do not count."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

KINDS: Final = ("RssAnon:", "RssShmem:")
"""Of /proc/PID/status: own and shared memory; mapped files (RssFile) are left out."""
EVERY: Final = 0.02  # seconds


class PeakMemory:
    """Looks at a process again and again until it is stopped.

    Args:
        pid: The process; those it starts are added.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.largest = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.largest = max(self.largest, memory_of(self.pid))
            self._stop.wait(EVERY)

    def stop(self) -> float | None:
        """Stop looking and return the most, in MiB; None where the system does not tell."""
        self._stop.set()
        self._thread.join()
        return self.largest / 2**20 if self.largest else None


def memory_of(pid: int) -> int:
    """Return the bytes that a process and those it started take now; 0 where nothing is known."""
    status = Path(f"/proc/{pid}/status")
    try:
        lines = status.read_text(encoding="utf-8").splitlines()
        started = [
            int(child)
            for children in Path(f"/proc/{pid}/task").glob("*/children")
            for child in children.read_text(encoding="utf-8").split()
        ]
    except (OSError, ValueError):  # it has ended, or this is no Linux
        return 0
    own = sum(1024 * int(line.split()[1]) for line in lines if line.startswith(KINDS))
    return own + sum(map(memory_of, started))


def run_watched(words: Sequence[str]) -> tuple[float, float | None]:
    """Run ``python WORDS`` and return its seconds and the most memory it took, in MiB.

    Raises:
        RuntimeError: If it fails, with the end of what it said.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    watch = PeakMemory(process.pid)
    said = process.communicate()[0]
    seconds = time.perf_counter() - started
    peak = watch.stop()
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: {said[-2000:]}")
    return seconds, peak
