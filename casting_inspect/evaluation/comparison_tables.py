"""A comparison as CSV, Markdown and LaTeX: one row a model, then the published ones as quoted."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from casting_inspect.evaluation import published
from casting_inspect.evaluation.comparison import Comparison
from casting_inspect.evaluation.contenders import BY_FILE, Contender
from casting_inspect.evaluation.provenance import burden, carried_leak, floors_beside
from casting_inspect.percent import percent

BY_GROUP: Final = ("escape_rate", "overkill_rate", "balanced_accuracy", "auroc")
_SPREADS: Final = ("seeds", "folds", "partitions")
_LATEX: Final = {
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>#|~$!^&])")


def rows_of(comparison: Comparison) -> list[dict[str, Any]]:
    """Return what ``table.csv`` holds: measured models, then published rows."""
    measured = [_row(one) for one in comparison.contenders]
    published_rows = [
        {
            "model": row.name,
            "measured_on": f"{row.measured_on} ({published.NOTE})",
            **{key: getattr(row, key) for key in ("accuracy", "precision", "recall", "f1")},
        }
        for row in published.ROWS
    ]
    return [*measured, *published_rows]


def _row(one: Contender) -> dict[str, Any]:
    row: dict[str, Any] = {
        "model": one.name,
        "measured_on": "the compared test files",
        "trained": one.trained,
        "runs": len(one.runs),
        "seeds": one.seeds,
        "partitions": len(one.partitions),
        "files": one.table["path"].nunique(),
        "grouping": one.grouping,
        "groups_normal": one.figures["n_groups_normal"],
        "groups_defective": one.figures["n_groups_defective"],
        "groups_effective": one.figures["n_groups_effective"],
    }
    for key in BY_GROUP:
        row |= _with_limits(f"{key}_by_group", one.figures[f"{key}_by_group"])
    for grouping, figures in one.under.items():
        figure = figures["balanced_accuracy_by_group"]
        row[f"balanced_accuracy_by_{grouping}_value"] = figure["value"]
    for key in BY_FILE:
        row |= _with_limits(key, one.by_file[key])
    for name in _SPREADS:
        if spread := one.spread.get(name):
            row |= {
                f"balanced_accuracy_{name}_{part}": getattr(spread, part)
                for part in ("mean", "sd", "low", "high", "count")
            }
    leak = carried_leak(one.runs)
    row["leak_share"] = leak.share if leak else None
    second = carried_leak(one.runs, "second_look")
    row["second_look_share"] = second.share if second else None
    row |= {f"{name}_accuracy": value for name, value in floors_beside(one.runs).items()}
    return {**row, **burden(one.runs)}


def _with_limits(name: str, figure: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: figure["value"], f"{name}_low": figure["low"], f"{name}_high": figure["high"]},
        f"{name}_approximate": bool(figure.get("approximate", False)),
    }


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV, a column for each key in the order first met; ten significant digits."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.10g}" if isinstance(value, float) else value


def interval(figure: Mapping[str, Any], *, share: bool = True) -> tuple[str, str]:
    """Return a figure and its interval as they are printed, ``("5.0 %", "3.1 to 8.2 %")``.

    Args:
        figure: ``value``, ``low``, ``high``, and ``approximate`` where it is.
        share: In percent; otherwise three decimals.
    """

    def words(value: float | None) -> str:
        return percent(value, 1) if share else "-" if value is None else f"{value:.3f}"

    if figure["value"] is None or figure["low"] is None:
        return words(figure["value"]), "-"
    mark = "~ " if figure.get("approximate") else ""
    low, high = words(figure["low"]), words(figure["high"])
    return words(figure["value"]), f"{mark}{low.removesuffix(' %')} to {high}"


def headline_cells(one: Contender) -> Iterator[str]:
    """Yield a model's figures by group with their intervals, in the order of ``BY_GROUP``."""
    for key in BY_GROUP:
        share = key != "auroc" and key != "balanced_accuracy"
        value, limits = interval(one.figures[f"{key}_by_group"], share=share)
        yield f"{value} ({limits})" if limits != "-" else value


