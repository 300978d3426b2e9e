"""Rates by lot, shift, camera or any other column, and a warning where a slice is worse."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.evaluation.differences import holm
from casting_inspect.evaluation.metrics import class_rate, truths
from casting_inspect.evaluation.parts import judged
from casting_inspect.evaluation.predictions import BAND, COLUMNS
from casting_inspect.evaluation.review_figures import three_verdicts
from casting_inspect.evaluation.significance import SIGNIFICANT
from casting_inspect.evaluation.tables import reported_split
from casting_inspect.evaluation.terms import Terms

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NAMED: Final = ("lot", "capture", "kind")
"""Columns that every predictions table has and that may tell slices apart."""
MEASURED: Final = ("defect_size",)
"""A known column that holds a measure, however few values it takes."""
MOST: Final = 20
"""A column with more values is a number or a name, and no set of slices."""
DRAWS: Final = 20_000
_CHUNK: Final = 1_000
_ENOUGH_REACHED: Final = 100
"""So many random differences at least as large, and more draws would not change the verdict."""
_TIE: Final = 1e-9
SLICES: Final = "slices.csv"
"""Where they lie beside ``metrics.json``."""
FIELDS: Final = (
    *("column", "value", "error", "files", "groups", "rate", "low", "high", "rate_by_file"),
    *("rest_files", "rest_groups", "rest_rate", "difference", "p", "p_holm", "worse"),
)
"""The columns of ``slices.csv``, one row a value and a kind of error."""


class GroupPair(NamedTuple):
    """Each group's error rate inside a slice and outside it, NaN where it has no file there."""

    inside: Floats
    outside: Floats


def slice_columns(table: pd.DataFrame) -> tuple[list[str], dict[str, str]]:
    """Return the columns with 2 to ``MOST`` values, and why each other one is left out.

    Empty cells are no value; a column that is empty throughout is not mentioned.
    """
    others = [name for name in table.columns if name not in (*COLUMNS, BAND, *MEASURED)]
    used, left_out = [], {}
    for name in (*NAMED, *others):
        values = _values(table, name)
        count = values[values != ""].nunique()
        if 2 <= count <= MOST:
            used.append(name)
        elif count:
            left_out[name] = "one value" if count == 1 else f"{count:,} values, more than {MOST}"
    return used, left_out


