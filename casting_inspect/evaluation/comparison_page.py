"""What the comparison's page shows: every number as the words that stand in the template."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Final

from casting_inspect.evaluation import comparison_tables, published
from casting_inspect.evaluation.comparison import Comparison
from casting_inspect.evaluation.comparison_figure import escape_overkill_figure
from casting_inspect.evaluation.comparison_verdict import verdict
from casting_inspect.evaluation.contenders import BY_FILE, Contender, Spread
from casting_inspect.evaluation.disagreements import SHOWN, Disagreement, disagreements
from casting_inspect.evaluation.figure_style import style
from casting_inspect.evaluation.gathering import Gathered
from casting_inspect.evaluation.line import MILLION, share_of_sum, weighted_sum
from casting_inspect.evaluation.metrics import Figure
from casting_inspect.evaluation.provenance import (
    burden,
    carried_leak,
    facts,
    floors_beside,
)
from casting_inspect.evaluation.run_pictures import RunPictures
from casting_inspect.evaluation.significance import Outcome
from casting_inspect.evaluation.terms import Terms
from casting_inspect.page import data_uri
from casting_inspect.percent import percent

PREVALENCE: Final = Terms().prevalence
"""Defective parts on the line, the paper's own remark."""
_DOTS_PER_INCH: Final = 140


def page_values(comparison: Comparison, gathered: Gathered, notes: Sequence[str]) -> dict[str, Any]:
    """Return what the template is filled with, everything but layout decided."""
    first, others = comparison.contenders[0], comparison.contenders
    apart = disagreements(others) if len(others) > 1 else []
    pictures = RunPictures(gathered.runs)
    shown = [_shown(one, pictures) for one in apart[:SHOWN]]
    return {
        "title": "Comparison" if len(others) > 1 else f"Figures of {first.name}",
        "lead": _lead(first, len(others)),
        "verdict": verdict(comparison, gathered.runs),
        "reference": comparison.reference,
        "figure": data_uri(_png(others)),
        "models": [_model(one) for one in others],
        "several_seeds": any(one.seeds > 1 for one in others),
        "groupings": _groupings(others),
        "tests": _tests(comparison),
        "remarks": [f"{test.model}, {test.what}: {test.remark}" for test in _weak(comparison)],
        "by_file": _by_file(others),
        "published": _published(),
        "published_note": published.NOTE,
        "leaky": any(carried_leak(one.runs) for one in others),
        "apart": shown,
        "unseen": sum(not one["picture"] for one in shown),
        "apart_models": list(apart[0].wrong) if apart else [],
        "apart_count": len(apart),
        "apart_files": sum(one.alike for one in apart),
        "notes": list(notes),
        "facts": facts(gathered.runs),
        "prevalence": f"{PREVALENCE * 1000:g} in 1,000",
    }


def _lead(first: Contender, models: int) -> str:
    figures, partitions = first.figures, len(first.partitions)
    over = f", {partitions} partitions" if partitions > 1 else ""
    return (
        f"{models} {'models' if models > 1 else 'model'} on {first.table['path'].nunique():,} test "
        f"files of {figures['n_groups_normal']:,} normal and {figures['n_groups_defective']:,} "
        f"defective photographs or castings{over}."
    )


def _weak(comparison: Comparison) -> list[Outcome]:
    return [test for test in comparison.tests if test.remark]


