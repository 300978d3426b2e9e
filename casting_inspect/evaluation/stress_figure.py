"""Escapes and overkills against the strength of each change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from casting_inspect.evaluation.figure_style import (
    BLUE,
    GREY,
    ORANGE,
    blank,
    percent_axis,
    style,
)
from casting_inspect.evaluation.stress import UNCHANGED

_LOOKS: Final = {
    "escape": ("defective that pass", ORANGE, "o", "-"),
    "overkill": ("good ones rejected", BLUE, "s", "--"),
}
_ACROSS: Final = 3


def stress_figure(table: pd.DataFrame, points: Mapping[str, Mapping[str, Any] | None]) -> Figure:
    """Draw a panel a kind of change: rates by group with limits, and where an error has risen.

    Args:
        table: What ``stress_table`` returns.
        points: What ``breaking_points`` returns.
    """
    start = table[table["kind"] == UNCHANGED]
    down = -(-len(points) // _ACROSS)
    with style():
        figure = blank(3.4 * _ACROSS, 2.7 * down + 0.4)
        panels = figure.subplots(down, _ACROSS, sharey=True, squeeze=False).ravel()
        for axes, (kind, point) in zip(panels, points.items(), strict=False):
            rows = pd.concat([start, table[table["kind"] == kind]], ignore_index=True)
            _panel(axes, rows, point)
            axes.set_title(kind, fontsize=10.5)
            axes.set_xlabel(rows["unit"].iloc[-1], fontsize=9)
        for axes in panels[len(points) :]:
            axes.set_axis_off()
        panels[0].set_ylim(-0.03, 1.03)
        panels[0].yaxis.set_major_formatter(percent_axis())
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=3)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, point: Mapping[str, Any] | None) -> None:
    places = range(len(rows))
    for error, (words, colour, marker, line) in _LOOKS.items():
        rates = rows[f"{error}_rate"].to_numpy(np.float64)
        low, high = (rows[f"{error}_{end}"].to_numpy(np.float64) for end in ("low", "high"))
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(
            places,
            rates,
            color=colour,
            marker=marker,
            linestyle=line,
            label=words,
            markersize=4,
        )
    if point is not None:
        axes.axvline(point["level"], color=GREY, linewidth=1, linestyle=":")
        axes.annotate(
            "risen",
            (point["level"], 0.97),
            fontsize=8.5,
            color=GREY,
            ha="right",
            va="top",
            xytext=(-3, 0),
            textcoords="offset points",
        )
    axes.set_xticks(list(places), ["as is", *(f"{s:g}" for s in rows["strength"].iloc[1:])])
    axes.tick_params(axis="x", labelsize=8.5)
