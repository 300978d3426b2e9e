"""What runs record beside their figures: leak, floors, time and tuning, data, weights, commit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from casting_inspect.evaluation.gathering import Run


class Leak(NamedTuple):
    """Test files with a copy of their photograph in training.

    Attributes:
        share: Mean over runs, from 0 to 1.
        files: Mean over runs.
        of: Mean number of test files.
    """

    share: float
    files: float
    of: float


def carried_leak(runs: Sequence[Run], key: str = "leak") -> Leak | None:
    """Return the leak that the runs' metrics state for the test part, None where none does.

    Args:
        runs: A model's runs.
        key: ``leak``, counted by groups, or ``second_look``, by a method that knows none.
    """
    stated = [run.metrics.get(key) or {} for run in runs]
    found = [leak for leak in stated if "share" in leak and leak.get("part", "test") == "test"]
    if not found:
        return None
    values = [
        float(np.mean([float(leak.get(part) or 0) for leak in found]))
        for part in ("share", "files", "of")
    ]
    return Leak(*values)


def floors_beside(runs: Sequence[Run]) -> dict[str, float]:
    """Return the accuracy by file of each floor on the same split, the mean over runs."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for name, figures in (run.metrics.get("floors") or {}).items():
            if isinstance(figures, Mapping) and figures.get("accuracy") is not None:
                found.setdefault(str(name), []).append(float(figures["accuracy"]))
    return {name: float(np.mean(values)) for name, values in sorted(found.items())}


def burden(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the runs cost: ``seconds`` in all, and the keys of ``tuning`` where recorded."""
    found: dict[str, Any] = {}
    seconds = sum(sum(stages.values()) for run in runs for stages in _durations(run))
    if seconds:
        found["seconds"] = round(float(seconds), 1)
    for run in runs:
        for key, value in (run.record.get("tuning") or {}).items():
            found.setdefault(f"tuning_{key}", value)
    return found


def _durations(run: Run) -> list[dict[str, float]]:
    """Return seconds by stage: of the run, or of its folds where each keeps its own time."""
    if own := run.record.get("durations_s"):
        return [own]
    if run.folder is None:
        return []
    records = sorted(run.folder.glob("fold_*/run.json"))
    return [json.loads(path.read_text(encoding="utf-8")).get("durations_s", {}) for path in records]


def splits_of(runs: Sequence[Run]) -> list[str]:
    """Return ``data.split`` of the runs, each once, sorted; nothing for tables of other tools."""
    found = {run.config.get("data", {}).get("split") for run in runs}
    return sorted(str(split) for split in found if split)


def facts(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return where the figures come from as ``(what, value)``: data, weights, commits, seeds."""
    return [(name, ", ".join(values)) for name, values in _facts(runs) if values]


def _facts(runs: Sequence[Run]) -> Iterator[tuple[str, list[str]]]:
    records = [run.record for run in runs]
    data = [str(digest) for record in records if (digest := _digest(record, "data"))]
    yield "data digest", _once(data)
    weights = [
        f"{record['weights']} ({digest[:12]})"
        for record in records
        if (digest := _digest(record, "weights")) not in ("", "none") and record.get("weights")
    ]
    yield "weights", _once(weights)
    commits = [
        f"{commit['id'][:12]}{' (modified)' if commit.get('modified') else ''}"
        for record in records
        if (commit := record.get("commit"))
    ]
    yield "commit", _once(commits)
    yield "split", splits_of(runs)
    for key in ("partition", "seed"):
        numbers = {int(number) for run in runs for number in run.table[key].unique()}
        yield f"{key}s", [str(number) for number in sorted(numbers)]
    yield "other tools' tables", _once([run.name for run in runs if run.folder is None])


def _digest(record: Mapping[str, Any], key: str) -> str:
    return str(record.get("digests", {}).get(key) or "")


def _once(values: Sequence[str]) -> list[str]:
    return sorted(set(values))
