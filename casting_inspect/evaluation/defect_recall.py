"""Recall by kind and size of defect: which defects an inspector finds, and which it lets pass."""

from __future__ import annotations

from typing import Final

import pandas as pd

from casting_inspect.errors import UserError

COLUMNS: Final = (
    *("by", "kind", "size_low", "size_high", "n", "parts", "recall", "recall_by_file"),
)


def recall_by_kind_and_size(
    predictions: pd.DataFrame, defects: pd.DataFrame, split: str = "test"
) -> pd.DataFrame:
    """Return the share of defective castings rejected, by kind and by fifths of defect size.

    A casting is rejected when ``p_normal`` is not above the row's own ``threshold`` (0.5 where
    there is none). Fifths are of ``size_px`` over the pictures counted, each holding a fifth of
    them; equal sizes stay together.

    Args:
        predictions: One row a picture: ``path`` and ``p_normal``; ``group`` (else every picture
            is its own), ``split`` and ``threshold`` if there. Rows of several folds, seeds or
            models are pooled: give those of one model.
        defects: One row a defective picture: ``path``, ``kind``, ``size_px``.
        split: The part of the predictions that is counted; all of them if they have no ``split``.

    Returns:
        Columns ``by`` (``all``, ``kind``, ``size`` or ``kind and size``), ``kind`` (empty for all
        kinds), ``size_low`` and ``size_high`` (pixels, the smallest and largest counted), ``n``
        (rows), ``parts`` (groups), ``recall`` (mean over parts of each part's own recall) and
        ``recall_by_file``. Empty when no prediction is of a listed defect.

    Raises:
        UserError: If a column is missing, or a path stands in ``defects`` twice.
    """
    _require(predictions, ("path", "p_normal"), "predictions")
    _require(defects, ("path", "kind", "size_px"), "defects")
    repeated = defects["path"][defects["path"].duplicated()]
    if len(repeated):
        raise UserError(f"defects: {repeated.iloc[0]} is listed twice; give each picture one row")
    counted = predictions
    if "split" in counted.columns:
        counted = counted[counted["split"] == split]
    listed = pd.DataFrame(
        {
            "path": defects["path"].astype(str),
            "kind": defects["kind"].astype(str),
            "size": pd.to_numeric(defects["size_px"]),
        }
    )
    seen = pd.DataFrame(
        {
            "path": counted["path"].astype(str),
            "part": counted["group" if "group" in counted.columns else "path"].astype(str),
            "rejected": pd.to_numeric(counted["p_normal"]) <= _threshold(counted),
        }
    ).merge(listed, on="path", how="inner", validate="many_to_one")
    if seen.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    seen["fifth"] = pd.qcut(seen["size"].rank(method="max"), 5, labels=False, duplicates="drop")
    rows = [_row("all", "", seen)]
    rows += [_row("kind", str(kind), some) for kind, some in seen.groupby("kind")]
    rows += [_row("size", "", some) for _, some in seen.groupby("fifth")]
    rows += [
        _row("kind and size", str(kind), some)
        for kind, of_kind in seen.groupby("kind")
        for _, some in of_kind.groupby("fifth")
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _threshold(predictions: pd.DataFrame) -> pd.Series[float]:
    """Return each row's own threshold, 0.5 where it has none."""
    if "threshold" not in predictions.columns:
        return pd.Series(0.5, index=predictions.index)
    return pd.to_numeric(predictions["threshold"]).fillna(0.5)


def _require(frame: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    """Stop when a table lacks a column."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise UserError(f"{name}: column {missing[0]} is missing; recall by defect needs it")


def _row(by: str, kind: str, some: pd.DataFrame) -> tuple[object, ...]:
    """Return one row of the table for some of the pictures."""
    by_part = some.groupby("part")["rejected"].mean()
    low, high = float(some["size"].min()), float(some["size"].max())
    recall, by_file = float(by_part.mean()), float(some["rejected"].mean())
    return by, kind, low, high, len(some), len(by_part), recall, by_file
