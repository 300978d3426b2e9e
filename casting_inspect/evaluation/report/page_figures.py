"""The figures of a report by name, for the page and for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from casting_inspect.evaluation.figures import curves_figure
from casting_inspect.evaluation.reliability_figure import reliability_figure
from casting_inspect.evaluation.report.rate_figures import (
    rates_figure,
    risk_coverage_figure,
    slices_figure,
)
from casting_inspect.evaluation.report.sources import Source
from casting_inspect.evaluation.report.verdict import asked, error_rates
from casting_inspect.evaluation.score_figures import (
    precision_recall_figure,
    roc_figure,
    score_histogram_figure,
)
from casting_inspect.evaluation.slices import SLICES
from casting_inspect.evaluation.stress import breaking_points
from casting_inspect.evaluation.stress_figure import stress_figure

_SLICE_NUMBERS = ("groups", "rate", "low", "high", "rest_rate", "p_holm")


def page_figures(source: Source) -> dict[str, Figure]:
    """Return the figures in the page's order; one without anything to show is left out.

    Names: ``rates``, ``scores``, ``risk``, ``roc``, ``precision_recall``, ``reliability``,
    ``slices``, ``stress``, ``curves``.
    """
    rows, calibrated = source.rows, source.metrics.get("calibration") or {}
    found = {"rates": rates_figure(_rate_rows(source)), "scores": score_histogram_figure(rows)}
    if rows["label"].nunique() == 2:
        found["risk"] = risk_coverage_figure(rows)
        found["roc"] = roc_figure(rows)
        found["precision_recall"] = precision_recall_figure(rows)
    if calibrated.get("raw"):
        found["reliability"] = reliability_figure(calibrated)
    if (slices := slices_table(source)) is not None:
        found["slices"] = slices_figure(slices)
    if (stressed := stress_table(source)) is not None:
        found["stress"] = stress_figure(stressed, breaking_points(stressed))
    if (history := source.file("history.csv")) is not None:
        found["curves"] = curves_figure(pd.read_csv(history))
    return found


def _rate_rows(source: Source) -> list[tuple[str, str, Mapping[str, Any], float | None]]:
    limits, (escape, overkill) = asked(source), error_rates(source)
    return [
        ("Escape rate", "escape", escape, limits.get("max_escape")),
        ("Overkill rate", "overkill", overkill, limits.get("max_overkill")),
    ]


def slices_table(source: Source) -> pd.DataFrame | None:
    """Return ``slices.csv``, None where no column tells any apart."""
    path = source.file(SLICES)
    if path is None:
        return None
    table = pd.read_csv(path, dtype={"column": str, "value": str}, keep_default_na=False)
    table = table.assign(**{name: pd.to_numeric(table[name]) for name in _SLICE_NUMBERS})
    table["worse"] = table["worse"].astype(str) == "True"
    return table


def stress_table(source: Source) -> pd.DataFrame | None:
    """Return ``stress.csv``, None where the inspector was not put under any."""
    path = source.file("stress.csv")
    if path is None:
        return None
    table = pd.read_csv(path, dtype={"kind": str, "unit": str}, keep_default_na=False)
    for name in table.columns.difference(["kind", "unit"]):
        table[name] = pd.to_numeric(table[name])
    return table
