"""A run done again, from what its folder says, and compared with what it gave."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from omegaconf import DictConfig

from casting_inspect.data.manifest import read_manifest
from casting_inspect.errors import UserError
from casting_inspect.evaluation.agreement import Agreement, agreement
from casting_inspect.files import cache_root, replace_json, sha256_of_file
from casting_inspect.models.weights import KEYWORDS, weights_file
from casting_inspect.ranges import missing
from casting_inspect.resume import read_config
from casting_inspect.training import assembly
from casting_inspect.training.run_folder import RunFolder, read_record

RESULT: Final = "reproduction.json"
_NAMED: Final = 3


def reproduce(
    run: Path,
    out: Path,
    command: list[str],
    *,
    root: Path | None = None,
    weights: Path | None = None,
    allow_targets: Sequence[str] = (),
    fresh: bool = True,
    tolerance: float,
) -> Agreement:
    """Do a finished run again in another folder, and say how the two agree.

    Args:
        run: The run's folder; also one fold's of several.
        out: Where it is done again; ``reproduction.json`` there has the result.
        command: The command line, for the record.
        root: Where the pictures are now, if they have moved.
        weights: Where the weights are now, if they have moved.
        allow_targets: Classes that the folder's configuration may instantiate beside ours.
        fresh: Take nothing from the caches, so that features are computed anew.
        tolerance: See `agreement`.

    Raises:
        UserError: If there is no finished run, a picture or the weights are not what they were,
            or ``out`` is in use.
    """
    from casting_inspect.training.experiment import run_experiment

    folder, again = RunFolder(run), RunFolder(out)
    record = _finished(folder)
    config = read_config(run, key="run")
    if lacking := list(missing(config)):
        raise UserError(
            f"{folder.config}: lacks {', '.join(lacking)}: an older version wrote it; do it again "
            "with the version in its run.json"
        )
    _check_out(run, out)
    if root is not None:
        config.data.root = str(root)
    if weights is not None:
        config.model.weights = str(weights)
    config.allow_targets = list(allow_targets)
    _as_it_was(config, folder)
    with _caches(out) if fresh else contextlib.nullcontext():
        if fresh:
            config.cache.dir = None
        _check_weights(config, record)
        _check_pictures(folder, assembly.data_root(config.data))
        with _threads(record), _whole_or_nothing(out):
            run_experiment(config, out, command, trusted=False)
    metrics = tuple(_json(one.metrics) for one in (folder, again))
    records = (record, read_record(again.record))
    found = agreement(run, out, records, (metrics[0], metrics[1]), tolerance)
    replace_json(out / RESULT, {"run": str(run), "reproduced": found.reproduced, **asdict(found)})
    return found


def _finished(folder: RunFolder) -> dict[str, Any]:
    """Return the record of a finished run that has predictions.

    Raises:
        UserError: If there is none.
    """
    try:
        record = read_record(folder.record)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder.record}: cannot be read ({error})") from error
    if not record:
        raise UserError(f"run={folder.root}: no run.json there. Give the folder of a run.")
    if record.get("status") != "finished":
        raise UserError(
            f"run={folder.root}: the run is {record.get('status', 'unfinished')}, not finished: "
            f"train resume={folder.root} goes on with it"
        )
    for path in (folder.manifest, folder.predictions, folder.metrics):
        if not path.is_file():
            raise UserError(f"{path}: not there, so that nothing can be compared with it")
    return record


def _check_out(run: Path, out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError(f"out={out}: is a file; name a folder.")
    if out.resolve() == run.resolve() or (out.is_dir() and any(out.iterdir())):
        raise UserError(f"out={out}: is not empty; name a new folder, the run is done again there.")


def _as_it_was(config: DictConfig, folder: RunFolder) -> None:
    """Leave out what changes no figure; the run's own manifest stands in for one that is gone."""
    config.resume, config.jobs = None, 1
    config.logger.name, config.report.heatmaps = "none", "none"
    config.callbacks.progress_bar = False
    named = config.data.manifest
    if named and not Path(named).is_file():
        config.data.manifest = str(folder.manifest)


