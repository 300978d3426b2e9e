"""Training loops in processes of their own that take one step each in turn.

A loop is a candidate of a script: the script starts itself again as `SCRIPT --turn NAME` for each,
and every process runs its whole loop, its loader wrapped in `Turned`, which waits for its turn
before each step. So steps are timed side by side as they are in real training, with fetching,
hooks and logging, and no setting of one library reaches the other's process.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from peak import PeakMemory
from settings import REPEATS
from timing import Timed, wait_for_device

MARK: Final = "@turn "


@dataclass(frozen=True)
class Turns:
    """What a candidate's turns took.

    Attributes:
        times: Seconds of its steps, the first one left out.
        peak_mib: Most memory of its process.
    """

    times: Timed
    peak_mib: float | None


class Turned:
    """A loader that waits for its turn before every step, or before every epoch.

    Args:
        loader: Any sized iterable of batches.
        epochs: Whether a turn is an epoch and not a step.
    """

    batch_sampler = None  # Lightning looks for it wherever there is a sampler

    def __init__(self, loader: Any, *, epochs: bool = False) -> None:
        self.loader = loader
        self.epochs = epochs
        self.sampler = getattr(loader, "sampler", None)
        self._started: float | None = None

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        if self.epochs:
            self._arrive()
            yield from self.loader
            return
        batches = iter(self.loader)
        for _ in range(len(self.loader)):
            self._arrive()
            yield next(batches)

    def _arrive(self) -> None:
        """Say how long the turn took and wait for the next; leave when there is none."""
        if self._started is None:
            print(f"\n{MARK}ready", flush=True)
        else:
            wait_for_device()
            print(f"\n{MARK}{time.perf_counter() - self._started}", flush=True)
        if sys.stdin.readline().strip() != "go":
            sys.stdout.flush()
            raise SystemExit(0)
        self._started = time.perf_counter()


def steps(run: Callable[[], object]) -> None:
    """Take turns with something that is no training loop, such as a matrix product."""
    for _ in Turned(range(sys.maxsize)):
        run()


def take_turns(
    script: Path | str, candidates: Mapping[str, Sequence[str]], rounds: int = REPEATS
) -> dict[str, Turns]:
    """Start a process a candidate and let them take turns, after one round that does not count.

    Args:
        script: The script that knows the candidates: it is called with ``--turn NAME WORDS``.
        candidates: Further words for each.
        rounds: Turns of each that count.

    Raises:
        RuntimeError: If a process ends before its turns are over.
    """
    processes = {
        name: subprocess.Popen(
            [sys.executable, str(script), "--turn", name, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, words in candidates.items()
    }
    watched = {name: PeakMemory(process.pid) for name, process in processes.items()}
    try:
        for name, process in processes.items():
            _answer(process, name)
        seconds: dict[str, list[float]] = {name: [] for name in processes}
        for _ in range(rounds + 1):
            for name, process in processes.items():
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
                seconds[name].append(float(_answer(process, name)))
        peaks = {name: watch.stop() for name, watch in watched.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
    return {name: Turns(Timed(tuple(seconds[name][1:])), peaks[name]) for name in processes}


def took_turn(candidate: Callable[..., None]) -> bool:
    """Run ``candidate`` with the name and words after ``--turn``, and say whether there were any.

    Every script that calls `take_turns` asks this first: it is started again for each candidate.
    """
    if sys.argv[1:2] != ["--turn"]:
        return False
    candidate(*sys.argv[2:])
    return True


def _answer(process: subprocess.Popen[str], name: str) -> str:
    """Return what a process says at the end of its turn; other lines are its own."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(MARK):
            return line.removeprefix(MARK).strip()
    raise RuntimeError(f"{name}: ended with exit code {process.wait()} before its turns were over")