def slices(table: pd.DataFrame, terms: Terms) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the error rates of every slice of the split that is reported, and what stands out.

    Rates are means over groups of ``group_wide``. A slice is tested against the rest of its class
    by permutation over groups: see ``permuted``. Holm's correction counts all tests; two values of
    one column are one test.

    Args:
        table: A complete predictions table; any column beyond the known ones may tell slices.
        terms: Whether files or parts are judged.

    Returns:
        A table with the columns of ``FIELDS``, and for ``metrics.json`` ``split``, ``unit``,
        ``columns``, ``left_out`` {column: reason}, ``tests`` and ``warnings``: the rows of the
        table that are significantly worse.
    """
    split = reported_split(dict.fromkeys(table["split"].unique(), True))
    rows = judged(table[table["split"] == split].reset_index(drop=True), terms)
    columns, left_out = slice_columns(rows)
    found = [row for column in columns for row in _of_column(rows, column)]
    keys = [_same_test(row, rows) for row in found]
    first = {key: at for at, key in reversed(list(enumerate(keys)))}
    tested = list(first.values())
    adjusted = dict(
        zip(first, holm([found[at]["p"] for at in tested]) if tested else [], strict=True)
    )
    for row, key in zip(found, keys, strict=True):
        row["p"] = found[first[key]]["p"]  # drawn once
        row["p_holm"] = float(adjusted[key])
        row["worse"] = bool(row["p_holm"] < SIGNIFICANT and row["difference"] > 0.0)
    facts = {
        "split": split,
        "unit": terms.unit,
        "columns": columns,
        "left_out": left_out,
        "tests": sum(not np.isnan(found[at]["p"]) for at in tested),
        "warnings": [row for row in found if row["worse"]],
    }
    return pd.DataFrame(found, columns=list(FIELDS)), facts


def _values(table: pd.DataFrame, column: str) -> pd.Series:
    """Return a column as text, empty where nothing is known."""
    cells = table[column]
    return cells.astype(object).where(cells.notna(), "").map(str)


def _of_column(rows: pd.DataFrame, column: str) -> list[dict[str, Any]]:
    """Return a row for each value of a column and each kind of error that it has files for."""
    normal, verdict = truths(rows), three_verdicts(rows)
    values = _values(rows, column).to_numpy()
    groups = pd.factorize(rows["group_wide"])[0]
    found = []
    for value in sorted(set(values) - {""}):
        for error, of_class, wrong in (
            ("escape", ~normal, verdict == 1),
            ("overkill", normal, verdict == 0),
        ):
            here, rest = (of_class & known for known in (values == value, _other(values, value)))
            if here.any():
                about = {"column": column, "value": value, "error": error}
                found.append({**about, **_compared(wrong, groups, here, rest)})
    return found


def _other(values: NDArray[Any], value: str) -> Bools:
    return np.asarray((values != value) & (values != ""), dtype=np.bool_)


def _compared(wrong: Bools, groups: NDArray[np.intp], here: Bools, rest: Bools) -> dict[str, Any]:
    rate = class_rate(wrong[here], groups[here])
    found = {
        "files": int(here.sum()),
        "groups": len(np.unique(groups[here])),
        "rate": rate["value"],
        "low": rate["low"],
        "high": rate["high"],
        "rate_by_file": float(wrong[here].mean()),
        "rest_files": int(rest.sum()),
        "rest_groups": len(np.unique(groups[rest])),
    }
    if not rest.any():
        none = float("nan")
        return {**found, "rest_rate": none, "difference": none, "p": none}
    pair = _rates_of_groups(wrong, groups, here, rest)
    return {
        **found,
        "rest_rate": float(np.nanmean(pair.outside)),
        "difference": _difference(pair),
        "p": permuted(pair),
    }


def _rates_of_groups(wrong: Bools, groups: NDArray[np.intp], here: Bools, rest: Bools) -> GroupPair:
    count = int(groups.max()) + 1
    rates = []
    for chosen in (here, rest):
        files = np.bincount(groups[chosen], minlength=count)
        errors = np.bincount(groups[chosen], wrong[chosen], count)
        nothing = np.full(count, np.nan)
        rates.append(np.divide(errors, files, out=nothing, where=files > 0))
    known = ~np.isnan(rates[0]) | ~np.isnan(rates[1])
    return GroupPair(rates[0][known], rates[1][known])


def _difference(pair: GroupPair) -> float:
    return float(np.nanmean(pair.inside) - np.nanmean(pair.outside))


def permuted(pair: GroupPair, draws: int = DRAWS, seed: int = 0) -> float:
    """Return the two-sided p of the difference between a slice's mean rate and the rest's.

    Where a group has files on both sides its two rates change places at random; groups on one side
    alone change sides at random, as many staying on each. Drawing ends early where the p cannot be
    small any more.

    Args:
        pair: The groups' rates; some on each side.
        draws: Random arrangements at most.
        seed: Of these; rates are sorted first, so that their order changes nothing.

    Source: Fisher 1935; Besag and Clifford 1991 for the early end.
    """
    on_both = ~np.isnan(pair.inside) & ~np.isnan(pair.outside)
    two = np.stack([pair.inside[on_both], pair.outside[on_both]])
    two = two[:, np.lexsort(two)]
    alone = [np.sort(side[~on_both & ~np.isnan(side)]) for side in pair]
    counts = [two.shape[1] + len(side) for side in alone]
    total = float(two.sum() + sum(side.sum() for side in alone))
    pool, kept = np.concatenate(alone), len(alone[0])

    def difference(inside: Floats) -> Floats:
        return np.asarray(inside / counts[0] - (total - inside) / counts[1], np.float64)

    observed = abs(float(difference(np.array([two[0].sum() + alone[0].sum()]))[0]))
    if observed <= _TIE:
        return 1.0
    random, reached, drawn = np.random.default_rng(seed), 0, 0
    while drawn < draws and reached < _ENOUGH_REACHED:
        swaps = random.random((_CHUNK, two.shape[1])) < 0.5
        inside = np.where(swaps, two[1], two[0]).sum(axis=1)
        places = random.random((_CHUNK, len(pool))).argsort(axis=1)[:, :kept]
        inside = inside + pool[places].sum(axis=1)
        reached += int(np.count_nonzero(np.abs(difference(inside)) >= observed - _TIE))
        drawn += _CHUNK
    return (1.0 + reached) / (1.0 + drawn)


def _same_test(row: dict[str, Any], rows: pd.DataFrame) -> tuple[Any, ...]:
    """Return what tells a test from others: the two values of a column mirror each other."""
    values = _values(rows, row["column"])
    two = values[values != ""].nunique() == 2
    return row["column"], row["error"], "" if two else row["value"]
