"""From files to parts: one score a part, and whether its captures agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from casting_inspect.errors import UserError
from casting_inspect.evaluation.metrics import class_rate
from casting_inspect.evaluation.predictions import BAND, FIT, complete_predictions
from casting_inspect.evaluation.review_figures import three_verdicts
from casting_inspect.evaluation.terms import Terms
from casting_inspect.labels import CLASS_NAMES, DEFECTIVE, NORMAL

PLACE: Final = ("split", *FIT)
"""The columns within which a file, and so a part, stands once."""
NO_PARTS: Final = (
    "decide.unit=part needs the column 'part' in the manifest, and no file has one: name parts, "
    "or take decide.unit=file"
)
NO_CAPTURES: Final = (
    "repeatability not measured: no part has pictures of two captures (columns part and capture)"
)

ACROSS_MODELS: Final = (
    "repeatability not measured: the captures of each part lie in different folds and were judged "
    "by different models"
)


def require_parts(table: pd.DataFrame) -> None:
    """Check that some file of a manifest or of predictions names its part.

    Raises:
        UserError: If none does.
    """
    if "part" not in table or not (table["part"].fillna("") != "").any():
        raise UserError(NO_PARTS)


def judged(table: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Return a complete predictions table with a row for each thing that passes or is rejected.

    Raises:
        UserError: If parts are asked for and no file names one.
    """
    if terms.unit != "part":
        return table
    require_parts(table)
    return as_units(table, ["part"], terms.aggregate)


def as_units(table: pd.DataFrame, columns: Sequence[str], aggregate: str) -> pd.DataFrame:
    """Return a predictions table with one row a unit: the files that agree in some columns.

    A unit is defective when any of its files is. ``any``: its score is its lowest, so that one
    rejected file rejects it; ``mean``: its logit is the mean. A file without a name in the first of
    the columns is a unit of its own. Groups that share a unit become one, under the name that
    sorts first.

    Args:
        table: A complete predictions table.
        columns: That together name a unit.
        aggregate: ``any`` or ``mean``.

    Returns:
        A complete predictions table; ``path`` names the unit.
    """
    named = table[list(columns)].agg(" / ".join, axis=1)
    unit = named.where(table[columns[0]] != "", table["path"])
    rows = table.assign(
        path=unit,
        defective=table["label"] == CLASS_NAMES[DEFECTIVE],
        **{name: joined_groups(table[name], unit) for name in ("group", "group_wide")},
    )
    way = "min" if aggregate == "any" else "mean"
    thresholds = [name for name in ("threshold", BAND) if name in table]
    ways = {
        **{"defective": "any", "logit": way, "p_normal": way},
        **dict.fromkeys(thresholds, "max"),
    }
    keys = [*PLACE, "path"]
    others = {name: "first" for name in table.columns if name not in (*keys, *ways, "label")}
    # of what is known of some files of a unit, a kind of defect say, the first counts
    rows[list(others)] = rows[list(others)].replace("", None)
    found = rows.groupby(keys, sort=True, as_index=False).agg({**ways, **others})
    if aggregate != "any":
        found["p_normal"] = expit(found["logit"].to_numpy(np.float64))
    found[list(others)] = found[list(others)].fillna("")
    names = np.where(found.pop("defective"), CLASS_NAMES[DEFECTIVE], CLASS_NAMES[NORMAL])
    return complete_predictions(found.assign(label=names)[list(table.columns)])


def joined_groups(groups: pd.Series, units: pd.Series) -> NDArray[np.object_]:
    """Return groups in which no unit is in two, named by the first name of each, (n,)."""
    numbers, names = pd.factorize(groups, sort=True)
    of_unit = pd.factorize(units)[0]
    shape = (len(names) + int(of_unit.max()) + 1,) * 2
    links = coo_array((np.ones(len(groups)), (numbers, len(names) + of_unit)), shape=shape)
    component = connected_components(links, directed=False)[1][: len(names)]
    _, first = np.unique(component, return_index=True)  # names are sorted: the first is smallest
    joined: NDArray[np.object_] = np.asarray(names, dtype=object)[first[component[numbers]]]
    return joined


def parts_in_several_groups(table: pd.DataFrame) -> int:
    """Return how many parts have files in several groups: a split by group can part them."""
    named = table[table["part"] != ""]
    return int((named.groupby("part")["group_wide"].nunique() > 1).sum())


def repeatability(table: pd.DataFrame, terms: Terms) -> dict[str, Any]:
    """Return the share of parts that get one verdict in all their captures, groups weighing alike.

    Several files of one capture of a part are taken together, as ``terms.aggregate`` says.

    Args:
        table: Rows of one split of a complete predictions table; ``capture`` names the occasion.
        terms: How a part's files are taken together.

    Returns:
        ``measured``; if so ``parts``, ``captures``, ``value``, ``low``, ``high``; else ``reason``.
    """
    rows = table[(table["part"] != "") & (table["capture"] != "")]
    keys = [*PLACE, "part"]
    several = bool((rows.groupby("part")["capture"].nunique() > 1).any())
    if not several:
        return {"measured": False, "reason": NO_CAPTURES}
    rows = rows[rows.groupby(keys)["capture"].transform("nunique") > 1]
    if not len(rows):
        return {"measured": False, "reason": ACROSS_MODELS}
    seen = as_units(rows, ["part", "capture"], terms.aggregate)
    seen = seen.assign(
        verdict=three_verdicts(seen), group=joined_groups(seen["group_wide"], seen["part"])
    )
    each = seen.groupby(keys, sort=True).agg(
        verdicts=("verdict", "nunique"), group=("group", "first")
    )
    same = (each["verdicts"] == 1).to_numpy(np.bool_)
    return {
        "measured": True,
        "parts": int(rows["part"].nunique()),
        "captures": int(rows["capture"].nunique()),
        **class_rate(same, pd.factorize(each["group"])[0]),
    }
