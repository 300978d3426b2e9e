"""From a predictions table to metrics and figures in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from casting_inspect.errors import UserError
from casting_inspect.evaluation import figures
from casting_inspect.evaluation.consequences import consequences
from casting_inspect.evaluation.metrics import all_metrics
from casting_inspect.evaluation.predictions import complete_predictions, read_predictions
from casting_inspect.evaluation.reliability import reliability
from casting_inspect.evaluation.reliability_figure import reliability_figure
from casting_inspect.evaluation.review_figures import verdict_counts
from casting_inspect.evaluation.slices import SLICES, slices
from casting_inspect.evaluation.tables import reported_split
from casting_inspect.evaluation.terms import Terms
from casting_inspect.files import replace_csv, replace_json

BESIDE = ("leak", "floors", "second_look")
"""What a run measured of its split; figures of its table are not shown without it."""


def notes_beside(predictions: Path) -> dict[str, Any]:
    """Return what the run that wrote a predictions table knows of its split's leak.

    Args:
        predictions: A table; its run's ``metrics.json`` lies in the same folder.

    Returns:
        The keys of `BESIDE` that are there; nothing where the file is not a run's, or counts other
        files than the table has.
    """
    try:
        found = json.loads((predictions.parent / "metrics.json").read_text(encoding="utf-8"))
        notes = {key: found[key] for key in BESIDE if key in found}
        counted = {(look["part"], look["of"]) for key, look in notes.items() if key != "floors"}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    files = read_predictions(predictions).groupby("split")["path"].nunique()
    return notes if all(files.get(part, 0) == of for part, of in counted) else {}


def terms_beside(predictions: Path) -> dict[str, Any]:
    """Return the terms of the run that wrote a predictions table, as far as they are known."""
    try:
        found = json.loads((predictions.parent / "metrics.json").read_text(encoding="utf-8"))
        return dict(found["terms"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def evaluate_predictions(
    frame_or_path: pd.DataFrame | Path,
    out: Path,
    notes: Mapping[str, Any] | None = None,
    terms: Terms = Terms(),  # noqa: B008 (frozen)
) -> dict[str, Any]:
    """Write what a predictions table of one model shows, and return its metrics.

    ``metrics.json`` has every split present; ``confusion.png``, ``roc.png``,
    ``precision_recall.png``, ``scores.png`` and ``reliability.png`` show the test split, else
    validation, else training; so does ``slices.csv`` (``slices.FIELDS``), where a
    column tells slices apart. Each file is written in one step.

    Args:
        frame_or_path: A predictions table (see ``predictions.read_predictions``) or its file.
        out: The folder to write to; made when missing.
        notes: What else is known of the run; added to ``metrics.json`` beside the splits.
        terms: What is asked for; ``metrics.json`` has them as ``terms``.

    Returns:
        What ``metrics.all_metrics`` returns, each split with what ``consequences`` adds, then the
        terms and the notes.

    Raises:
        UserError: If the table is wrong, holds several models, or ``out`` is not a folder.
    """
    if isinstance(frame_or_path, pd.DataFrame):
        table, where = complete_predictions(frame_or_path), "predictions"
    else:
        table, where = read_predictions(Path(frame_or_path)), str(frame_or_path)
    models = sorted(table["model"].unique())
    if len(models) > 1:
        raise UserError(
            f"{where}: holds {len(models)} models ({', '.join(models)}) in column 'model'; "
            "figures of several models do not mix: evaluate one table a model."
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; name a folder for the results.")
    metrics: dict[str, Any] = {**all_metrics(table)}
    for name, figures_of_split in metrics.items():
        of_split = table[table["split"] == name]
        figures_of_split |= consequences(of_split, figures_of_split, terms)
    split = reported_split(metrics)
    kept = reliability(table, terms)
    of_slices, told = slices(table, terms)
    metrics |= {"calibration": kept, "slices": told, "terms": terms.plain(), **(notes or {})}
    rows = table[table["split"] == split]
    figures.save_figure(figures.confusion_figure(verdict_counts(rows)), out / "confusion.png")
    figures.save_figure(figures.roc_figure(rows), out / "roc.png")
    figures.save_figure(figures.precision_recall_figure(rows), out / "precision_recall.png")
    figures.save_figure(figures.score_histogram_figure(rows), out / "scores.png")
    figures.save_figure(reliability_figure(kept), out / "reliability.png")
    if len(of_slices):
        replace_csv(out / SLICES, of_slices)
    else:
        (out / SLICES).unlink(missing_ok=True)  # an earlier evaluation's
    replace_json(out / "metrics.json", metrics)
    return metrics
