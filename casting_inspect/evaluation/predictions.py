"""The predictions table: one row a file and a fit, read from any tool, checked, written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.data.spreadsheet import decimal_point, read_cells
from casting_inspect.errors import UserError, suggestion
from casting_inspect.files import replace_csv
from casting_inspect.labels import CLASS_NAMES

REQUIRED: Final = ("path", "label", "p_normal")
FIT: Final = ("model", "partition", "seed", "fold", "inner")
"""Columns that together name one trained model: scores are compared within a fit only."""
SPLITS: Final = ("train", "val", "test")
COLUMNS: Final = (
    *("path", "label", "group", "split", "fold", "seed", "model", "p_normal"),
    *("partition", "inner", "threshold", "logit", "lot", "part", "capture", "kind"),
    "group_wide",
)
BAND: Final = "threshold_low"
"""Where a person looks: a part is rejected at or below it, and at most ``threshold`` is seen by a
person. Only tables of rules with two thresholds have it."""
_WORDS: Final = {
    **{"group": "", "split": "test", "model": "model", "inner": ""},
    **{"lot": "", "part": "", "capture": "", "kind": "", "group_wide": ""},
}
_FRACTIONS: Final = ("p_normal", "threshold", BAND, "logit")
_WHOLE_NUMBERS: Final = ("fold", "seed", "partition")
_LARGEST: Final = float(np.finfo(np.float64).max)
_SMALLEST_DOUBT: Final = 2.0**-53
"""Probabilities are kept this far from 0 and 1 before their log-odds are taken (+-36.7)."""


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a predictions table written by this package or by any other tool.

    ``path``, ``label`` and ``p_normal`` are required. The other columns, and empty cells in
    them, take defaults: every file its own group, ``group_wide`` (possible links too) the group,
    split ``test``, fold, seed and partition 0, model ``model``, the refit (``inner`` empty),
    threshold 0.5, the log-odds of ``p_normal``. ``threshold_low``, of two thresholds the lower one,
    is optional as a column; where a cell is empty nobody looks.

    Args:
        path: Any table that `spreadsheet.read_cells` reads, with decimal points or commas.

    Returns:
        One row a prediction with the columns of ``COLUMNS``, then any others as text.

    Raises:
        UserError: If the file cannot be read or a cell is wrong: file and row (header: row 1).
    """
    table, rows = read_text(path)
    return complete_predictions(table, where=str(path), rows=rows)


def complete_predictions(
    table: pd.DataFrame, where: str = "predictions", rows: Sequence[int] | None = None
) -> pd.DataFrame:
    """Check a predictions table and fill in what it leaves out; a complete one is unchanged.

    Args:
        table: At least the columns of ``REQUIRED``.
        where: What the table is called in messages.
        rows: The number of each row in messages; by default as in a file, from 2.

    Returns:
        A new frame with a plain index, ``p_normal``, ``threshold`` and ``logit`` as float64,
        ``fold``, ``seed`` and ``partition`` as int64, the rest as text.

    Raises:
        UserError: If a column is missing or a cell is wrong.
    """
    _check_columns(list(table.columns), where)
    check = _Checker(table, where, range(2, len(table) + 2) if rows is None else rows)
    path = check.words("path", "")
    check.require(path != "", "path", "is empty; name the file")
    words = {column: check.words(column, default) for column, default in _WORDS.items()}
    group = words["group"].where(words["group"] != "", path)
    p_normal = check.numbers("p_normal", np.full(len(table), np.nan), (0.0, 1.0))
    known = pd.DataFrame(
        {
            **words,
            "path": path,
            "label": check.choice("label", CLASS_NAMES, ""),
            "group": group,
            "group_wide": words["group_wide"].where(words["group_wide"] != "", group),
            "split": check.choice("split", SPLITS, "test"),
            **{column: check.whole_numbers(column) for column in _WHOLE_NUMBERS},
            "p_normal": p_normal,
            "threshold": check.numbers("threshold", np.full(len(table), 0.5), (0.0, 1.0)),
            "logit": check.numbers("logit", log_odds(p_normal), (-_LARGEST, _LARGEST)),
        }
    )[list(COLUMNS)]
    if BAND in table:
        known[BAND] = check.numbers(BAND, known["threshold"].to_numpy(), (-1.0, 1.0))
        check.require(known[BAND] <= known["threshold"], BAND, "is '{cell}', above threshold")
    check.no_duplicates(known)
    others = [column for column in table.columns if column not in known]
    return pd.concat([known, table[others].reset_index(drop=True)], axis=1) if others else known


