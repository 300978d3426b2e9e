"""The two plots: what time and memory grow with, and how much faster than each peer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.ticker import FuncFormatter, LogFormatter, NullLocator

from casting_inspect.evaluation.figure_style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    blank,
    save_figure,
    style,
)

Cells = dict[str, str]
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00")
PLAIN = FuncFormatter(lambda value, _: f"{value:,.12g}")


def draw_curves(points: Sequence[Cells], path: Path) -> None:
    """Draw seconds and MiB over the number of pictures, a line a stage; nothing without points."""
    if not points:
        return
    with style():
        figure = blank(9.5, 4.0)
        time, memory = figure.subplots(1, 2)
        for colour, stage in zip(COLOURS, dict.fromkeys(p["what"] for p in points), strict=False):
            of_stage = [point for point in points if point["what"] == stage]
            pictures = [int(point["pictures"]) for point in of_stage]
            look = {"color": colour, "marker": "o", "markersize": 4}
            time.plot(
                pictures, [float(p["ours"]) for p in of_stage], label=stage.replace("`", ""), **look
            )
            known = [
                (n, float(p["peak_mib"]))
                for n, p in zip(pictures, of_stage, strict=True)
                if p["peak_mib"]
            ]
            if known:
                memory.plot(*zip(*known, strict=True), **look)
        time.set(xscale="log", yscale="log", title="Time", xlabel="pictures", ylabel="seconds")
        memory.set(xscale="log", title="Peak memory", xlabel="pictures", ylabel="MiB")
        memory.set_ylim(bottom=0)
        sizes = sorted({int(point["pictures"]) for point in points})
        for axes in (time, memory):
            axes.set_xticks(sizes)
            axes.xaxis.set_major_formatter(PLAIN)
            axes.xaxis.set_minor_locator(NullLocator())
        time.yaxis.set_major_formatter(PLAIN)
        time.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))
        figure.legend(loc="outside lower center", ncols=2)
    save_figure(figure, path)


def draw_ratios(rows: Sequence[Cells], path: Path) -> None:
    """Draw how many times faster each comparison is, and the goal where there is one."""
    compared = [row for row in rows if row["ratio"]]
    compared = list({(row["what"], row["peer"]): row for row in reversed(compared)}.values())
    if not compared:
        return
    compared.sort(key=lambda row: float(row["ratio"]))
    with style():
        figure = blank(9.5, 1.2 + 0.36 * len(compared))
        axes = figure.subplots()
        values = [float(row["ratio"]) for row in compared]
        axes.plot(values, range(len(values)), "o", color=BLUE, markersize=6, label="measured")
        goals = [(_bound(row), at) for at, row in enumerate(compared) if _bound(row)]
        if goals:
            bounds, places = zip(*goals, strict=True)
            look = {"markersize": 12, "markeredgewidth": 2, "label": "goal"}
            axes.plot(bounds, places, "|", color=ORANGE, **look)
        axes.axvline(1, color=GREY, linewidth=1)
        names = [f"{row['what']}\nagainst {row['peer']}".replace("`", "") for row in compared]
        axes.set_yticks(range(len(names)), names, fontsize=7.5, color=INK)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(PLAIN)
        axes.set(title="How many times faster", xlabel="times")
        axes.grid(axis="y", visible=False)
        axes.legend(loc="lower right")
    save_figure(figure, path)


def _bound(row: Cells) -> float | None:
    """Return the goal of a ratio, or None."""
    words = row["goal"].replace(",", "").split()
    return float(words[2]) if len(words) == 4 and words[3] == "times" else None
