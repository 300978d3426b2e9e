"""What a threshold does: to parts, to people, on the line. Figures beside the rates of a split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from casting_inspect.evaluation.line import line_figures
from casting_inspect.evaluation.pooling import under_grouping
from casting_inspect.evaluation.predictions import BAND
from casting_inspect.evaluation.review_figures import review_figures
from casting_inspect.evaluation.terms import Terms


def consequences(table: pd.DataFrame, figures: Mapping[str, Any], terms: Terms) -> dict[str, Any]:
    """Return what follows from the verdicts on one split, under its headline's grouping.

    Args:
        table: The split's rows of a complete predictions table.
        figures: What ``split_metrics`` gives for them.
        terms: What is asked for.

    Returns:
        ``review`` (``review_figures``), only where there are two thresholds; ``line``
        (``line_figures``) with its ``unit`` and ``grouping``.
    """
    grouping = figures["headline"]["grouping"]
    rates = review_figures(under_grouping(table, grouping))
    review = {"review": {"grouping": grouping, **rates}} if BAND in table else {}
    line = {"unit": terms.unit, "grouping": grouping, **line_figures(rates, terms)}
    return {**review, "line": line}
