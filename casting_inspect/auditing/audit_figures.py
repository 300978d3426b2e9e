"""Figures of the audit's page: sizes of groups, grey values, the map of the pictures."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from numpy.typing import NDArray

from casting_inspect.data.folds import classes_of, units_of
from casting_inspect.evaluation.figure_style import BLUE, GREY, ORANGE, blank, style

COLOURS: Final = {"normal": BLUE, "defective": ORANGE}
COLOURED: Final = 24
"""Groups with a colour of their own on the map; the others are grey."""
_DOTS_PER_INCH: Final = 130


def png(figure: Figure) -> bytes:
    """Return a figure as PNG; the same figure gives the same bytes."""
    stream = io.BytesIO()
    with style():
        figure.savefig(stream, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return stream.getvalue()


def sizes_figure(frame: pd.DataFrame) -> Figure:
    """Draw the files of every group, the largest first, one panel a class."""
    table = frame.assign(unit=units_of(frame)).sort_values(["sha256", "path"])
    classes, sizes = classes_of(table), table.groupby("unit").size()
    with style():
        figure = blank(8.4, 2.9)
        panels = figure.subplots(1, 2, sharey=True)
        for panel, (label, colour) in zip(panels, COLOURS.items(), strict=True):
            mine = np.sort(sizes[classes.index[classes == label]].to_numpy())[::-1]
            panel.bar(np.arange(1, len(mine) + 1), mine, width=1.0, color=colour, linewidth=0)
            panel.set_title(f"{len(mine):,} {label} group{'' if len(mine) == 1 else 's'}")
            panel.set_xlabel("groups, the largest first")
            panel.set_yscale("log")
            panel.set_ylim(bottom=0.8)
            panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            panel.grid(axis="x", visible=False)
        panels[0].set_ylabel("files (log scale)")
    return figure


def grey_figure(frame: pd.DataFrame, mean_grey: NDArray[np.float32]) -> Figure:
    """Draw the mean grey value of files by class: what light alone tells."""
    low, high = float(mean_grey.min()) - 0.5, float(mean_grey.max()) + 0.5
    edges = np.linspace(low, high, 41).tolist()
    with style():
        figure = blank(8.4, 2.9)
        panel = figure.subplots()
        for label, colour in COLOURS.items():
            mine = mean_grey[(frame["label"] == label).to_numpy()]
            if len(mine):
                weights = np.full(len(mine), 1 / len(mine))
                panel.hist(mine, edges, weights=weights, color=colour, alpha=0.55, label=label)
        panel.set_xlabel("mean grey value of a file, 0 black to 255 white")
        panel.set_ylabel("share of the class")
        panel.legend()
    return figure


def map_figure(frame: pd.DataFrame, place: NDArray[np.float64]) -> Figure:
    """Draw the map twice: coloured by label and by group.

    Args:
        frame: The rows on the map.
        place: Their coordinates, (n, 2).
    """
    sizes = frame["group_wide"].value_counts()
    largest = sorted(sizes.index, key=lambda name: (-sizes[name], name))[:COLOURED]
    tones = [
        hsv_to_rgb((at * 0.618 % 1, 0.55 + 0.4 * (at % 2), 0.9 - 0.25 * (at % 3 == 2)))
        for at in range(len(largest))
    ]
    with style():
        figure = blank(8.4, 4.4)
        left, right = figure.subplots(1, 2)
        for label, colour in COLOURS.items():
            here = (frame["label"] == label).to_numpy()
            left.scatter(*place[here].T, s=7, color=colour, linewidths=0, alpha=0.8, label=label)
        left.set_title("by label")
        left.legend(markerscale=2.5, loc="upper right")
        group = frame["group_wide"].to_numpy()
        rest = ~np.isin(group, largest)
        right.scatter(*place[rest].T, s=7, color=GREY, linewidths=0, alpha=0.5)
        for name, tone in zip(largest, tones, strict=True):
            right.scatter(*place[group == name].T, s=7, color=[tone], linewidths=0)
        right.set_title("by group")
        for panel in (left, right):
            panel.set_xticks([])
            panel.set_yticks([])
            panel.spines[:].set_visible(False)
            panel.grid(visible=False)
    return figure