HEADINGS: Final = ("Model", "Escape rate", "Overkill rate", "Balanced accuracy", "AUC over groups")
FILE_HEADINGS: Final = ("Model", "Accuracy", "Precision", "Recall", "F1", "Measured on")
TEST_HEADINGS: Final = ("Model", "What", "Test", "Difference", "p", "p (Holm)", "What may be said")


def group_table(comparison: Comparison) -> list[list[str]]:
    """Return the figures by group as words, a list a model."""
    return [[one.name, *headline_cells(one)] for one in comparison.contenders]


def file_table(comparison: Comparison) -> list[list[str]]:
    """Return the paper's figures by file as words, with the published rows at the end."""
    keys = ("accuracy", "precision", "recall", "f1")
    measured = [
        [one.name, *(percent(one.figures[key], 2) for key in keys), "these files"]
        for one in comparison.contenders
    ]
    published_rows = [
        [
            row.name,
            *(quoted(getattr(row, key)) for key in keys),
            f"other data: {row.measured_on}",
        ]
        for row in published.ROWS
    ]
    return [*measured, *published_rows]


def test_table(comparison: Comparison) -> list[list[str]]:
    """Return the tests as words, a list a test."""
    return [
        [
            *(test.model, test.what, f"{test.method} ({test.evidence or test.remark})"),
            points(test.difference),
            *(p_words(test.p), p_words(test.p_holm), test.claim),
        ]
        for test in comparison.tests
    ]


def points(difference: float | None) -> str:
    """Return a difference of shares in points of percent with its sign, or a dash."""
    return "-" if difference is None else f"{100 * difference:+.1f} points"


def quoted(share: float | None) -> str:
    """Return a published share with the digits that were published, or a dash."""
    return "-" if share is None else f"{100 * share:.6g} %"


def p_words(p: float) -> str:
    """Return a p-value with three decimals, or a dash."""
    return "-" if math.isnan(p) else "< 0.001" if p < 0.0005 else f"{p:.3f}"


def markdown_text(comparison: Comparison, notes: Sequence[str]) -> str:
    """Return the comparison as a Markdown page of tables."""
    parts = [
        "# Comparison by group",
        _markdown(HEADINGS, group_table(comparison)),
        "95 % intervals; `~` marks approximate ones. Every photograph or casting weighs the same.",
        "## By file, as in the paper (positive = normal)",
        _markdown(FILE_HEADINGS, file_table(comparison)),
        f"The last {len(published.ROWS)} rows are {published.NOTE}.",
    ]
    if comparison.tests:
        parts += [
            f"## Tests against {markdown(comparison.reference)}",
            _markdown(TEST_HEADINGS, test_table(comparison)),
            "A positive difference is more errors (for balanced accuracy: more of it).",
        ]
    parts += ["## What may be claimed", "\n".join(f"- {markdown(note)}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] + ["---:" for _ in headings[1:]]]
    body = [[markdown(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [*lines, *body])


def markdown(text: str) -> str:
    """Return text so that Markdown shows it as it is."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def latex_text(comparison: Comparison) -> str:
    """Return the figures by group and by file as two LaTeX tables; they need booktabs."""
    first = _latex(
        HEADINGS,
        group_table(comparison),
        "Rates by group with 95\\,\\% intervals; \\textasciitilde{} marks approximate ones.",
    )
    second = _latex(
        FILE_HEADINGS,
        file_table(comparison),
        f"Figures by file, normal as positive. The last {len(published.ROWS)} rows are "
        f"{latex(published.NOTE)}.",
    )
    return f"% \\usepackage{{booktabs}}\n{first}\n{second}"


def _latex(headings: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    lines = [
        *("\\begin{table}", "\\centering", f"\\caption{{{caption}}}"),
        f"\\begin{{tabular}}{{l{'r' * (len(headings) - 2)}{'r' if headings is HEADINGS else 'l'}}}",
        *("\\toprule", " & ".join(map(latex, headings)) + r" \\", "\\midrule"),
        *(" & ".join(map(latex, row)) + r" \\" for row in rows),
        *("\\bottomrule", "\\end{tabular}", "\\end{table}", ""),
    ]
    return "\n".join(lines)


def latex(text: str) -> str:
    """Return text so that LaTeX shows it as it is."""
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))
