"""What `predict` said of labelled castings, as a predictions table: an inspector's own test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from casting_inspect.data.manifest import find_manifest
from casting_inspect.errors import UserError
from casting_inspect.evaluation.predictions import (
    BAND,
    complete_predictions,
    read_text,
    write_predictions,
)

VERDICTS: Final = ("path", "verdict", "p_normal", "threshold")
"""What makes a table one of `predict`'s."""
SETTLED: Final = ("model", "threshold", BAND)
"""What one inspector has one of."""
TAKEN: Final = ("p_normal", *SETTLED)
"""Of its columns; the others are of the moment, and no property of a casting."""
OF_A_FILE: Final = ("width", "height", "source", "sha256", "split", "fold", "seed", "partition")
"""A manifest's columns that say nothing here: what is tested is all test, by one model."""
DIGEST: Final = 12
"""Digits of a model's SHA-256 that name it."""
MARKS: Final = ("run.json", "config.yaml")
"""What a run's folder holds, whose own predictions.csv is not to be written over."""


@dataclass(frozen=True)
class Labels:
    """Where the classes of inspected castings stand, and how they are named.

    Attributes:
        place: A manifest, or the folder that was inspected, with its normal and defective folders
            or its manifest.csv.
        group_from: What names the castings of pictures without a group, see `naming.names_from`.
        normal: Words for good castings; every other one is a kind of defect then.
        aliases: Further words for the classes.
    """

    place: Path
    group_from: str | None = None
    normal: Sequence[str] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)

    def read(self) -> pd.DataFrame:
        """Return them as a manifest's rows; unreadable pictures too, which are tested as well."""
        folder = self.place.is_dir()
        return find_manifest(
            self.place if folder else self.place.parent,
            None if folder else self.place,
            self.aliases,
            normal=self.normal,
            group_from=self.group_from,
            keep_unreadable=True,
        )


def labelled(verdicts: Path, labels: Labels) -> tuple[pd.DataFrame, list[str]]:
    """Return a complete predictions table of what `predict` said, and remarks on it.

    A picture that could not be read has no score. It is no pass, and as no part may get through by
    spoiling its picture it counts as rejected, with a ``p_normal`` of 0. Where castings are named,
    a picture without a name, or with its own, is the only one of its casting.

    Args:
        verdicts: The CSV table of `predict`.
        labels: The truth; every one of its pictures must have a verdict.

    Raises:
        UserError: If either cannot be read, the table is not `predict`'s or of several models or
            thresholds, or a picture has no verdict, or two.
    """
    said, numbers = read_text(verdicts, VERDICTS)
    said = said[["path", "verdict", *(name for name in TAKEN if name in said)]].assign(row=numbers)
    said = _of_one_inspector(said, verdicts)
    truth = _one_name_a_casting(labels.read())
    own = [name for name in truth if name not in (*OF_A_FILE, *said.columns) or name == "path"]
    truth = truth[own]
    absent = truth.loc[~truth["path"].isin(said["path"]), "path"]
    if len(absent):
        raise UserError(
            f"{verdicts}: no verdict on {len(absent):,} of the {len(truth):,} pictures of "
            f"labels={labels.place}, such as {absent.iloc[0]}; inspect them all, under the same "
            "names"
        )
    table = truth.merge(said, on="path", how="left", validate="one_to_one")
    remarks = []
    if others := len(said) - len(table):
        remarks.append(
            f"{others:,} verdicts are on pictures that labels={labels.place} does not have"
        )
    unread = table["verdict"] == "error"
    if unread.any():
        remarks.append(
            f"{int(unread.sum()):,} pictures could not be read; they are no pass, and count as "
            "rejected"
        )
    table.loc[unread, "p_normal"] = "0"
    if "model" in table:
        table["model"] = table["model"].str[:DIGEST]
    rows = table["row"].tolist()
    table = table.drop(columns=["verdict", "row"])
    return complete_predictions(table, where=str(verdicts), rows=rows), remarks


def _of_one_inspector(said: pd.DataFrame, where: Path) -> pd.DataFrame:
    """Return verdicts, one a picture and all of one inspector, without a band that is none."""
    twice = said["path"][said["path"].duplicated()]
    if len(twice):
        raise UserError(
            f"{where}: {twice.iloc[0]} has two verdicts; leave the one out that does not count"
        )
    for name in [each for each in SETTLED if each in said]:
        if (count := said[name].nunique()) > 1:
            raise UserError(
                f"{where}: {count} different values of {name}; one inspector is tested at a time"
            )
    nobody_looks = BAND in said and (said[BAND] == said["threshold"]).all()
    return said.drop(columns=BAND) if nobody_looks else said


def _one_name_a_casting(truth: pd.DataFrame) -> pd.DataFrame:
    """Return a manifest in which, where castings are named, every picture has one."""
    if "group" not in truth:
        return truth
    group = truth["group"].fillna("").astype(str)
    named = (group != "") & (group != truth["path"])
    if not named.any():
        return truth
    return truth.assign(group=group.where(named, "only " + truth["path"].astype(str)))


def write_labelled(verdicts: Path, labels: Labels, out: Path) -> tuple[Path, list[str]]:
    """Write what `labelled` gives to ``predictions.csv`` in a folder, and return file and remarks.

    Raises:
        UserError: As `labelled`; or if the file is the table that is read, or a run's.
    """
    target = out / "predictions.csv"
    if any((out / name).is_file() for name in MARKS):
        raise UserError(f"out={out}: is a run's folder, whose predictions.csv stays; name another")
    table, remarks = labelled(verdicts, labels)
    if target.exists() and target.samefile(verdicts):
        raise UserError(f"out={out}: predictions={verdicts} lies there and would be written over")
    write_predictions(table, target)
    return target, remarks
