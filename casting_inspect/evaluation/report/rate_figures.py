"""Figures of a report that no other page has: rates with their intervals, risk and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from casting_inspect.evaluation.figure_style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    blank,
    percent_axis,
    style,
)
from casting_inspect.evaluation.metrics import truths
from casting_inspect.evaluation.predictions import BAND, log_odds
from casting_inspect.evaluation.review_figures import three_verdicts
from casting_inspect.evaluation.thresholds import shares_by_group

Floats = NDArray[np.float64]
_COLOURS: Final = {"escape": ORANGE, "overkill": BLUE}


def rates_figure(rows: Sequence[tuple[str, str, Mapping[str, Any], float | None]]) -> Figure:
    """Draw rates as points with their 95 % intervals, and a mark where a limit was asked for.

    Args:
        rows: ``(words, kind, figure, limit)`` from top to bottom: ``kind`` is ``escape`` or
            ``overkill``, ``figure`` has ``value``, ``low`` and ``high``; no limit is None.
    """
    with style():
        figure = blank(6.0, 0.55 + 0.52 * len(rows))
        axes = figure.subplots()
        reach = 0.02
        for at, (_, kind, rate, limit) in enumerate(rows):
            if rate["value"] is None:
                axes.text(0.0, at, " undefined", va="center", color=GREY)
                continue
            low, high = rate["low"], rate["high"]
            reach = max(reach, *(edge for edge in (high, limit, rate["value"]) if edge is not None))
            if low is not None:
                axes.plot([low, high], [at, at], color=_COLOURS[kind], linewidth=3, alpha=0.45)
            axes.plot([rate["value"]], [at], "o", color=_COLOURS[kind], markersize=8)
            if limit is not None:
                axes.plot([limit, limit], [at - 0.32, at + 0.32], color=INK, linewidth=1.6)
                axes.text(limit, at - 0.36, "asked for", ha="center", va="bottom", fontsize=8.5)
        axes.set_yticks(range(len(rows)), [words for words, *_ in rows])
        axes.set(xlim=(0.0, min(1.0, 1.08 * reach)), ylim=(len(rows) - 0.4, -0.75))
        axes.xaxis.set_major_formatter(percent_axis(None))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure


def risk_coverage(rows: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Return what would be left if the doubtful castings went to a person.

    Files are put in the order of their distance from the threshold that they were judged by, in
    log-odds; what is nearest goes to a person first, what lies between two thresholds anyway.
    Groups weigh the same within a class and classes the same.

    Args:
        rows: A complete predictions table of one split, with both classes.

    Returns:
        Coverage, the share judged without a person, from the surest file to all n that no person
        looks at, and of all castings of a class the share that escapes and the share rejected
        wrongly, (n,) each.

    Source: El-Yaniv and Wiener 2010; here the two errors are kept apart.
    """
    normal, verdict = truths(rows), three_verdicts(rows)
    shares = shares_by_group(rows, normal)
    lower = rows[BAND if BAND in rows else "threshold"]
    limit = np.where(verdict == 1, rows["threshold"], lower).astype(np.float64)
    distance = np.abs(rows["logit"].to_numpy(np.float64) - log_odds(limit))
    order = np.argsort(-distance, kind="stable")
    order = order[verdict[order] != -1]
    wrong = ((verdict == 1) != normal)[order]
    shares, normal = shares[order], normal[order]
    return (
        np.cumsum(shares) / 2.0,
        np.cumsum(shares * (wrong & ~normal)),
        np.cumsum(shares * (wrong & normal)),
    )


def risk_coverage_figure(rows: pd.DataFrame) -> Figure:
    """Draw `risk_coverage`: what sending doubtful castings to a person would save.

    Args:
        rows: A complete predictions table of one split, with both classes.
    """
    coverage, escape, overkill = risk_coverage(rows)
    with style():
        figure = blank(5.6, 3.9)
        axes = figure.subplots()
        for errors, colour, words, dashes in (
            (escape, ORANGE, "defective castings that pass", "-"),
            (overkill, BLUE, "good castings rejected", "--"),
        ):
            axes.plot(coverage, errors, color=colour, linestyle=dashes, label=words)
        top = 1.15 * max(0.01, *escape[-1:], *overkill[-1:])
        axes.set(xlim=(0.0, 1.0), ylim=(0.0, top))
        axes.set_xlabel("judged without a person")
        axes.set_ylabel("of the class's castings")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(percent_axis(None))
        more = "more of " if len(coverage) < len(rows) else ""
        axes.set_title(f"If {more}the doubtful ones went to a person")
        axes.legend(loc="upper left")
    return figure


def slices_figure(slices: pd.DataFrame) -> Figure:
    """Draw escape and overkill rates of each slice with their intervals; a word where one is worse.

    Args:
        slices: What ``slices.slices`` returns, or ``slices.csv``.
    """
    named = list(dict.fromkeys(zip(slices["column"], slices["value"], strict=True)))
    with style():
        figure = blank(6.4, 0.9 + 0.42 * len(named))
        axes = figure.subplots()
        for _, row in slices[np.isfinite(slices["rate"])].iterrows():
            aside = -0.13 if row["error"] == "escape" else 0.13
            at = named.index((row["column"], row["value"])) + aside
            colour = _COLOURS[str(row["error"])]
            axes.plot([row["low"], row["high"]], [at, at], color=colour, linewidth=3, alpha=0.45)
            axes.plot([row["rate"]], [at], "o", color=colour, markersize=6)
            if row["worse"]:
                axes.text(row["high"], at, "  worse", va="center", fontsize=8.5)
        axes.plot([], [], "o", color=ORANGE, label="escape rate")
        axes.plot([], [], "o", color=BLUE, label="overkill rate")
        axes.set_yticks(range(len(named)), [f"{column} {value}" for column, value in named])
        axes.set_ylim(len(named) - 0.5, -0.5)
        axes.set_xlim(left=0.0)
        axes.xaxis.set_major_formatter(percent_axis(None))
        axes.grid(visible=False, axis="y")
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return figure
