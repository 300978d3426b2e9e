"""Writes report.html, acceptance.html and model_card.md of a run, or of another tool's table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from casting_inspect.evaluation.report.acceptance_page import write_acceptance
from casting_inspect.evaluation.report.card import model_card
from casting_inspect.evaluation.report.sections import page_values
from casting_inspect.evaluation.report.sources import read_source
from casting_inspect.files import replace_text
from casting_inspect.page import render

REPORT = "report.html"
CARD = "model_card.md"


def write_report(
    out: Path,
    predictions: Path | None = None,
    table: pd.DataFrame | None = None,
    limits: Mapping[str, float | None] | None = None,
    root: Path | None = None,
) -> Path:
    """Write the report on what lies in a folder, the acceptance record beside it; return its path.

    Everything on the page is read from files: ``metrics.json`` in ``out``, the predictions table,
    and, as far as they are there, ``run.json``, ``config.yaml``, ``slices.csv``, ``stress.csv``,
    ``heatmaps.csv``, ``neighbours.csv`` and ``history.csv`` in ``out`` or beside the table.

    Args:
        out: A run folder, or what ``evaluate_predictions`` wrote to.
        predictions: The table; None for the run's own.
        table: The same as ``read_predictions`` gave it, where it has been read already.
        limits: ``max_escape`` and ``max_overkill`` agreed on, where they are not the run's own.
        root: Where the pictures are now; None for where the run had them.

    Raises:
        UserError: If the table is wrong.
    """
    source = read_source(out, predictions or out / "predictions.csv", table, limits, root)
    values = page_values(source)
    replace_text(out / REPORT, render("report.html", **values))
    replace_text(out / CARD, model_card(values))
    write_acceptance(source)
    return out / REPORT
