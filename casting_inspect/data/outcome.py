"""The folder that ``prepare`` leaves: built aside, put in place in one step, recognised again."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from casting_inspect.data.manifest import dataset_digest, read_manifest
from casting_inspect.errors import UserError
from casting_inspect.files import replace_text, sha256_of_file
from casting_inspect.labels import CLASS_NAMES

if TYPE_CHECKING:
    import pandas as pd

RECORD: Final = "prepare.json"
MANIFEST: Final = "manifest.csv"
REJECTED: Final = "rejected.csv"
HELD: Final = "holds the result of another prepare"
"""What a refusal to write over other pictures or settings says, for who waits for it."""
# What of the record makes one result another: these must be equal for "nothing to do".
IDENTITY: Final = ("recipe", "source_digest", "window", "max_pixels")


@dataclass(frozen=True)
class PrepareResult:
    """What ``prepare`` has left.

    Attributes:
        out: The data root.
        manifest: Its ``manifest.csv``.
        n_normal: Normal pictures.
        n_defective: Defective pictures.
        rejected: (path in the source, reason) of every file left out as bad.
        unchanged: True when the very result was there before.
        longest_side: Of the largest picture, in pixels; 0 where sizes are not known.
    """

    out: Path
    manifest: Path
    n_normal: int
    n_defective: int
    rejected: list[tuple[str, str]] = field(default_factory=list)
    unchanged: bool = False
    longest_side: int = field(default=0, compare=False)


@contextlib.contextmanager
def building(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``out`` that becomes ``out`` when the block succeeds.

    When it does not, whatever the reason, nothing is at ``out`` that was not there before.

    Raises:
        UserError: If the folder cannot be made or renamed, or the disk is full.
    """
    temporary = out.parent / f"{_mark(out)}{uuid.uuid4().hex[:8]}.part"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if out.is_dir():
            out.rmdir()  # empty, or this fails; renaming onto a folder does not work everywhere
        os.replace(temporary, out)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _mark(out: Path) -> str:
    # short, so that any name that a folder may have leaves room for it
    return f".prepare-{hashlib.sha256(out.name.encode('utf-8', 'replace')).hexdigest()[:8]}-"


def leftovers(out: Path) -> list[Path]:
    """Return the folders that killed runs for the same ``out`` have left beside it."""
    try:
        return sorted(path for path in out.parent.iterdir() if path.name.startswith(_mark(out)))
    except OSError:  # no such folder, or not ours to look into
        return []


def is_free(out: Path) -> bool:
    """Return whether there is nothing at ``out``, or an empty folder."""
    try:
        return not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir()))
    except OSError as error:
        raise UserError(f"out={out}: cannot be read ({error.strerror or error})") from None


def read_record(out: Path) -> dict[str, Any] | None:
    """Return what ``prepare`` wrote into ``out`` about itself, or None when it did not."""
    try:
        record = json.loads((out / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def recorded_window(root: Path) -> tuple[float, float] | None:
    """Return the grey window that was given to ``prepare`` for a data root, or None."""
    window = (read_record(root) or {}).get("window")
    return (float(window[0]), float(window[1])) if window else None


def summary(frame: pd.DataFrame, rejected: int) -> dict[str, Any]:
    """Return what the record says of a finished manifest."""
    counts = {f"n_{label}": int((frame["label"] == label).sum()) for label in CLASS_NAMES}
    return {**counts, "n_rejected": rejected, "dataset_digest": dataset_digest(frame)}


def record_at(out: Path) -> dict[str, Any]:
    """Return the record of an earlier ``prepare`` at ``out``, which is not free.

    Raises:
        UserError: If something else is there.
    """
    record = read_record(out)
    if record is None:
        held = min((path.name for path in out.iterdir()), default="") if out.is_dir() else "a file"
        raise UserError(
            f"out={out}: holds something else ({held}), so nothing was touched; give a new folder"
        )
    return record


def check_same(out: Path, record: Mapping[str, Any], workers: int) -> pd.DataFrame:
    """Check that ``out`` holds the very result that is about to be made.

    Args:
        out: A folder that is not free.
        record: The result's record, as it would be written.
        workers: Threads that digest files.

    Returns:
        The manifest of ``out``.

    Raises:
        UserError: If it holds something else, the result of other settings, or a damaged result.
    """
    there = record_at(out)
    other = [key for key in IDENTITY if there.get(key) != record.get(key)]
    if other:
        shown = "; ".join(
            "other pictures"
            if key == "source_digest"
            else f"{key} {there.get(key)} there, {record.get(key)} now"
            for key in other
        )
        raise UserError(f"out={out}: {HELD} ({shown}), so nothing was touched; give a new folder")
    return _check_intact(out, there, workers)


def _check_intact(out: Path, record: Mapping[str, Any], workers: int) -> pd.DataFrame:
    mend = "remove the folder and prepare again"
    for name in (MANIFEST, REJECTED):
        if not (out / name).is_file():
            raise UserError(f"out={out}: an earlier prepare there is damaged, no {name}; {mend}")
    frame = read_manifest(out / MANIFEST)
    if dataset_digest(frame) != record.get("dataset_digest"):
        raise UserError(
            f"out={out}: the manifest of an earlier prepare there was changed; {mend}, or keep it"
        )

    def differs(path: str, digest: str) -> bool:
        try:
            return sha256_of_file(out / path) != digest
        except OSError:
            return True

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(differs, frame["path"], frame["sha256"]))
    bad = [path for path, wrong in zip(frame["path"], found, strict=True) if wrong]
    if bad:
        raise UserError(
            f"out={out}: an earlier prepare there is damaged, {len(bad)} files are missing or "
            f"changed, first '{bad[0]}'; {mend}"
        )
    return frame


def write_rejected(rejected: Iterable[tuple[str, str]], path: Path) -> None:
    """Write (path, reason) of each rejected file as CSV in one step."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("path", "reason"))
    table.writerows((printable(name), printable(reason)) for name, reason in rejected)
    replace_text(path, text.getvalue())


def read_rejected(path: Path) -> list[tuple[str, str]]:
    """Read what ``write_rejected`` wrote; paths that could not be shown stay escaped."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, restval="")
        return [(row.get("path", ""), row.get("reason", "")) for row in rows]


def printable(text: str) -> str:
    """Return a text that can be written and shown: odd bytes and control characters escaped."""
    clean = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in clean)


def told(
    out: Path, frame: pd.DataFrame, rejected: list[tuple[str, str]], unchanged: bool
) -> PrepareResult:
    """Say on the screen what is at ``out`` and return it."""
    import pandas as pd

    n_normal, n_defective = (
        int((frame["label"] == label).sum()) for label in ("normal", "defective")
    )
    what = f"{n_defective:,} defective and {n_normal:,} normal pictures"
    if unchanged:
        say(f"nothing to do: {out} holds this very result already, {what}")
    else:
        say(f"{out}: {what}, {len(rejected):,} rejected")
    manifest = out / MANIFEST
    sides = frame[["width", "height"]].max().max()
    longest = 0 if pd.isna(sides) else int(sides)
    return PrepareResult(out, manifest, n_normal, n_defective, rejected, unchanged, longest)


def first(texts: Sequence[str], separator: str = ", ") -> str:
    """Return the first five texts in a line, and how many more there are."""
    more = f"{separator}and {len(texts) - 5} more" if len(texts) > 5 else ""
    return separator.join(texts[:5]) + more


def say(text: str) -> None:
    """Print a line on the screen as it is, without markup."""
    Console(soft_wrap=True).print(printable(text), markup=False, emoji=False, highlight=False)
