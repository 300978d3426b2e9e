"""One row a comparison: what, against what, the goal, whether it is met, measured on what."""

from __future__ import annotations

import csv
import hashlib
import io
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from settings import RESULTS, ROOT
from timing import Timed

PACKAGES: Final = ("torch", "torchvision", "lightning", "timm", "onnxruntime", "openvino")
SOURCES: Final = ("casting_inspect", "conf", "experiments/speed")
MEASURED_ON: Final = ("commit", "processor", "cores", "gpu", "python", *PACKAGES)


@dataclass(frozen=True)
class Goal:
    """A bound on one figure of a row.

    Attributes:
        kind: ``at least`` or ``at most``.
        value: The bound.
        of: The figure: ``ratio``, ``share`` or ``ours``.
    """

    kind: str
    value: float
    of: str = "ratio"

    def __post_init__(self) -> None:
        """Refuse words that mean nothing."""
        if self.kind not in ("at least", "at most") or self.of not in ("ratio", "share", "ours"):
            raise ValueError(f"{self.kind} {self.of}: not a goal")

    def is_met(self, figure: float) -> bool:
        """Say whether a figure keeps to the bound; the bound itself does."""
        return figure >= self.value if self.kind == "at least" else figure <= self.value

    def text(self, unit: str) -> str:
        """Return the goal in words; ``unit`` is that of ``ours``."""
        if self.of == "share":
            return f"{self.kind} {100 * self.value:g} % of the ceiling"
        if self.of == "ratio":
            return f"{self.kind} {self.value:,g} times"
        return f"{self.kind} {self.value:,g} {unit}"


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: What is compared.
        ours: Our median, in ``unit``; None: not measured.
        unit: Of both medians.
        peer: What a user would take instead.
        theirs: The peer's median.
        ratio: How many times better ours is.
        goal: The bound, if there is one.
        share: Of the ceiling that ours reached, 0 to 1.
        ceiling: Which one.
        repeats: Measurements behind our median.
        low: The smallest of them.
        high: The largest.
        pictures: Pictures, or rows, that it was measured on.
        peak_mib: Most memory of the process and those it started, mapped files not counted.
        device: ``cpu`` or ``cuda``.
        note: What else a reader must know.
    """

    what: str
    ours: float | None = None
    unit: str = "s"
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    goal: Goal | None = None
    share: float | None = None
    ceiling: str = ""
    repeats: int = 1
    low: float | None = None
    high: float | None = None
    pictures: int | None = None
    peak_mib: float | None = None
    device: str = "cpu"
    note: str = ""

    @property
    def met(self) -> str:
        """``yes``, ``no``, ``not measured``, or nothing where there is no goal."""
        if self.goal is None:
            return ""
        figure = getattr(self, self.goal.of)
        return "not measured" if figure is None else "yes" if self.goal.is_met(figure) else "no"

    def cells(self) -> dict[str, str]:
        """Return the row as text for a table."""
        values: dict[str, Any] = asdict(self)
        values["goal"] = self.goal.text(self.unit) if self.goal else ""
        cells = {key: _cell(value) for key, value in values.items()}
        at = list(cells).index("goal") + 1
        keys = [*list(cells)[:at], "met", *list(cells)[at:]]
        return {key: self.met if key == "met" else cells[key] for key in keys}


def compared(
    what: str, ours: Timed, peer: str = "", theirs: Timed | None = None, **more: Any
) -> Row:
    """Return a row of two timed candidates in seconds: medians, spread, and how many times faster.

    Args:
        what: What is compared.
        ours: Our times.
        peer: What it is compared with.
        theirs: The peer's times.
        **more: Further attributes of `Row`.
    """
    row = Row(
        what,
        ours=ours.median,
        peer=peer,
        theirs=theirs.median if theirs else None,
        ratio=theirs.median / ours.median if theirs else None,
        repeats=len(ours.seconds),
        low=min(ours.seconds),
        high=max(ours.seconds),
    )
    return replace(row, **more)


def rated(
    what: str, ours: Timed, count: int, peer: str = "", theirs: Timed | None = None, **more: Any
) -> Row:
    """Return a row in pictures a second; both candidates took ``count`` pictures each time."""
    row = compared(what, ours, peer, theirs)
    assert row.low is not None
    assert row.high is not None
    of_peer = count / theirs.median if theirs else None
    rates = {"low": count / row.high, "high": count / row.low}
    row = replace(row, ours=count / ours.median, theirs=of_peer, unit="images/s", **rates)
    return replace(row, pictures=count, **more)


def not_measured(what: str, peer: str, goal: Goal, unit: str = "s", **more: Any) -> Row:
    """Return the row of something that this machine cannot show."""
    return replace(Row(what, peer=peer, goal=goal, unit=unit, note="not measured"), **more)


def write(name: str, rows: Sequence[Row]) -> Path:
    """Write ``results/NAME.csv``, each row with what it was measured on, and print it."""
    from casting_inspect.files import replace_text

    facts = measured_on()
    lines = [{**row.cells(), **facts} for row in rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    path = RESULTS / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, out.getvalue())
    for row in rows:
        print(_line(row), flush=True)
    return path


def measured_on() -> dict[str, str]:
    """Return commit, processor and versions; neither paths nor names of hosts."""
    from casting_inspect.training.run_folder import hardware

    machine = hardware()
    return {
        "commit": commit(),
        "processor": str(machine["processor"]),
        "cores": str(machine["cores"]),
        "gpu": machine["gpu"] or "none",
        "python": platform.python_version(),
        **{name: version_of(name) for name in PACKAGES},
    }


def version_of(package: str) -> str:
    """Return an installed package's version, or ``none``."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def commit() -> str:
    """Return twelve digits of the commit, with a plus where sources are changed since."""
    tracked = [*SOURCES, ":!experiments/speed/README.md", ":!experiments/speed/results"]
    try:
        found = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", *tracked)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{found}+" if changed else found


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def digest_of_sources(settings: Mapping[str, str]) -> str:
    """Return a digest of all that a measurement depends on: code, settings and versions."""
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".yaml"):
                digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    for package in PACKAGES:
        digest.update(version_of(package).encode())
    return digest.hexdigest()[:16]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)


def _line(row: Row) -> str:
    cells = row.cells()
    against = f" against {cells['theirs']} of {row.peer}" if row.theirs is not None else ""
    ratio = f", {cells['ratio']} times" if row.ratio is not None else ""
    share = f", {100 * row.share:.0f} % of {row.ceiling}" if row.share is not None else ""
    goal = f"; goal {cells['goal']}: {row.met}" if row.goal else ""
    return f"{row.what}: {cells['ours']} {row.unit}{against}{ratio}{share}{goal}"
