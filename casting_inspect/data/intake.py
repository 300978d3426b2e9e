"""``prepare``: delivered pictures become a data root, every one decoded once on the way."""

from __future__ import annotations

import errno
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import casting_inspect
from casting_inspect.data import outcome
from casting_inspect.data.archive import Source, check_room, is_within, open_source
from casting_inspect.data.class_names import class_names
from casting_inspect.data.crew import Crew
from casting_inspect.data.decode import MAX_PIXELS, DecodeError, byte_limit, decode
from casting_inspect.data.delivered_table import plan_table, with_castings
from casting_inspect.data.folders import is_picture
from casting_inspect.data.manifest import make_frame, read_manifest, write_manifest
from casting_inspect.data.outcome import PrepareResult, first, printable, say, told
from casting_inspect.data.recipes import RECIPES, Pick, Plan, check_counts, plan_recipe
from casting_inspect.errors import UserError, suggestion
from casting_inspect.files import replace_json, sha256_of_file

if TYPE_CHECKING:
    import pandas as pd

    from casting_inspect.data.synthetic import SyntheticConfig


class _Taken(NamedTuple):
    """What came of one picture: its digest, size after turning, or why it is rejected."""

    sha256: str
    width: int = 0
    height: int = 0
    reason: str = ""


def prepare(
    source: Path | None,
    out: Path,
    recipe: str,
    *,
    on_bad: str = "fail",
    aliases: Mapping[str, str] | None = None,
    normal: Sequence[str] | None = None,
    manifest: Path | None = None,
    group_from: str | None = None,
    lot_from: str | None = None,
    window: Sequence[float] | None = None,
    synthetic: SyntheticConfig | Mapping[str, Any] | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: bool = True,
    workers: int = 0,
) -> PrepareResult:
    """Turn delivered pictures into a data root: pictures, manifest, list of rejected files.

    Everything is built beside ``out`` and put there in one step. Pictures are copied byte for
    byte. Run again with the same source and settings it changes nothing.

    Args:
        source: A zip file or folder; not used by ``synthetic``.
        out: Where the result goes: nothing there, an empty folder, or the same result.
        recipe: ``paper``, ``vendor``, ``all``, ``folder`` or ``synthetic``.
        on_bad: ``fail`` stops when a picture is rejected; ``skip`` leaves it out.
        aliases: Further words for the classes: name -> ``normal`` or ``defective``.
        normal: Words for good castings; every other one is a kind of defect then.
        manifest: For ``folder``: a table with file names and classes in place of class folders.
        group_from: What names each picture's casting: see `naming.names_from`.
        lot_from: What names its lot.
        window: (low, high) grey values for pictures of more than 8 bits, kept in ``prepare.json``;
            None leaves the choice to training.
        synthetic: For ``synthetic``: the set; None for the one that demo and tests use.
        max_pixels: Pictures with more are rejected by their header.
        progress: Whether a progress bar is drawn on stderr.
        workers: Threads that read and decode; 0 takes one a core, at most 8.

    Returns:
        What is at ``out`` now.

    Raises:
        UserError: For anything that the user can mend; nothing is at ``out`` then that was not
            there before.
    """
    limits = _check_choices(recipe, on_bad, window)
    if manifest is not None and recipe != "folder":
        raise UserError(f"data.manifest={manifest}: goes with recipe=folder, not recipe={recipe}")
    if out.name in ("", ".."):
        out = out.resolve()
    for left in outcome.leftovers(out):
        say(f"{left} is what an interrupted run has left; it can be removed")
    crew = Crew(workers, progress)
    if recipe == "synthetic":
        from casting_inspect.data.drawing import prepare_synthetic

        return prepare_synthetic(out, synthetic, crew)
    if source is not None and is_within(out, source):
        raise UserError(f"out={out}: lies in source={source}; choose a folder outside it")

    def planned(pictures: Sequence[str], others: Sequence[str], where: str) -> Plan:
        if manifest is None:
            plan = plan_recipe(recipe, pictures, others, where, aliases, normal)
        else:
            table = read_manifest(manifest, class_names(aliases, normal))
            plan = plan_table(pictures, table, str(manifest))
        return with_castings(plan, group_from, lot_from)

    delivered = open_source(source)
    try:
        settings = {"recipe": recipe, "window": limits, "max_pixels": max_pixels}
        return _Intake(delivered, out, settings, on_bad, crew).run(planned)
    finally:
        delivered.close()


def _check_choices(recipe: str, on_bad: str, window: Sequence[float] | None) -> list[float] | None:
    """Check what has a few possible values; return the window as it is recorded."""
    if recipe not in RECIPES:
        raise UserError(
            f"recipe={recipe}: must be one of {', '.join(RECIPES)}.{suggestion(recipe, RECIPES)}"
        )
    if on_bad not in ("fail", "skip"):
        raise UserError(f"on_bad={on_bad}: must be fail or skip")
    if window is None:
        return None
    limits = [float(value) for value in window]
    if len(limits) != 2 or not all(map(math.isfinite, limits)) or limits[0] >= limits[1]:
        raise UserError(f"window={limits}: must be [low, high] with low below high")
    return limits