def _tests(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the tests, the first of a model with the number of its rows."""
    rows: list[dict[str, Any]] = []
    for one in comparison.tests:
        first = not rows or rows[-1]["model"] != one.model
        rows.append(
            {
                "model": one.model,
                "span": sum(other.model == one.model for other in comparison.tests) * first,
                "what": one.what,
                "method": one.method,
                "evidence": one.evidence or one.remark,
                "difference": comparison_tables.points(one.difference),
                "p": comparison_tables.p_words(one.p),
                "p_holm": comparison_tables.p_words(one.p_holm),
                "claim": one.claim,
            }
        )
    return rows


def _png(contenders: Sequence[Contender]) -> bytes:
    stream = io.BytesIO()
    with style():
        escape_overkill_figure(contenders).savefig(
            stream, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None}
        )
    return stream.getvalue()


def _model(one: Contender) -> dict[str, Any]:
    cells = [
        comparison_tables.interval(one.figures[f"{key}_by_group"], share=key.endswith("rate"))
        for key in comparison_tables.BY_GROUP
    ]
    spread = {
        name: _spread_words(one.spread[name])
        for name in ("seeds", "folds", "partitions")
        if name in one.spread
    }
    cost = burden(one.runs)
    return {
        "name": one.name,
        "trained": one.trained,
        "cells": cells,
        "seeds": one.seeds,
        "runs": len(one.runs),
        "partitions": len(one.partitions),
        "effective": f"{one.figures['n_groups_effective']:.0f}",
        "spread": spread,
        "seconds": _duration(cost.pop("seconds", None)),
        "tuning": ", ".join(f"{key.removeprefix('tuning_')} {cost[key]}" for key in cost) or "-",
        "line": _on_the_line(one),
    }


def _spread_words(spread: Spread) -> tuple[str, str]:
    if spread.count == 1:
        return f"{spread.mean:.3f}", "one only"
    return (
        f"{spread.mean:.3f} ± {spread.sd:.3f}",
        f"{spread.low:.3f} to {spread.high:.3f}, n = {spread.count}",
    )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _on_the_line(one: Contender) -> list[str] | None:
    """Return escapes and good rejects per million parts, and the share of rejects defective."""
    escape, overkill = (one.figures[f"{key}_rate_by_group"] for key in ("escape", "overkill"))
    if escape["value"] is None or overkill["value"] is None:
        return None
    bad, good = MILLION * PREVALENCE, MILLION * (1.0 - PREVALENCE)
    caught = {"value": 1.0 - escape["value"], "low": 1.0 - escape["high"]}
    caught["high"] = 1.0 - escape["low"]
    share = share_of_sum((bad, caught), (good, overkill))["value"]
    return [
        *(
            f"{sum_['value']:,.0f} (up to {sum_['high']:,.0f})"
            for sum_ in (weighted_sum([(bad, escape)]), weighted_sum([(good, overkill)]))
        ),
        percent(share, 1),
    ]


def _groupings(contenders: Sequence[Contender]) -> list[tuple[str, list[str]]]:
    """Return balanced accuracy under both groupings where they differ, else nothing."""
    if all(len(one.under) < 2 for one in contenders):
        return []
    rows = []
    for one in contenders:
        cells = []
        for grouping in ("group", "group_wide"):
            figures = one.under.get(grouping, one.figures)
            value, limits = comparison_tables.interval(
                figures["balanced_accuracy_by_group"], share=False
            )
            cells += [f"{value} ({limits})", f"{figures['n_groups']:,}"]
        rows.append((one.name, cells))
    return rows


def _by_file(contenders: Sequence[Contender]) -> list[dict[str, Any]]:
    rows = []
    for one in contenders:
        leak, floors = carried_leak(one.runs), floors_beside(one.runs)
        beside = ", ".join(f"{name} {percent(value, 1)}" for name, value in floors.items())
        cells = [(percent(one.figures[key], 2), _limits(one.by_file[key])) for key in BY_FILE]
        rows.append(
            {
                "name": one.name,
                "cells": cells,
                "leak": percent(leak.share, 1) if leak else "-",
                "floors": beside or "-",
            }
        )
    return rows


def _limits(figure: Figure) -> str:
    return comparison_tables.interval(figure)[1]


def _published() -> list[dict[str, Any]]:
    return [
        {
            "name": row.name,
            "cells": [comparison_tables.quoted(value) for value in row[1:5]],
            "measured_on": row.measured_on,
        }
        for row in published.ROWS
    ]


def _shown(one: Disagreement, pictures: RunPictures) -> dict[str, Any]:
    picture = pictures.thumbnail(one.path)
    wrong = [name for name, share in one.wrong.items() if share >= 0.5]
    right = [name for name, share in one.wrong.items() if share < 0.5]
    more = one.alike - 1
    return {
        "picture": data_uri(picture, "image/jpeg") if picture else "",
        "path": one.path,
        "label": one.label,
        "error": "passed" if one.label == "defective" else "rejected",
        "wrong": ", ".join(wrong),
        "right": ", ".join(right),
        "more": f"and {more} more file{'s' if more > 1 else ''} of this photograph" if more else "",
    }
