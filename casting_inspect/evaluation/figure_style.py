"""The one look of all figures, and writing them in one step."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from casting_inspect.files import replacing

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
"""Colours that colour-blind readers tell apart (Okabe and Ito 2008)."""
INK, GREY, SHADE = "#222222", "#6B6B6B", "#F1F1F1"
_DOTS_PER_INCH: Final = 140
_RC: Final[Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "text.color": INK,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "casting_inspect",
}


def style() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn; outside it matplotlib is as it was."""
    return rc_context(_RC)


def blank(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, without pyplot and so without a screen."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def percent_axis(decimals: int | None = 0) -> PercentFormatter:
    """Return a formatter that writes shares from 0 to 1 as percent."""
    return PercentFormatter(1.0, decimals=decimals, symbol=" %")


def save_figure(fig: Figure, path: Path) -> None:
    """Write a figure to ``path`` in one step; the suffix chooses the format (PNG, SVG, PDF)."""
    # neither version nor date in the file: the same figure gives the same bytes
    nameless = {".png": {"Software": None}, ".svg": {"Date": None}}.get(path.suffix.lower())
    with style(), replacing(path) as temporary:
        fig.savefig(temporary, dpi=_DOTS_PER_INCH, metadata=nameless)
