"""Inner folds choose epochs and threshold; then one fit on the whole training part is tested."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from casting_inspect.data.manifest import COLUMNS as MANIFEST
from casting_inspect.data.module import CastingDataModule
from casting_inspect.evaluation.predictions import BAND, COLUMNS
from casting_inspect.files import replace_json
from casting_inspect.training.fitting import Fitted, Fitter, Rows
from casting_inspect.training.run_folder import RunFolder

Scores = Mapping[int, float]
"""The log-odds of normal by row."""


@dataclass(frozen=True)
class Plan:
    """The rows of one run, as positions in the data module's table.

    Attributes:
        train: The whole training part.
        watch: The single validation part, empty where inner folds take its place.
        inner: The part of ``train`` that each inner fold holds out; none: a single validation
            part or nothing chooses.
        test: The test part.
    """

    train: Rows
    watch: Rows
    inner: tuple[Rows, ...]
    test: Rows


@dataclass(frozen=True)
class InnerFit:
    """One inner fold: the epoch that was best on what it held out, and the scores of that.

    Attributes:
        best_epoch: From 1.
        epochs: How many were run.
        scores: The log-odds of normal by row.
    """

    best_epoch: int
    epochs: int
    scores: dict[int, float]


def plan_of(data: CastingDataModule) -> Plan:
    """Return the rows that a data module's split gives to each part."""
    inner = tuple(data.inner_rows(number) for number in range(data.inner_folds))
    return Plan(data.rows("train"), data.rows("val"), inner, data.rows("test"))


def fit_inner_folds(
    plan: Plan, fitter: Fitter, folder: RunFolder, say: Callable[[str], None]
) -> list[InnerFit]:
    """Fit each inner fold on the rest of the training part; what is done already is read.

    Each fit has the folder ``inner/<number>``: history, events, and ``fit.json`` when it is done;
    its checkpoints go then, for nothing needs them any more.

    Args:
        plan: The rows.
        fitter: What is fitted.
        folder: The run's folder.
        say: Prints a line.
    """
    done = []
    for number, held in enumerate(plan.inner):
        where = folder.inner(number)
        fit = _read_fit(where / "fit.json")
        if fit is None:
            rest = np.setdiff1d(plan.train, held)
            of = f"{number + 1} of {len(plan.inner)}"
            say(f"inner fold {of}: {len(rest)} train, {len(held)} held out")
            fitted = fitter.fit(rest, held, None, where)
            fit = InnerFit(fitted.best_epoch, fitted.epochs, fitted.score(held))
            replace_json(where / "fit.json", asdict(fit))
        shutil.rmtree(where / "checkpoints", ignore_errors=True)
        done.append(fit)
    return done


def _read_fit(path: Path) -> InnerFit | None:
    """Return a finished inner fit: JSON gives every float back as it was."""
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    scores = {int(row): float(value) for row, value in found["scores"].items()}
    return InnerFit(found["best_epoch"], found["epochs"], scores)


def median_epochs(best: Sequence[int]) -> int:
    """Return the median of best epochs, halves up, at least 1."""
    return max(1, int(np.floor(np.median(best) + 0.5)))


def refit(plan: Plan, fitter: Fitter, folder: RunFolder, epochs: int, shown: Rows | None) -> Fitted:
    """Fit on the whole training part for so many epochs; nothing is watched."""
    return fitter.fit(plan.train, None, epochs, folder.root, shown=shown)


def inner_history(folder: RunFolder) -> pd.DataFrame | None:
    """Return the mean over the inner fits of each epoch's figures, or None without any.

    Late epochs are means over those fits that got so far.
    """
    tables = [pd.read_csv(path) for path in sorted(folder.root.glob("inner/*/history.csv"))]
    if not tables:
        return None
    pooled = pd.concat(tables, ignore_index=True)
    return pooled.groupby(["epoch", "split"], as_index=False, sort=True).mean()


def further_columns(manifest: pd.DataFrame) -> list[str]:
    """Return the columns of a manifest that nothing here knows: shift, camera, size of the defect.

    They go into the predictions table as they are, for rates by slice; a name that has a meaning
    there is left out.
    """
    known = {*MANIFEST, "inner", *COLUMNS, BAND}
    return [name for name in manifest.columns if name not in known]


def predictions_table(
    data: CastingDataModule,
    parts: Sequence[tuple[str, str, Scores]],
    constants: Mapping[str, Any],
) -> pd.DataFrame:
    """Return a predictions table, without thresholds: one row a scored file, part after part.

    Args:
        data: The pictures.
        parts: Split, inner fold (empty for none) and scores of each part.
        constants: Columns that are the same for all rows: ``fold``, ``seed``, ``model``,
            ``partition``.
    """
    tables = []
    for split, inner, scores in parts:
        rows = np.fromiter(scores, dtype=np.int64)
        log_odds = np.fromiter(scores.values(), dtype=np.float64)
        table = data.frame.iloc[rows][["path", "label", "group"]].reset_index(drop=True)
        table["split"], table["inner"] = split, inner
        table["p_normal"] = 1 / (1 + np.exp(-log_odds))
        table["logit"] = log_odds
        for column in ("lot", "part", "capture", "kind", "group_wide"):
            known = column in data.frame
            table[column] = data.frame[column].iloc[rows].to_numpy() if known else ""
        for column in further_columns(data.frame):
            table[column] = data.frame[column].iloc[rows].to_numpy()
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    # without groups every file is its own
    table["group"] = table["group"].where(table["group"] != "", table["path"])
    return table.assign(**constants)
