"""Runs below folders and tables of other tools, read, and refused where they cannot be compared."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import yaml  # type: ignore[import-untyped]

from casting_inspect.errors import UserError
from casting_inspect.evaluation.predictions import complete_predictions, read_predictions

_UNNAMED: Final = "model"
"""What ``read_predictions`` calls a model that a table does not name."""
_SHOWN_DIGITS: Final = 12
_MARKS: Final = ("predictions.csv", "run.json", "status.json", "train.log")
"""Any of these makes a folder a run's, if only one that failed early."""
_NUMBERS: Final = ("fold", "seed", "p_normal", "partition", "threshold", "logit")


@dataclass(frozen=True)
class Run:
    """One run folder, or one model of a foreign table.

    Attributes:
        name: Its folder, seen from the folder that was named; or the table's file name.
        folder: Where it lies; None for a foreign table.
        model: What the predictions call the model.
        table: Its test rows, complete, with ``group`` and ``group_wide`` filled.
        config: ``config.yaml``; empty for a foreign table.
        record: ``run.json``; empty for a foreign table.
        metrics: ``metrics.json``; empty for a foreign table.
    """

    name: str
    folder: Path | None
    model: str
    table: pd.DataFrame
    config: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Gathered:
    """What was found.

    Attributes:
        runs: Everything that can be compared, in the order of names.
        left_out: ``(name, reason)`` of what was found and is not compared.
    """

    runs: tuple[Run, ...]
    left_out: tuple[tuple[str, str], ...]


def gather(sources: Sequence[Path]) -> Gathered:
    """Read every run below folders, and every foreign table named, and check their ground.

    A run folder holds a record, a log or predictions; what lies inside one, such as its
    folds, is part of it. Runs that did not finish, or have no test row, are left out and listed.

    Args:
        sources: Folders, searched to any depth, and CSV files.

    Raises:
        UserError: If nothing is found, a table is wrong, or test files, labels, groups or data
            digests differ.
    """
    runs: list[Run] = []
    left_out: list[tuple[str, str]] = []
    for source in sources:
        if source.is_dir():
            for folder in run_folders(source):
                name = os.path.relpath(folder, source) if folder != source else source.name
                found = _read_run(folder, Path(name).as_posix())
                if isinstance(found, Run):
                    runs.append(found)
                else:
                    left_out.append((Path(name).as_posix(), found))
        elif source.is_file():
            runs += _read_foreign(source)
        else:
            raise UserError(f"{source}: no such folder or file; runs=DIR names a multirun's.")
    if not runs:
        where = ", ".join(str(source) for source in sources)
        more = f" ({left_out[0][0]}: {left_out[0][1]})" if left_out else ""
        raise UserError(f"{where}: no finished run with test predictions found{more}.")
    runs = _with_adopted_groups(runs)
    check_digests(runs)
    check_test_files(runs)
    return Gathered(tuple(runs), tuple(left_out))


def run_folders(root: Path) -> Iterator[Path]:
    """Yield the outermost run folders at or below ``root``, sorted by name at every level."""
    if any((root / mark).is_file() for mark in _MARKS):
        yield root
        return
    for child in sorted(root.iterdir(), key=lambda path: _natural(path.name)):
        if child.is_dir() and not child.is_symlink() and not child.name.startswith("."):
            yield from run_folders(child)


def _natural(name: str) -> tuple[int, int, str]:
    """Sort ``10_cnn`` after ``9_cnn``."""
    number, _, rest = name.partition("_")
    return (0, int(number), rest) if number.isdecimal() else (1, 0, name)


def _read_run(folder: Path, name: str) -> Run | str:
    """Return a run, or why it is left out."""
    record = _json(folder / "run.json")
    status = record.get("status", "finished")
    if status != "finished":
        return f"not finished (status: {status})"
    path = folder / "predictions.csv"
    if not path.is_file():
        return "no predictions.csv: failed, or nothing was measured"
    table = _test_rows(_own_predictions(path))
    if table.empty:
        return "no test rows in predictions.csv"
    models = sorted(table["model"].unique())
    if len(models) > 1:
        raise UserError(f"{path}: holds {len(models)} models; name it as a table, runs={path}.")
    text = folder / "config.yaml"
    config = yaml.safe_load(text.read_text(encoding="utf-8")) if text.is_file() else {}
    metrics = _json(folder / "metrics.json")
    return Run(name, folder, str(models[0]), table, config or {}, record, metrics)


def _own_predictions(path: Path) -> pd.DataFrame:
    """Read the test rows of a table of ours; nested runs have many others, left out unchecked."""
    try:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        kept = cells[(cells["split"] == "test") & (cells["inner"] == "")]
        numbers = {name: kept[name].to_numpy(dtype=object).astype(np.float64) for name in _NUMBERS}
        kept = kept.assign(**numbers)
    except (ValueError, KeyError, OSError):  # not ours after all: its own words for what is wrong
        return read_predictions(path)
    return complete_predictions(kept, where=str(path), rows=[int(row) + 2 for row in kept.index])


