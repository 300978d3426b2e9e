"""What a threshold does: to parts, to people, on the line. Figures beside the rates of a split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from casting_inspect.evaluation.line import line_figures
from casting_inspect.evaluation.metrics import split_metrics
from casting_inspect.evaluation.parts import judged, parts_in_several_groups, repeatability
from casting_inspect.evaluation.pooling import under_grouping
from casting_inspect.evaluation.predictions import BAND
from casting_inspect.evaluation.review_figures import review_figures
from casting_inspect.evaluation.terms import Terms
from casting_inspect.evaluation.thresholds import one_score


def consequences(table: pd.DataFrame, figures: Mapping[str, Any], terms: Terms) -> dict[str, Any]:
    """Return what follows from the verdicts on one split, under its headline's grouping.

    Args:
        table: The split's rows of a complete predictions table.
        figures: What ``split_metrics`` gives for them.
        terms: What is asked for.

    Returns:
        ``by_part``, only where parts are judged: ``split_metrics`` with a row a part, ``aggregate``
        and ``in_several_groups``, the parts that a split by group may have parted; ``review``
        (``review_figures``), only where there are two thresholds; ``line`` (``line_figures``) with
        its ``unit`` and ``grouping``; ``repeatability``; ``one_score``, where all rows have it.

    Raises:
        UserError: If parts are asked for and no file names one.
    """
    rows = judged(table, terms)
    found: dict[str, Any] = {}
    if terms.unit == "part":
        figures = split_metrics(rows)
        more = {"aggregate": terms.aggregate, "in_several_groups": parts_in_several_groups(table)}
        found["by_part"] = {**figures, **more}
    grouping = figures["headline"]["grouping"]
    rates = review_figures(under_grouping(rows, grouping))
    if BAND in table:
        found["review"] = {"unit": terms.unit, "grouping": grouping, **rates}
    found["line"] = {"unit": terms.unit, "grouping": grouping, **line_figures(rates, terms)}
    found["repeatability"] = repeatability(table, terms)
    found["one_score"] = one_score(rows)
    return found