def log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(p / (1 - p)), finite: p is first kept within [2**-53, 1 - 2**-53]."""
    inside = np.clip(probability, _SMALLEST_DOUBT, 1.0 - _SMALLEST_DOUBT)
    return np.asarray(np.log(inside) - np.log1p(-inside), dtype=np.float64)


def write_predictions(frame: pd.DataFrame, path: Path) -> None:
    """Write a predictions table in one step: the columns of ``COLUMNS``, then any others.

    Nine significant digits give a float32 back exactly, so ``p_normal`` and ``threshold`` that
    are float32 values get nine and keep their order; others are written in full.

    Raises:
        UserError: If the table would not pass ``read_predictions``.
    """
    table = complete_predictions(frame, where=str(path))
    for column in [name for name in ("p_normal", "threshold", BAND) if name in table]:
        table[column] = [_shortest(value) for value in table[column]]
    table["logit"] = [f"{value:.9g}" for value in table["logit"]]
    replace_csv(path, table)


def _shortest(value: float) -> str:
    return f"{value:.9g}" if float(np.float32(value)) == value else repr(float(value))


def read_text(path: Path, required: Sequence[str] = REQUIRED) -> tuple[pd.DataFrame, list[int]]:
    """Return all cells as text and the row number of each record; blank lines are left out.

    Args:
        path: Any table that `spreadsheet.read_cells` reads, with decimal points or commas.
        required: Columns that it must have.

    Raises:
        UserError: If it cannot be read, lacks a column, has one twice, or holds no rows.
    """
    header, kept = read_cells(path)
    for row, cells in kept:
        if len(cells) != len(header):
            raise UserError(
                f"{path}, row {row}: {len(cells)} cells under {len(header)} columns; "
                "put cells with commas in quotes."
            )
    columns = {name: [cells[at] for _, cells in kept] for at, name in enumerate(header)}
    for name in {*_FRACTIONS} & set(columns):
        columns[name] = list(map(decimal_point, columns[name]))
    if len(columns) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise UserError(f"{path}: two columns are called '{twice}'; rename one.")
    _check_columns(header, str(path), required)
    if not kept:
        raise UserError(f"{path}: holds no predictions; one row a file is expected.")
    return pd.DataFrame(columns), [row for row, _ in kept]


def _check_columns(found: Sequence[str], where: str, required: Sequence[str] = REQUIRED) -> None:
    missing = [column for column in required if column not in found]
    if missing:
        names = [str(column) for column in found]
        unknown = [name for name in names if name not in COLUMNS]
        raise UserError(
            f"{where}: has no column '{missing[0]}' (found: {', '.join(names) or 'none'}); "
            f"add it or rename one.{suggestion(missing[0], unknown)}{_advice(missing, names)}"
        )


def _advice(missing: Sequence[str], names: Sequence[str]) -> str:
    if missing == ["label"] and {"verdict", "milliseconds"} <= {*names}:
        return " Of a table of predict: evaluate labels=DIR brings them, from a folder or manifest."
    return ""


class _Checker:
    """Takes columns of one table apart and names the first wrong cell with its row."""

    def __init__(self, table: pd.DataFrame, where: str, rows: Sequence[int]) -> None:
        self.table = table.reset_index(drop=True)
        self.where = where
        self.rows = rows

    def require(self, good: pd.Series | NDArray[np.bool_], column: str, complaint: str) -> None:
        """Raise for the first row that is not good; ``{cell}`` in the complaint is the cell."""
        bad = np.flatnonzero(~np.asarray(good, dtype=bool))
        if len(bad):
            at = int(bad[0])
            cell = self.table[column][at]
            more = f" ({len(bad)} rows like it.)" if len(bad) > 1 else ""
            raise UserError(
                f"{self.where}, row {self.rows[at]}: {column} {complaint.format(cell=cell)}.{more}"
            )

    def words(self, column: str, default: str) -> pd.Series:
        if column not in self.table:
            return pd.Series([default] * len(self.table), dtype=str)
        cells = self.table[column]
        text = cells.astype(object).where(cells.notna(), "").map(str)
        return text.where(text != "", default)

    def choice(self, column: str, options: Sequence[str], default: str) -> pd.Series:
        words = self.words(column, default)
        wrong = words[~words.isin(options)]
        if len(wrong):
            hint = suggestion(str(wrong.iloc[0]), options).rstrip(".")
            listed = ", ".join(options[:-1]) + f" or {options[-1]}"
            self.require(words.isin(options), column, f"is '{{cell}}', not {listed}.{hint}")
        return words

    def numbers(
        self, column: str, default: NDArray[np.float64], limits: tuple[float, float]
    ) -> NDArray[np.float64]:
        if column not in self.table:
            return default
        cells = self.table[column]
        if pd.api.types.is_float_dtype(cells.dtype) or pd.api.types.is_integer_dtype(cells.dtype):
            values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
            empty = np.isnan(values)
        else:
            text = self.words(column, "").str.strip()
            empty = (text == "").to_numpy(dtype=bool)
            values = np.array([_to_float(cell) for cell in text], dtype=np.float64)
        values = np.where(empty, default, values)
        span = f"from {limits[0]:g} to {limits[1]:g}"
        allowed = "a finite number" if limits[1] > 1.0 else f"a number {span}"
        with np.errstate(invalid="ignore"):
            good = (values >= limits[0]) & (values <= limits[1])
        self.require(good, column, f"is '{{cell}}', not {allowed}; mend it or leave the row out")
        return values

    def whole_numbers(self, column: str) -> NDArray[np.int64]:
        values = self.numbers(column, np.zeros(len(self.table)), (-(2.0**53), 2.0**53))
        self.require(values == np.floor(values), column, "is '{cell}', not a whole number")
        return values.astype(np.int64)

    def no_duplicates(self, known: pd.DataFrame) -> None:
        keys = ["path", "split", *FIT]
        again = known.duplicated(keys).to_numpy()
        if again.any():
            at = int(np.flatnonzero(again)[0])
            same = (known[keys] == known.loc[at, keys]).all(axis=1).to_numpy()
            first = self.rows[int(np.flatnonzero(same)[0])]
            raise UserError(
                f"{self.where}, row {self.rows[at]}: '{known['path'][at]}' stands in row {first} "
                "already, in the same split, fold, seed, model, partition and inner fold; "
                "leave one out."
            )


def _to_float(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