def _read_foreign(path: Path) -> list[Run]:
    table = _test_rows(read_predictions(path))
    if table.empty:
        raise UserError(f"{path}: no row has split 'test'; leave the column out or fill it in.")
    runs = []
    for model, rows in table.groupby("model", sort=True):
        name = path.stem if model == _UNNAMED else str(model)
        runs.append(Run(path.name, None, name, rows.reset_index(drop=True)))
    return runs


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); run it again or take it away.") from error
    return values if isinstance(values, dict) else {}


def _test_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the test rows of refits, ``group_wide`` filled with ``group`` where it is empty."""
    rows = table[(table["split"] == "test") & (table["inner"] == "")].reset_index(drop=True)
    if "group_wide" not in rows:
        rows["group_wide"] = ""
    rows["group_wide"] = rows["group_wide"].where(rows["group_wide"] != "", rows["group"])
    return rows


def _with_adopted_groups(runs: Sequence[Run]) -> list[Run]:
    """Give tables without any group those of the others, which know the same files."""
    known: dict[str, tuple[str, str]] = {}
    for run in runs:
        if not _without_groups(run.table):
            columns = (run.table[name] for name in ("path", "group", "group_wide"))
            known |= {path: (group, wide) for path, group, wide in zip(*columns, strict=True)}
    if not known:
        return list(runs)
    adopted = []
    for run in runs:
        if _without_groups(run.table) and run.table["path"].isin(known.keys()).all():
            pairs = [known[path] for path in run.table["path"]]
            group, wide = zip(*pairs, strict=True)
            adopted.append(replace(run, table=run.table.assign(group=group, group_wide=wide)))
        else:
            adopted.append(run)
    return adopted


def _without_groups(table: pd.DataFrame) -> bool:
    return bool((table["group"] == table["path"]).all())


def fits_of_run(run: Run) -> Iterator[tuple[tuple[int, int, int], pd.DataFrame]]:
    """Yield partition, fold and seed of each fit with its test rows."""
    keys = ["partition", "fold", "seed"]
    for _, rows in run.table.groupby(keys, sort=True):
        partition, fold, seed = (int(rows[key].iloc[0]) for key in keys)
        yield (partition, fold, seed), rows


def check_digests(runs: Sequence[Run]) -> None:
    """Refuse runs that were made from different data.

    Raises:
        UserError: If two runs record different digests.
    """
    by_digest: dict[str, list[str]] = {}
    for run in runs:
        digest = run.record.get("digests", {}).get("data")
        if digest:
            by_digest.setdefault(str(digest), []).append(run.name)
    if len(by_digest) > 1:
        listed = "; ".join(
            f"{_few(names)} from data {digest[:_SHOWN_DIGITS]}"
            for digest, names in by_digest.items()
        )
        raise UserError(
            f"the runs were made from different data: {listed}. Compare runs of one data set."
        )


def check_test_files(runs: Sequence[Run]) -> None:
    """Refuse runs whose test files, labels or groups differ in a fold of a partition.

    A partition that only some models have is allowed; a fold that only some have is not.

    Raises:
        UserError: At the first difference: which runs, how many files, one of them.
    """
    first: dict[tuple[int, int], tuple[str, pd.DataFrame]] = {}
    folds: dict[tuple[str, int], set[int]] = {}
    for run in runs:
        columns = ["path", "label", "group", "group_wide"]
        for (partition, fold, _), rows in fits_of_run(run):
            place = (partition, fold)
            own = rows[columns].sort_values("path", ignore_index=True)
            folds.setdefault((run.model, place[0]), set()).add(place[1])
            name, expected = first.setdefault(place, (run.name, own))
            if not own.equals(expected):
                reason = _difference(expected, own, name, run.name)
                raise UserError(f"partition {place[0]}, fold {place[1]}: {reason}")
    for (model, partition), own_folds in folds.items():
        for (other, same), other_folds in folds.items():
            lacking = sorted(other_folds - own_folds)
            if same == partition and lacking:
                raise UserError(
                    f"partition {partition}: {model} has no test predictions of fold "
                    f"{', '.join(map(str, lacking))}, {other} has; finish the runs or leave "
                    f"fold {', '.join(map(str, lacking))} out."
                )


def _difference(expected: pd.DataFrame, own: pd.DataFrame, first: str, second: str) -> str:
    both = f"{first} and {second}"
    apart = sorted(set(expected["path"]) ^ set(own["path"]))
    if apart:
        return (
            f"the test files of {both} differ in {len(apart):,} files (such as {apart[0]}); "
            "compare runs of the same split."
        )
    for column, word in (("label", "label"), ("group", "group"), ("group_wide", "wide group")):
        other = (expected[column] != own[column]).to_numpy()
        if other.any():
            path = expected["path"].to_numpy()[other][0]
            return (
                f"{both} disagree on the {word} of {int(other.sum()):,} test files (such as "
                f"{path}); use one manifest for all."
            )
    return f"{second} lists a test file twice."


def _few(names: Sequence[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
