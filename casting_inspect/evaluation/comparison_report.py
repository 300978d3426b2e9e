"""From run folders and tables to table.csv, table.md, table.tex and comparison.html."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from casting_inspect.errors import UserError
from casting_inspect.evaluation import comparison_tables
from casting_inspect.evaluation.casting_names import casting_names
from casting_inspect.evaluation.claims import claims
from casting_inspect.evaluation.comparison import Comparison, compare
from casting_inspect.evaluation.comparison_page import page_values
from casting_inspect.evaluation.contenders import ENOUGH_SEEDS
from casting_inspect.evaluation.gathering import Gathered, gather
from casting_inspect.evaluation.provenance import splits_of
from casting_inspect.evaluation.variants import named
from casting_inspect.files import replace_text
from casting_inspect.page import render


def compare_runs(sources: Sequence[Path], out: Path, reference: str | None = None) -> Comparison:
    """Compare what lies below folders, or in tables, and write the result into ``out``.

    ``table.csv`` has every figure, ``table.md`` and ``table.tex`` the main ones, and
    ``comparison.html`` is one self-contained page. The same input gives the same bytes.

    Args:
        sources: Folders with runs, searched to any depth, and predictions tables.
        out: The folder to write to; made when missing.
        reference: The model that the others are tested against; None for a floor, else the first.

    Raises:
        UserError: If there is nothing to compare, the runs do not share test files and data, the
            reference is unknown, or ``out`` is not a folder.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; name a folder for the comparison.")
    gathered = gather(sources)
    comparison = compare(named(gathered.runs), reference)
    notes = notes_of(comparison, gathered)
    rows = comparison_tables.rows_of(comparison)
    page = render("comparison.html", **page_values(comparison, gathered, notes))
    replace_text(out / "table.csv", comparison_tables.csv_text(rows))
    replace_text(out / "table.md", comparison_tables.markdown_text(comparison, notes))
    replace_text(out / "table.tex", comparison_tables.latex_text(comparison))
    replace_text(out / "comparison.html", page)
    return comparison


def notes_of(comparison: Comparison, gathered: Gathered) -> list[str]:
    """Return what has to be said under the figures: claims, seeds, partitions, what is left out."""
    first = comparison.contenders[0]
    notes = claims(
        first.figures["n_groups_normal"],
        first.figures["n_groups_defective"],
        casting_names(gathered.runs[0].table),
        splits_of(gathered.runs),
    )
    lacking = [one for one in comparison.contenders if one.needs_seeds]
    if lacking:
        listed = ", ".join(f"{one.name} ({one.seeds})" for one in lacking)
        notes.append(
            f"Fewer than {ENOUGH_SEEDS} seeds: {listed}. A network trained end to end is not "
            "called better or worse before it has them."
        )
    partitions = {one.name: one.partitions for one in comparison.contenders}
    if len({tuple(numbers) for numbers in partitions.values()}) > 1:
        listed = ", ".join(f"{name} {len(numbers)}" for name, numbers in partitions.items())
        notes.append(
            f"Not all models have the same partitions ({listed}): figures are over each one's "
            "own, tests over those in common."
        )
    uneven = [one.name for one in comparison.contenders if not one.even]
    if uneven:
        notes.append(
            f"Not every fold and partition has all seeds: {', '.join(uneven)}. Where a seed is "
            "missing the mean score is of the others."
        )
    if gathered.left_out:
        listed = "; ".join(f"{name}: {reason}" for name, reason in gathered.left_out)
        notes.append(f"Left out, {len(gathered.left_out)} runs: {listed}.")
    return notes
