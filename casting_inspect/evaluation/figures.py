"""Figures of an evaluation: the confusion table, training curves, and those of the scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from casting_inspect.evaluation.figure_style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    blank,
    percent_axis,
    save_figure,
    style,
)
from casting_inspect.evaluation.score_figures import (
    precision_recall_figure,
    roc_figure,
    score_histogram_figure,
)

__all__ = [
    "confusion_figure",
    "curves_figure",
    "precision_recall_figure",
    "roc_figure",
    "save_figure",
    "score_histogram_figure",
]

_LOOKS: Final = {
    "train": ("training", BLUE, "-", "o"),
    "val": ("validation", ORANGE, "--", "s"),
    "test": ("test", GREEN, "-.", "^"),
}
_FEW_EPOCHS: Final = 20
"""Up to so many epochs each is a marker too: one epoch alone makes no line."""

_VERDICTS: Final = {
    "passed": "passed as normal",
    "person": "sent to a person",
    "rejected": "rejected as defective",
}
_RIGHT: Final = {"normal": "passed", "defective": "rejected"}
"""The right verdict on each class."""


def confusion_figure(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw the confusion table: rows are the truth, columns the verdict, normal first.

    Each cell shows its count and its share of the row, which is also its colour: blue for right
    verdicts, orange for wrong ones, grey for those that a person gives. Without any of these it is
    a table of two columns.

    Args:
        counts: Of files, {passed, rejected, person: {normal, defective}}, as
            ``review_figures.verdict_counts`` gives them.
    """
    verdicts = [name for name in _VERDICTS if name != "person" or any(counts[name].values())]
    with style():
        figure = blank(1.2 + 2.2 * len(verdicts), 4.9)
        axes = figure.subplots()
        totals = []
        for row, truth in enumerate(_RIGHT):
            of_truth = [counts[name][truth] for name in verdicts]
            totals.append(f"{sum(of_truth):,} files")
            for column, name in enumerate(verdicts):
                _draw_cell(axes, (row, column), (truth, name), of_truth[column], sum(of_truth))
        axes.axhline(1, color="white", linewidth=4)
        for column in range(1, len(verdicts)):
            axes.axvline(column, color="white", linewidth=4)
        axes.set(xlim=(0, len(verdicts)), ylim=(2, 0), aspect="equal")
        axes.set_xlabel("verdict", fontweight="bold", labelpad=8)
        axes.set_ylabel("truth", fontweight="bold", labelpad=8)
        places = [column + 0.5 for column in range(len(verdicts))]
        axes.set_xticks(places, [_VERDICTS[name] for name in verdicts])
        axes.set_yticks([0.5, 1.5], [f"normal\n{totals[0]}", f"defective\n{totals[1]}"])
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title("Confusion table", pad=26)
        axes.text(0, -0.07, "rows = truth, columns = verdict; percent of the row", color=GREY)
    return figure


def curves_figure(history: pd.DataFrame, note: str = "") -> Figure:
    """Draw accuracy and loss by epoch, one line a split (the paper's Fig. 5 and 6).

    Args:
        history: Columns ``epoch`` (from 1), ``split`` (train, val, test), ``loss`` (not negative)
            and ``accuracy`` (0 to 1); a value that is missing or not finite has no point.
        note: A remark drawn into the figure, such as "test seen while training".
    """
    with style():
        figure = blank(9.6, 4.4)
        left, right = figure.subplots(1, 2)
        _draw_history(left, history, "accuracy")
        _draw_history(right, history, "loss")
        left.set_title("Accuracy", pad=27)
        right.set_title("Loss", pad=27)
        left.yaxis.set_major_formatter(percent_axis(None))
        for axes in (left, right):
            remark = "values: last epoch"
            axes.set_title(remark, loc="right", fontsize=9, fontweight="normal", color=GREY, pad=27)
        if note:
            figure.supxlabel(note, fontsize=10, fontweight="bold", color=ORANGE, x=0.01, ha="left")
    return figure


def _draw_cell(
    axes: Axes, place: tuple[int, int], what: tuple[str, str], count: int, total: int
) -> None:
    """Draw the cell of a truth and a verdict in its row and column."""
    (row, column), (truth, verdict) = place, what
    wrong = verdict not in ("person", _RIGHT[truth])
    share = count / total if total else 0.0
    # wrong verdicts are rare: their colour starts strong enough to be seen
    depth = 0.25 + 0.75 * share if wrong and count else share
    colour = GREY if verdict == "person" else ORANGE if wrong else BLUE
    shades = LinearSegmentedColormap.from_list("cell", ["#F4F4F4", colour])
    ink = "white" if depth > 0.55 else INK
    middle = column + 0.5
    axes.fill_between([column, column + 1], row, row + 1, color=shades(0.9 * depth), linewidth=0)
    axes.text(middle, row + 0.45, f"{count:,}", fontsize=22, ha="center", va="center", color=ink)
    if total:
        text = f"{100.0 * share:.2f} %"
        axes.text(middle, row + 0.67, text, ha="center", va="center", color=ink)
    if wrong:
        name = "overkill" if truth == "normal" else "escape"
        axes.text(middle, row + 0.85, name, ha="center", color=ink, fontweight="bold")


def _draw_history(axes: Axes, history: pd.DataFrame, column: str) -> None:
    known = history[np.isfinite(history[column].to_numpy(np.float64))]
    axes.set_xlabel("epoch")
    if known.empty:
        axes.text(0.5, 0.5, "no epoch recorded", ha="center", color=GREY)
        return
    for split, (name, colour, dashes, marker) in _LOOKS.items():
        chosen = known[known["split"] == split].sort_values("epoch")
        if chosen.empty:
            continue
        last = float(chosen[column].iloc[-1])
        axes.plot(
            chosen["epoch"].to_numpy(),
            chosen[column].to_numpy(),
            color=colour,
            linestyle=dashes,
            marker=marker if len(chosen) <= _FEW_EPOCHS else "",
            markersize=5,
            clip_on=False,
            label=f"{name} {f'{100 * last:.2f} %' if column == 'accuracy' else f'{last:.3g}'}",
        )
    if column == "accuracy":
        lowest = float(known[column].min())
        axes.set_ylim(max(0.0, min(0.9, lowest - 0.1 * (1.0 - lowest))), 1.0)
    else:
        axes.set_ylim(0.0, 1.05 * max(1e-6, float(known[column].max())))
    epochs = int(known["epoch"].max())
    axes.set_xlim((1, epochs) if epochs > 1 else (0.5, 1.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, columnspacing=1.4, borderaxespad=0.2
    )
