"""What `predict` said of labelled castings, as a predictions table: an inspector's own test."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

from casting_inspect.data.manifest import find_manifest, read_manifest
from casting_inspect.errors import UserError
from casting_inspect.evaluation.predictions import (
    BAND,
    complete_predictions,
    read_text,
    write_predictions,
)

VERDICTS: Final = ("path", "verdict", "p_normal", "threshold")
"""What makes a table one of `predict`'s."""
TAKEN: Final = ("path", "p_normal", "threshold", BAND, "model")
"""Of its columns; the others are of the moment, and no property of a casting."""
LEFT: Final = ("width", "height", "source", "sha256", "split")
"""Of a manifest's columns: the file's, not the casting's; what is tested is all test."""
DIGEST: Final = 12
"""Digits of a model's SHA-256 that name it."""


def labelled(verdicts: Path, labels: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return a complete predictions table of what `predict` said, and remarks on it.

    A picture that could not be read has no score. It is no pass, and as no part may get through by
    spoiling its picture it counts as rejected, with a ``p_normal`` of 0.

    Args:
        verdicts: The CSV table of `predict`.
        labels: A manifest, or the folder that was inspected, with its normal and defective folders
            or its manifest.csv; every one of its pictures must have a verdict.

    Raises:
        UserError: If either cannot be read, the table is not `predict`'s, a picture has no
            verdict, or two.
    """
    said, rows = read_text(verdicts, VERDICTS)
    row_of = dict(zip(said["path"], rows, strict=True))
    if "model" in said:
        said["model"] = said["model"].str[:DIGEST]
    truth = find_manifest(labels) if labels.is_dir() else read_manifest(labels)
    truth = truth.drop(columns=[name for name in LEFT if name in truth])
    twice = said["path"][said["path"].duplicated()]
    if len(twice):
        raise UserError(
            f"{verdicts}: {twice.iloc[0]} has two verdicts; leave the one out that does not count"
        )
    absent = truth.loc[~truth["path"].isin(said["path"]), "path"]
    if len(absent):
        raise UserError(
            f"{verdicts}: no verdict on {len(absent):,} of the {len(truth):,} pictures of "
            f"labels={labels}, such as {absent.iloc[0]}; inspect them all, under the same names"
        )
    table = truth.merge(said, on="path", how="left", validate="one_to_one")
    remarks = []
    if others := len(said) - len(table):
        remarks.append(f"{others:,} verdicts are on pictures that labels={labels} does not have")
    unread = table["verdict"] == "error"
    if unread.any():
        remarks.append(
            f"{int(unread.sum()):,} pictures could not be read; they are no pass, and count as "
            "rejected"
        )
    table.loc[unread, "p_normal"] = "0"
    kept = [*truth.columns, *(name for name in TAKEN if name in table and name != "path")]
    rows = [row_of[path] for path in table["path"]]
    return complete_predictions(table[kept], where=str(verdicts), rows=rows), remarks


def write_labelled(verdicts: Path, labels: Path, out: Path) -> tuple[Path, list[str]]:
    """Write what `labelled` gives to ``predictions.csv`` in a folder, and return file and remarks.

    Raises:
        UserError: As `labelled`; or if the file is the table that is read.
    """
    target = out / "predictions.csv"
    table, remarks = labelled(verdicts, labels)
    if target.exists() and target.samefile(verdicts):
        raise UserError(f"out={out}: predictions={verdicts} lies there and would be written over")
    write_predictions(table, target)
    return target, remarks
