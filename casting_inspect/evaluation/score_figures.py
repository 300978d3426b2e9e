"""Figures of the scores of one split: ROC, precision against recall, histogram by class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from casting_inspect.evaluation.figure_style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SHADE,
    blank,
    percent_axis,
    style,
)
from casting_inspect.evaluation.metrics import (
    auroc,
    confusion_counts,
    file_figures,
    fits_of,
    truths,
)
from casting_inspect.evaluation.predictions import BAND
from casting_inspect.evaluation.review_figures import three_verdicts

_Points = tuple[NDArray[np.float64], NDArray[np.float64]]
_Curve = Callable[[NDArray[np.bool_], NDArray[np.float64]], _Points]
_ENLARGED: Final = 0.1
"""Where errors are below this share, the corner of no errors is drawn once more, enlarged."""
_TALL: Final = 20
"""Higher bars are drawn on a logarithmic scale, on which a single file can still be seen."""


def roc_figure(frame: pd.DataFrame) -> Figure:
    """Draw one ROC curve a trained model, normal as positive, and the point in use.

    Args:
        frame: Rows of one split of a complete predictions table.
    """

    def curve(normal: NDArray[np.bool_], logit: NDArray[np.float64]) -> _Points:
        from sklearn.metrics import roc_curve

        escape, passing, _ = roc_curve(normal, logit, drop_intermediate=False)
        return escape, passing

    with style():
        figure = blank(5.6, 5.2)
        axes = figure.subplots()
        areas = _draw_fits(axes, frame, curve, "default")
        _shares(axes, "defective files that pass (escape rate)", "normal files that pass (recall)")
        axes.set_title("ROC curve by file" + _area(areas))
        if areas:
            axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="chance")
            rates = file_figures(confusion_counts(frame))
            _mark(axes, (rates["escape_rate"], rates["recall"]), (0.0, 1.0))
            axes.legend(loc="lower right")
    return figure


def precision_recall_figure(frame: pd.DataFrame) -> Figure:
    """Draw one precision-recall curve a trained model, normal as positive, and the point in use.

    Args:
        frame: Rows of one split of a complete predictions table.
    """

    def curve(normal: NDArray[np.bool_], logit: NDArray[np.float64]) -> _Points:
        from sklearn.metrics import precision_recall_curve

        precision, recall, _ = precision_recall_curve(normal, logit)
        return recall, precision

    with style():
        figure = blank(5.6, 5.2)
        axes = figure.subplots()
        areas = _draw_fits(axes, frame, curve, "steps-post")
        _shares(axes, "normal files that pass (recall)", "passed files that are normal (precision)")
        axes.set_title("Precision and recall of normal, by file")
        if areas:
            share = float(truths(frame).mean())
            label = "everything passes"
            axes.plot([0, 1], [share, share], color=GREY, linewidth=1, linestyle=":", label=label)
            rates = file_figures(confusion_counts(frame))
            _mark(axes, (rates["recall"], rates["precision"]), (1.0, 1.0))
            axes.legend(loc="lower left")
    return figure


def score_histogram_figure(frame: pd.DataFrame) -> Figure:
    """Draw how the scores of each class are spread, the threshold, and what errs across it.

    With two thresholds what lies between them is a person's and no error.

    Args:
        frame: Rows of one split of a complete predictions table.
    """
    normal, scores = truths(frame), frame["p_normal"].to_numpy(np.float64)
    verdict = three_verdicts(frame)
    looks = bool(np.any(verdict == -1))
    to_pass, to_reject = _span(frame["threshold"]), _span(frame[BAND if looks else "threshold"])
    titles = [
        f"{name}: {np.count_nonzero(of & (verdict == wrong)):,} of {of.sum():,} {words}"
        + (f", {np.count_nonzero(of & (verdict == -1)):,} left to a person" if looks else "")
        for name, of, wrong, words in (
            ("normal", normal, 0, "rejected (overkill)"),
            ("defective", ~normal, 1, "pass (escape)"),
        )
    ]
    with style():
        figure = blank(6.8, 5.0)
        upper, lower = figure.subplots(2, 1, sharex=True, sharey=True)
        _histogram(upper, scores[normal], BLUE, (0.0, to_reject[1]))
        _histogram(lower, scores[~normal], ORANGE, (to_pass[0], 1.0))
        for axes, words, colour in zip((upper, lower), titles, (BLUE, ORANGE), strict=True):
            for edge in {*to_pass, *to_reject}:
                axes.axvline(edge, color=INK, linewidth=1.2, linestyle="--")
            axes.set_title(words, fontsize=10, color=colour, pad=5)
        if upper.get_ylim()[1] > _TALL:
            _logarithmic(upper, lower)
        words = f"p_normal; above the threshold ({_words(to_pass)}) a part passes"
        words += f", up to {_words(to_reject)} it is rejected;\n" if looks else "; "
        words += "shaded: the wrong side"
        lower.set(xlim=(0, 1), xlabel=words)
        figure.suptitle("Scores by class", x=0.01, ha="left", fontsize=11.5, fontweight="bold")
    return figure


def _span(thresholds: pd.Series) -> tuple[float, float]:
    """Return the lowest and the highest, from 0: below that is no score."""
    return max(0.0, float(thresholds.min())), max(0.0, float(thresholds.max()))


def _words(span: tuple[float, float]) -> str:
    low, high = span
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def _draw_fits(
    axes: Axes, frame: pd.DataFrame, curve: _Curve, drawstyle: Literal["default", "steps-post"]
) -> list[float]:
    """Draw a curve of each fit with both classes and return their areas under the ROC curve."""
    normal, logit, fits = truths(frame), frame["logit"].to_numpy(np.float64), fits_of(frame)
    several = bool(fits.max() > 0)
    areas: list[float] = []
    for fit in range(int(fits.max()) + 1):
        here = fits == fit
        area = float(auroc(logit[here], normal[here])[0])
        if np.isnan(area):
            continue
        axes.plot(
            *curve(normal[here], logit[here]),
            color=BLUE,
            alpha=0.45 if several else None,
            linewidth=1.2 if several else 1.8,
            drawstyle=drawstyle,
            label="_" if areas else "a line a trained model" if several else "model",
        )
        areas.append(area)
    if not areas:
        reason = "undefined: it takes files of both classes"
        axes.text(0.5, 0.5, reason, ha="center", va="center", color=GREY)
    return areas


def _area(areas: list[float]) -> str:
    if not areas:
        return ""
    words = f"mean area of {len(areas)} models" if len(areas) > 1 else "area"
    return f", {words} {np.mean(areas):.4f}"


def _shares(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1.005), xlabel=xlabel, ylabel=ylabel, aspect="equal")
    axes.xaxis.set_major_formatter(percent_axis())
    axes.yaxis.set_major_formatter(percent_axis())


def _mark(
    axes: Axes, point: tuple[float | None, float | None], corner: tuple[float, float]
) -> None:
    """Mark the point in use and, when it lies near the corner of no errors, enlarge that corner."""
    x, y = point
    if x is None or y is None:
        return
    look: dict[str, Any] = {"marker": "o", "markersize": 8, "markeredgecolor": "white"}
    look |= {"color": ORANGE, "linestyle": "none", "clip_on": False, "zorder": 5}
    axes.plot([x], [y], label="at the threshold in use", **look)
    if max(abs(x - corner[0]), abs(y - corner[1])) > _ENLARGED:
        return
    # a white sheet under the inset, or lines of the figure run through its labels
    sheet = Rectangle((0.17, 0.25), 0.68, 0.63, transform=axes.transAxes, color="white", zorder=3)
    axes.add_patch(sheet)
    inset = axes.inset_axes((0.3, 0.32, 0.5, 0.5), zorder=4)
    for line in axes.get_lines()[:-1]:
        inset.plot(*line.get_data(), color=line.get_color(), linewidth=line.get_linewidth())
        inset.get_lines()[-1].set(
            linestyle=line.get_linestyle(), alpha=line.get_alpha(), drawstyle=line.get_drawstyle()
        )
    inset.plot([x], [y], **look)
    _shares(inset, "", "")
    sides = (0.0, _ENLARGED) if corner[0] == 0.0 else (1.0 - _ENLARGED, 1.0)
    inset.set(xlim=sides, ylim=(1.0 - _ENLARGED, 1.0))
    inset.set_title("the corner, enlarged", fontsize=9.5, fontweight="normal", color=GREY, pad=7)
    inset.tick_params(labelsize=8.5)


def _histogram(
    axes: Axes, scores: NDArray[np.float64], colour: str, wrong: tuple[float, float]
) -> None:
    axes.hist(scores, bins=np.linspace(0.0, 1.0, 51).tolist(), color=colour)
    axes.axvspan(*wrong, color=SHADE, linewidth=0, zorder=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("files")


def _logarithmic(*panels: Axes) -> None:
    for axes in panels:
        axes.set_yscale("log", nonpositive="clip")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.minorticks_off()
        axes.set_ylabel("files (log scale)")
    panels[0].set_ylim(0.7, panels[0].get_ylim()[1] * 1.3)
