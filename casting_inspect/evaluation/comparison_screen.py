"""A comparison on the screen: figures by group, and what the tests allow to be said."""

from __future__ import annotations

from typing import Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from casting_inspect.evaluation import comparison_tables
from casting_inspect.evaluation.comparison import Comparison


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print the figures by group and the tests.

    Args:
        comparison: What ``comparison.compare`` returns.
        console: Where to print; by default standard output.
    """
    screen = console or Console()
    table = Table(box=box.SIMPLE, title="By group, with 95 % intervals", title_justify="left")
    for heading in comparison_tables.HEADINGS:
        justify: Literal["left", "right"] = "left" if heading == "Model" else "right"
        table.add_column(heading, justify=justify, overflow="fold")
    for name, *cells in comparison_tables.group_table(comparison):
        table.add_row(escape(name), *(cell.replace(" (", "\n").rstrip(")") for cell in cells))
    screen.print(table)
    if not comparison.tests:
        return
    title = f"Against {escape(comparison.reference)}"
    tests = Table(box=box.SIMPLE, title=title, title_justify="left")
    for heading in ("Model", "What", "Difference", "p (Holm)", "What may be said"):
        tests.add_column(heading, overflow="fold")
    for model, what, _, difference, _, holm, claim in comparison_tables.test_table(comparison):
        tests.add_row(*map(escape, (model, what, difference, holm, claim)))
    screen.print(tests)
