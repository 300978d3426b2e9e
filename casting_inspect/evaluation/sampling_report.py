"""The plan of an acceptance test as files: plan.json, oc.csv, oc.png and a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from casting_inspect.errors import UserError
from casting_inspect.evaluation.figure_style import (
    BLUE,
    GREY,
    ORANGE,
    blank,
    percent_axis,
    save_figure,
    style,
)
from casting_inspect.evaluation.report.inline_figure import inline_svg
from casting_inspect.evaluation.sampling_plan import (
    MOST_ALLOWED,
    Plan,
    alternatives,
    characteristic,
    smallest_plan,
)
from casting_inspect.files import replace_csv, replace_json, replace_text
from casting_inspect.page import render
from casting_inspect.percent import percent

KINDS: Final = {
    "escape": ("defective", "Escapes", "defective castings pass"),
    "overkill": ("good", "Good castings rejected", "good castings are rejected"),
}
COLOURS: Final = {"escape": ORANGE, "overkill": BLUE}
TO_PHOTOGRAPH: Final = (
    "Whole castings, each counted once however many pictures it has. Ten pictures of one casting "
    "are one casting.",
    "None that the inspector was trained on or its threshold chosen on.",
    "From several lots, moulds and days, and from both ends of a shift; note lot and day of each.",
    "Every kind of defect that must not pass, in about the shares that the line sees, and its "
    "smallest size that still counts.",
    "Borderline parts too, of both classes: those on which two people disagree are decided by the "
    "reference inspection before the test, and not taken out after it.",
    "Good and defective castings in the same light, place, camera and order: mixed, never all "
    "good ones on one day. Else the day is what is learnt.",
    "As the line would show them: oil, dust and chips included.",
)
"""What to photograph, in plain words."""


def make_plans(
    limits: Mapping[str, float], expected: Mapping[str, float], confidence: float, power: float
) -> dict[str, Plan]:
    """Return the plan of each kind of error.

    Args:
        limits: By ``escape`` and ``overkill``: the rate that must be excluded.
        expected: By the same: the rate that the inspector is expected to have.
        confidence: Of each exact one-sided bound.
        power: Probability to pass each test at the expected rate.

    Raises:
        UserError: If an expected rate is not below its limit, or so near that no sensible test can
            tell them apart.
    """
    found = {}
    for kind, limit in limits.items():
        if expected[kind] >= limit:
            raise UserError(
                f"expected_{kind}={expected[kind]:g} is not below max_{kind}={limit:g}: an "
                "inspector that is no better than the limit cannot show that it keeps it."
            )
        plan = smallest_plan(limit, expected[kind], confidence, power)
        if plan is None:
            raise UserError(
                f"expected_{kind}={expected[kind]:g} is too near max_{kind}={limit:g}: more than "
                f"{MOST_ALLOWED:,} errors would have to be allowed; widen the gap, or ask for "
                "less power."
            )
        found[kind] = plan
    return found


def write_plan(plans: Mapping[str, Plan], out: Path, confidence: float, power: float) -> list[str]:
    """Write a plan's files and return what it says in sentences.

    Args:
        plans: By kind of error.
        out: Folder for ``plan.json``, ``plan.html``, ``oc.csv`` and ``oc.png``.
        confidence: Of each bound.
        power: That was asked for.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; name a folder for the plan.")
    figure = characteristic_figure(plans)
    said = sentences(plans, confidence)
    tables = {kind: alternatives(plan, confidence) for kind, plan in plans.items()}
    replace_csv(out / "oc.csv", characteristic_table(plans))
    save_figure(figure, out / "oc.png")
    values = {
        "confidence": confidence,
        "power": power,
        "plans": {kind: asdict(plan) for kind, plan in plans.items()},
        "alternatives": {kind: list(map(asdict, rows)) for kind, rows in tables.items()},
        "to_photograph": list(TO_PHOTOGRAPH),
    }
    replace_json(out / "plan.json", values)
    words = "Probability to pass against the true error rate"
    page = render(
        "plan.html",
        title="Plan of an acceptance test",
        sentences=said,
        tables=[_table(kind, plans[kind], rows) for kind, rows in tables.items()],
        figure=inline_svg(figure, "oc", words),
        to_photograph=TO_PHOTOGRAPH,
        confidence=f"{100 * confidence:g} %",
        both=_both(plans),
    )
    replace_text(out / "plan.html", page)
    return said


