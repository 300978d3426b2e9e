"""Names for runs of one model with different settings: as short as tells them apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final

from casting_inspect.errors import UserError
from casting_inspect.evaluation.gathering import Run, fits_of_run

_SAME_MODEL: Final = (
    *("model.name", "seed", "resume", "allow_targets", "cache", "logger", "jobs"),
    *("data.root", "data.manifest", "data.fold", "data.partition", "data.workers"),
    *("callbacks.progress_bar", "callbacks.watch_test", "augment.device"),
    *("trainer.accelerator", "trainer.devices", "trainer.log_every_n_steps"),
    *("trainer.compile", "trainer.channels_last", "trainer.deterministic"),
)
"""Settings that do not make another model: which fit it is, where it ran, what it showed."""
_FIRST: Final = ("model", "finetune", "augment", "decide", "data", "optimizer", "scheduler")
"""Where a difference is looked for first: the name says what a reader expects to vary."""


def named(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of each model, by name, in the order of names.

    Runs of one model that differ in a setting are told apart by the fewest settings that do, as
    in ``vgg19 head=gap``.

    Raises:
        UserError: If two runs of one name predict the same file for one fold and seed.
    """
    by_model: dict[str, list[Run]] = {}
    for run in runs:
        by_model.setdefault(run.model, []).append(run)
    pooled: dict[str, list[Run]] = {}
    for model, own in by_model.items():
        for name, run in zip(_names(model, own), own, strict=True):
            pooled.setdefault(name, []).append(run)
    for name, own in pooled.items():
        _check_apart(name, own)
    return dict(sorted(pooled.items()))


def settings(run: Run) -> dict[str, str]:
    """Return what makes a run's model, flat: ``{"model.head": "gap", ...}``; no path but its end.

    Empty for a foreign table; its source tells it apart from runs.
    """
    flat = {key: _plain(value) for key, value in _flattened(run.config) if not _is_same_model(key)}
    if run.record.get("digests", {}).get("weights"):
        # two places of one file are one model, two files of one name are two
        flat["weights digest"] = str(run.record["digests"]["weights"])[:8]
    if not run.config:
        flat["table"] = run.name
    return flat


def _names(model: str, runs: Sequence[Run]) -> list[str]:
    flats = [settings(run) for run in runs]
    if len({run.name for run in runs if not run.config}) > 1 and not any(
        run.config for run in runs
    ):
        flats = [{} for _ in runs]  # several foreign tables of one model: its folds or seeds
    chosen: list[str] = []
    groups = _partition(flats, chosen)
    for key in sorted({key for flat in flats for key in flat}, key=_priority):
        if len(set(groups)) == len({tuple(sorted(flat.items())) for flat in flats}):
            break
        finer = _partition(flats, [*chosen, key])
        if len(set(finer)) > len(set(groups)):
            chosen, groups = [*chosen, key], finer
    short = _shortened(chosen)
    return [" ".join([model, *_words(flat, chosen, short)]) for flat in flats]


def _partition(flats: Sequence[Mapping[str, str]], keys: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(flat.get(key, "") for key in keys) for flat in flats]


def _words(flat: Mapping[str, str], keys: Sequence[str], short: Mapping[str, str]) -> Iterator[str]:
    for key in keys:
        if key in flat:
            yield f"{short[key]}={flat[key]}"


def _shortened(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each key, or all of it where last parts are the same."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: end if last.count(end) == 1 else key for key, end in zip(keys, last, strict=True)}


def _priority(key: str) -> tuple[int, str]:
    if key == "table":
        return (-1, key)
    head = key.partition(".")[0]
    return (_FIRST.index(head) if head in _FIRST else len(_FIRST), key)


def _is_same_model(key: str) -> bool:
    return any(key == one or key.startswith(f"{one}.") for one in _SAME_MODEL)


def _flattened(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return PureWindowsPath(PurePosixPath(value).name).name or value
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _check_apart(name: str, runs: Sequence[Run]) -> None:
    seen: dict[tuple[int, int, int], str] = {}
    for run in runs:
        for (partition, fold, seed), _ in fits_of_run(run):
            other = seen.setdefault((partition, fold, seed), run.name)
            if other != run.name:
                raise UserError(
                    f"{other} and {run.name} are both {name} with partition {partition}, fold "
                    f"{fold}, seed {seed}: take one of them away."
                )