def _check_weights(config: DictConfig, record: dict[str, Any]) -> None:
    """Refuse weights that are another file than the run's, before anything long begins.

    Raises:
        UserError: If they are missing or others.
    """
    name = str(config.model.get("weights") or "none")
    if name in KEYWORDS:
        return
    then = (record.get("digests") or {}).get("weights")
    path = weights_file(name)
    if then not in (None, "none") and sha256_of_file(path) != then:
        raise UserError(
            f"model.weights={path}: not the file that the run began with ({str(then)[:12]}...): "
            "bring it back, or name it with weights=PATH"
        )


def _check_pictures(folder: RunFolder, root: Path) -> None:
    """Refuse pictures that are not those of the run.

    Raises:
        UserError: If one is missing or has changed, with the first few names.
    """
    if not root.is_dir():
        raise UserError(
            f"data.root={root}: there is no such folder; root=DIR names where it is now"
        )
    missing, changed = [], []
    for row in read_manifest(folder.manifest).itertuples():
        path = root / str(row.path)
        if not path.is_file():
            missing.append(str(row.path))
        elif row.sha256 and sha256_of_file(path) != row.sha256:
            changed.append(str(row.path))
    for names, word in ((missing, "missing"), (changed, "changed")):
        if names:
            named = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
            raise UserError(
                f"{root}: {len(names)} of the run's pictures {word} ({named}): bring them back, or "
                "name where they are with root=DIR"
            )


@contextlib.contextmanager
def _caches(out: Path) -> Iterator[None]:
    """Keep all caches of a run in a folder of its own, removed at the end."""
    before, own = os.environ.get("CASTING_INSPECT_CACHE"), out.with_name(f".{out.name}.cache")
    os.environ["CASTING_INSPECT_CACHE"] = str(own.absolute())
    assert cache_root() == own.absolute()
    try:
        yield
    finally:
        if before is None:
            del os.environ["CASTING_INSPECT_CACHE"]
        else:
            os.environ["CASTING_INSPECT_CACHE"] = before
        shutil.rmtree(own, ignore_errors=True)


@contextlib.contextmanager
def _whole_or_nothing(out: Path) -> Iterator[None]:
    """Leave no begun run where it turns out that it cannot be done; ``out`` was new or empty."""
    try:
        yield
    except UserError:
        shutil.rmtree(out, ignore_errors=True)
        raise


@contextlib.contextmanager
def _threads(record: dict[str, Any]) -> Iterator[None]:
    """Compute with as many threads as the run had: the last digits can depend on it."""
    import torch

    before = torch.get_num_threads()
    then = (record.get("hardware") or {}).get("threads")
    if isinstance(then, int) and 1 <= then <= (os.cpu_count() or 1):
        torch.set_num_threads(then)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def sentences(found: Agreement, run: Path) -> list[str]:
    """Return the result as lines for the screen, the verdict last."""
    scores, figures = found.predictions, found.metrics
    around = "; ".join(found.surroundings) or "the same commit, versions and hardware"
    lines = [
        f"around it:    {around}",
        f"inputs:       {'; '.join(found.inputs) or 'the same data, groups, parts and weights'}",
    ]
    if scores["identical"]:
        lines.append(f"predictions:  {scores['rows']:,} rows, the same to the last bit")
    else:
        lines.append(
            f"predictions:  {scores['rows']:,} rows in both, {scores['missing']:,} in one only; "
            f"p_normal differs by {scores['largest']:.3g} at most, {scores['verdicts']:,} verdicts "
            "changed"
        )
    changed = figures["different"]
    named = f", such as {', '.join(figures['first'])}" if changed else ""
    lines.append(
        f"metrics:      {figures['figures']:,} figures, {changed:,} differ{named}"
        + (f"; rates by {figures['largest']:.3g} at most" if changed else "")
    )
    if found.reproduced:
        lines.append(f"REPRODUCED {found.result}: {run}")
    elif found.same_place and not found.inputs and found.result != "not reproduced":
        lines.append(f"NOT REPRODUCED bit for bit, as the same place should, but near: {run}")
    else:
        lines.append(f"NOT REPRODUCED: {run}")
    return lines


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
