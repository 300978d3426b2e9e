"""The figure of a comparison: escape rate against overkill rate, both with their intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from casting_inspect.evaluation.contenders import Contender
from casting_inspect.evaluation.figure_style import GREY, blank, percent_axis, style

_COLOURS: Final = ("#222222", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C6D00", "#56B4E9")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
_LEVELS: Final = (0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.6)
_LEAST: Final = 0.02
"""The axes reach this far at least, however small the errors."""


def escape_overkill_figure(contenders: Sequence[Contender]) -> Figure:
    """Draw each model's escape rate over its overkill rate by group, with 95 % intervals.

    Lines join points of equal balanced accuracy. Models without one of the classes have no point.

    Args:
        contenders: In the order of the legend, the reference first.
    """
    with style():
        figure = blank(8.6, 5.4)
        axes = figure.subplots()
        reach = _LEAST
        for number, one in enumerate(contenders):
            point = [one.figures[f"{key}_rate_by_group"] for key in ("overkill", "escape")]
            if any(figure_["value"] is None for figure_ in point):
                continue
            reach = max(reach, *(figure_["high"] for figure_ in point))
            (x, y), sides = (
                [figure_["value"] for figure_ in point],
                [
                    [[figure_["value"] - figure_["low"]], [figure_["high"] - figure_["value"]]]
                    for figure_ in point
                ],
            )
            axes.errorbar(
                *(x, y),
                xerr=sides[0],
                yerr=sides[1],
                fmt=_MARKERS[number % len(_MARKERS)],
                color=_COLOURS[number % len(_COLOURS)],
                elinewidth=1.0,
                capsize=2.5,
                markersize=7.5,
                markeredgecolor="white",
                label=_label(one, reference=number == 0),
            )
        limit = min(1.0, 1.04 * reach)
        _equal_lines(axes, limit)
        axes.set(xlim=(0.0, limit), ylim=(0.0, limit), aspect="equal")
        axes.set_xlabel("overkill rate by group (good parts rejected)")
        axes.set_ylabel("escape rate by group (defective parts passed)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(percent_axis(None))
        if axes.containers:
            axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0.0)
        axes.set_title("Lower left is better")
    return figure


def _label(one: Contender, *, reference: bool) -> str:
    role = "\n(reference)" if reference else ""
    dollar = r"\$"  # matplotlib would begin a formula
    words = "\n".join(textwrap.wrap(one.name, 26, break_on_hyphens=False)) or one.name
    # matplotlib leaves labels that begin with an underscore out of the legend
    return f"{' ' * words.startswith('_')}{words.replace('$', dollar)}{role}"


def _equal_lines(axes: Axes, limit: float) -> None:
    """Draw lines of equal balanced accuracy: escape + overkill = 2 (1 - balanced accuracy)."""
    drawn = 0.0
    for level in _LEVELS:
        both = 2.0 * (1.0 - level)
        if both < max(0.3 * limit, drawn + 0.25 * limit) or both > 1.8 * limit:
            continue
        drawn = both
        axes.plot([0.0, both], [both, 0.0], color="#D9D9D9", linewidth=1.0, zorder=0)
        # inside at the top, or at the right for the lines that leave there
        end = (max(both - limit, 0.0), min(both, limit))
        axes.annotate(
            f"balanced accuracy {level:g}",
            end,
            xytext=(7, -5) if both > limit else (5, -3),
            textcoords="offset points",
            rotation=-45,
            rotation_mode="anchor",
            va="bottom",
            fontsize=8,
            color=GREY,
        )