class _Intake:
    """One run of ``prepare`` on delivered pictures."""

    def __init__(
        self, source: Source, out: Path, settings: Mapping[str, Any], on_bad: str, crew: Crew
    ) -> None:
        self._source, self._out, self._on_bad, self._crew = source, out, on_bad, crew
        self._settings = dict(settings)
        self._limit = int(settings["max_pixels"])
        self._problems = {entry.path: entry.problem for entry in source.entries}

    def run(self, planned: Callable[[Sequence[str], Sequence[str], str], Plan]) -> PrepareResult:
        """Plan, then build the result, or recognise it when it is there already."""
        pictures: list[str] = []
        others: list[str] = []
        for path in self._problems:
            is_one = is_picture(path, partial(self._source.start, path))
            (pictures if is_one else others).append(path)
        plan = planned(pictures, others, self._source.where)
        if others:
            names = sorted({path.rsplit("/", 1)[-1] for path in others})
            say(f"{len(others)} files that are no pictures were ignored: {first(names)}")
        for note in plan.notes:
            say(note)
        return self._build(plan) if outcome.is_free(self._out) else self._recognise(plan)

    def _build(self, plan: Plan) -> PrepareResult:
        sizes = {entry.path: entry.size for entry in self._source.entries}
        with outcome.building(self._out) as folder:
            check_room(folder, sum(sizes[pick.source] for pick in plan.picks))
            for parent in {folder / Path(pick.path).parent for pick in plan.picks}:
                parent.mkdir(parents=True, exist_ok=True)
            taken = self._crew.each(partial(self._take, folder), plan.picks, "checking, copying")
            rejected = sorted(
                plan.refused
                + [
                    (pick.source, got.reason)
                    for pick, got in zip(plan.picks, taken, strict=True)
                    if got.reason
                ]
            )
            if rejected:
                self._tell_rejected(rejected, plan.strange)
            frame = self._manifest(plan, taken, len(rejected))
            write_manifest(frame, folder / outcome.MANIFEST)
            outcome.write_rejected(rejected, folder / outcome.REJECTED)
            record = self._record(plan, [got.sha256 for got in taken])
            record |= outcome.summary(frame, len(rejected))
            delivered = Path(self._source.where)
            record["archive_sha256"] = sha256_of_file(delivered) if delivered.is_file() else None
            replace_json(folder / outcome.RECORD, record)
        return told(self._out, frame, rejected, unchanged=False)

    def _take(self, folder: Path, pick: Pick) -> _Taken:
        """Read, digest, decode and copy one picture."""
        digest = ""
        try:
            data = self._read(pick)
            digest = hashlib.sha256(data).hexdigest()
            height, width = decode(data, self._limit).shape[:2]
        except DecodeError as error:
            return _Taken(digest, reason=str(error))
        try:
            (folder / pick.path).write_bytes(data)
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
                return _Taken(digest, reason="its name is not possible on this file system")
            raise
        return _Taken(digest, width, height)

    def _read(self, pick: Pick) -> bytes:
        if self._problems[pick.source]:
            raise DecodeError(self._problems[pick.source])
        return self._source.read(pick.source, byte_limit(self._limit))

    def _digest(self, pick: Pick) -> str:
        try:
            return hashlib.sha256(self._read(pick)).hexdigest()
        except DecodeError:
            return ""

    def _tell_rejected(self, rejected: Sequence[tuple[str, str]], strange: str) -> None:
        shown = first([f"{path}: {reason}" for path, reason in rejected], "; ")
        if self._on_bad == "skip":
            say(f"{len(rejected)} rejected: {shown}")
            return
        report = self._out.with_name(f"{self._out.name}.rejected.csv")
        outcome.write_rejected(rejected, report)
        raise UserError(
            printable(
                f"{len(rejected)} rejected: {shown}. All are listed in {report}; "
                f"{strange}{strange and '; '}mend or remove them, or leave them out with "
                "on_bad=skip"
            )
        )

    def _manifest(self, plan: Plan, taken: Sequence[_Taken], rejected: int) -> pd.DataFrame:
        rows = [
            {
                "path": pick.path,
                "label": pick.label,
                "split": pick.split,
                "source": pick.delivered,
                "sha256": got.sha256,
                "width": got.width,
                "height": got.height,
                **plan.more.get(pick.source, {}),
            }
            for pick, got in zip(plan.picks, taken, strict=True)
            if not got.reason
        ]
        counts = Counter(str(row["label"]) for row in rows)
        check_counts(self._settings["recipe"], counts, self._source.where, rejected)
        if not rows:
            raise UserError(f"{self._source.where}: not one picture in it can be read")
        return make_frame(rows)

    def _record(self, plan: Plan, digests: Sequence[str]) -> dict[str, Any]:
        """Return what identifies the result: the settings, and a digest of all that goes in."""
        lines = [
            (pick.path, pick.label, pick.split, pick.delivered, digest)
            for pick, digest in zip(plan.picks, digests, strict=True)
        ]
        known = [sorted(lines), sorted(plan.refused)]
        text = json.dumps([*known, plan.more] if plan.more else known, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return {
            **self._settings,
            "source": Path(self._source.where).name,
            "source_digest": digest,
            "version": casting_inspect.__version__,
        }

    def _recognise(self, plan: Plan) -> PrepareResult:
        outcome.record_at(self._out)  # fails before everything is read
        digests = self._crew.each(self._digest, plan.picks, "comparing")
        frame = outcome.check_same(self._out, self._record(plan, digests), self._crew.workers)
        rejected = outcome.read_rejected(self._out / outcome.REJECTED)
        if rejected:
            self._tell_rejected(rejected, plan.strange)
        return told(self._out, frame, rejected, unchanged=True)
