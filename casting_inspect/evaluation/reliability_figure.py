"""The reliability diagram: what was said against what was so, before and after calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from casting_inspect.evaluation.figure_style import (
    BLUE,
    GREY,
    ORANGE,
    blank,
    percent_axis,
    style,
)

_LOOKS = {"raw": ("as scored", ORANGE, "s", -0.006), "calibrated": ("calibrated", BLUE, "o", 0.006)}


def reliability_figure(found: Mapping[str, Any]) -> Figure:
    """Draw the bins with their limits, and below them how much lies in each.

    Args:
        found: What ``reliability.reliability`` returns.
    """
    with style():
        figure = blank(5.6, 6.4)
        above, under = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        above.set_title("Reliability, every group weighs the same")
        above.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="as it should be")
        for name, (words, colour, marker, aside) in _LOOKS.items():
            if not found[name]:
                continue
            bins = found[name]["bins"]
            said, seen = ([one[key] for one in bins] for key in ("predicted", "observed"))
            down = [one["observed"] - one["low"] for one in bins]
            up = [one["high"] - one["observed"] for one in bins]
            places = [value + aside for value in said]  # limits side by side, not one on the other
            above.errorbar(
                *(places, seen, [down, up]),
                **{"color": colour, "marker": marker, "label": words, "markersize": 5},
                **{"linewidth": 1.2, "elinewidth": 0.9, "capsize": 2},
            )
            under.bar(
                [(one["from"] + one["to"]) / 2 + 4 * aside for one in bins],
                [one["weight"] for one in bins],
                width=0.045,
                color=colour,
            )
        if not found["raw"]:
            above.text(0.5, 0.5, "one class alone: nothing to draw", ha="center", color=GREY)
        above.legend(loc="upper left")
        above.set_ylabel("normal, of those (95 % interval)")
        above.set_ylim(-0.02, 1.02)
        above.yaxis.set_major_formatter(percent_axis())
        under.set_ylabel("share")
        under.set_xlabel("probability of normal, both classes equally frequent")
        under.set_xlim(-0.02, 1.02)
        under.xaxis.set_major_formatter(percent_axis())
        under.yaxis.set_major_formatter(percent_axis())
    return figure
