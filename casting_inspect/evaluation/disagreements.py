"""Where models disagree: the files on which one is wrong and another right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from casting_inspect.evaluation.contenders import Contender
from casting_inspect.evaluation.metrics import truths, verdicts

SHOWN: Final = 24
_APART: Final = 0.5
"""Shares of partitions in which two models are wrong that differ so much are a disagreement."""


@dataclass(frozen=True)
class Disagreement:
    """One file that models judge differently, standing for its group.

    Attributes:
        path: Relative to the data root.
        label: The truth.
        group: Its group.
        wrong: The share of partitions in which each model is wrong.
        alike: How many files of its group the models disagree on.
    """

    path: str
    label: str
    group: str
    wrong: Mapping[str, float]
    alike: int


def disagreements(contenders: Sequence[Contender]) -> list[Disagreement]:
    """Return one file a group, where two models are furthest apart; the most divided first.

    Floors are left out where two other models are left: a floor is wrong nearly everywhere.

    Args:
        contenders: At least two; partitions that not all of them have are left out.
    """
    networks = [one for one in contenders if one.trained != "floor"]
    contenders = networks if len(networks) > 1 else contenders
    shared = set.intersection(*(set(one.partitions) for one in contenders))
    columns = {
        one.name: _wrong(one.table[one.table["partition"].isin(shared)]) for one in contenders
    }
    wrong = pd.DataFrame(columns).dropna()
    apart = wrong.max(axis=1) - wrong.min(axis=1)
    found = wrong[apart >= _APART].copy()
    if found.empty:
        return []
    known = contenders[0].table.drop_duplicates("path").set_index("path")
    names = list(columns)
    found["apart"] = apart[found.index]
    found["even"] = -(found[names].mean(axis=1) - 0.5).abs()
    found["label"], found["group"] = known["label"][found.index], known["group_wide"][found.index]
    found = found.rename_axis("file").reset_index(names="path")
    found = found.sort_values(
        ["apart", "even", "label", "path"], ascending=[False, False, True, True], kind="stable"
    )
    alike = found.groupby(["group", "label"])["path"].transform("size")
    first = ~found.duplicated(["group", "label"])
    return [
        Disagreement(
            str(row["path"]),
            str(row["label"]),
            str(row["group"]),
            {name: float(row[name]) for name in names},
            int(count),
        )
        for (_, row), count in zip(found[first].iterrows(), alike[first], strict=True)
    ]


def _wrong(table: pd.DataFrame) -> pd.Series:
    wrong = pd.Series((verdicts(table) != truths(table)).astype(np.float64), index=table["path"])
    return wrong.groupby(level=0).mean()