def sentences(plans: Mapping[str, Plan], confidence: float) -> list[str]:
    """Return what each test needs, a sentence each."""
    return [
        f"{plan.castings:,} {KINDS[kind][0]} castings, none of them seen in training; the test is "
        f"passed with at most {plan.allowed:,} {_errors(kind, plan.allowed)}. That shows, with "
        f"{100 * confidence:g} % confidence, that fewer than {percent(plan.limit)} of "
        f"{KINDS[kind][2]}; an inspector with {percent(plan.expected)} passes with "
        f"{percent(plan.power, 1)} probability."
        for kind, plan in plans.items()
    ]


def characteristic_table(plans: Mapping[str, Plan]) -> pd.DataFrame:
    """Return the operating characteristic: ``error``, ``rate`` and ``probability_to_pass``."""
    parts = [
        pd.DataFrame({"error": kind, "rate": curve[:, 0], "probability_to_pass": curve[:, 1]})
        for kind, curve in zip(plans, characteristic(list(plans.values())), strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def characteristic_figure(plans: Mapping[str, Plan]) -> Figure:
    """Draw the probability to pass over the true rate, a panel a kind of error."""
    with style():
        figure = blank(4.8 * len(plans), 3.6)
        panels = figure.subplots(1, len(plans), squeeze=False)[0]
        for axes, (kind, plan) in zip(panels, plans.items(), strict=True):
            (curve,) = characteristic([plan])
            axes.plot(curve[:, 0], curve[:, 1], color=COLOURS[kind])
            for rate, chance, words in (
                (plan.expected, plan.power, "expected"),
                (plan.limit, plan.risk, "limit"),
            ):
                axes.plot([rate], [chance], "o", color=COLOURS[kind], clip_on=False, zorder=5)
                axes.annotate(
                    f"{words}: passes with {percent(chance, 1)}",
                    (rate, chance),
                    (8, 6),
                    textcoords="offset points",
                    color=GREY,
                    fontsize=9.0,
                )
            axes.set(
                xlim=(0, curve[-1, 0]), ylim=(0, 1.02), xlabel=f"how many {KINDS[kind][2]} in truth"
            )
            axes.set_ylabel("probability to pass")
            axes.set_title(f"{plan.castings:,} castings, {plan.allowed:,} allowed")
            axes.xaxis.set_major_locator(MaxNLocator(6))
            axes.xaxis.set_major_formatter(percent_axis(None))
            axes.yaxis.set_major_formatter(percent_axis())
    return figure


def _table(kind: str, plan: Plan, rows: list[Plan]) -> dict[str, Any]:
    cells = [
        {
            "allowed": f"{row.allowed:,}",
            "castings": f"{row.castings:,}",
            "power": percent(row.power, 1),
            "chosen": row == plan,
        }
        for row in rows
    ]
    return {
        "name": KINDS[kind][1],
        "of": KINDS[kind][0],
        "limit": percent(plan.limit),
        "expected": percent(plan.expected),
        "rows": cells,
    }


def _both(plans: Mapping[str, Plan]) -> str:
    """Return the sentence on passing both tests, which share no casting."""
    chance = 1.0
    for plan in plans.values():
        chance *= plan.power
    return f"Both are passed with {percent(chance, 1)} probability." if len(plans) > 1 else ""


def _errors(kind: str, count: int) -> str:
    one = {"escape": "escape", "overkill": "rejected good casting"}[kind]
    return one if count == 1 else f"{one}s"
