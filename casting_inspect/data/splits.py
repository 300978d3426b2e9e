"""Which pictures train, which validate and which test, independent of the order of rows."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pandas as pd

from casting_inspect.errors import UserError, suggestion
from casting_inspect.labels import CLASS_NAMES

SPLITS: Final = ("file", "vendor", "group", "manifest")


def assign_splits(
    frame: pd.DataFrame,
    *,
    split: str,
    folds: int = 5,
    fold: int = 0,
    partition: int = 0,
    val_fraction: float = 0.2,
    test_fraction: float = 0.4,
) -> pd.Series[str]:
    """Return each row's part: ``train``, ``val``, ``test``, or empty for a row that stays out.

    - ``group``: fold ``fold`` of ``folds`` is the test part; folds are drawn over groups, so that
      no group is in two parts. A group's class is that of the majority of its files, ``defective``
      at a tie. Validation is ``val_fraction`` of the other groups of each class, at least one
      where two or more are left, drawn from (partition, fold).
    - ``file``: the paper's: ``test_fraction`` of each class's files at random, whatever they show;
      validation is carved out of the rest in the same way, copies of one photograph included.
    - ``vendor``: the column ``split`` as delivered. Validation is carved out of its training files,
      unless it names validation files itself. Rows without a part stay out.
    - ``manifest``: the column ``split`` as it is.

    Rows are taken in the order of their file digest, then path, so their order in the table plays
    no part.

    Args:
        frame: A manifest: ``path``, ``label``, and, as the rule needs them, ``sha256``, ``group``,
            ``split``.
        split: One of `SPLITS`.
        folds: Number of folds, at least 2 (``group`` only).
        fold: The fold that is the test part, 0 to folds - 1 (``group`` only).
        partition: Seed of the draw, at least 0; apart from the seed of weights and order.
        val_fraction: Share of the training part that validates, 0 to below 1.
        test_fraction: Share of the files that tests, above 0 and below 1 (``file`` only).

    Returns:
        One word a row, with the index of ``frame``.

    Raises:
        UserError: If an argument is out of range or the table cannot be split so.
    """
    _check_arguments(split, folds, fold, partition, val_fraction, test_fraction)
    table = _canonical(frame)
    if split == "group":
        parts = _by_group(table, folds, fold, partition, val_fraction)
    elif split == "file":
        parts = _by_file(table, partition, val_fraction, test_fraction)
    else:
        parts = _as_delivered(table, split, partition, val_fraction)
    _check_training(table, parts, split)
    words = np.empty(len(frame), dtype=object)
    words[table["row"].to_numpy()] = parts
    return pd.Series(words, index=frame.index, name="split", dtype="str")


def _check_arguments(
    split: str, folds: int, fold: int, partition: int, val_fraction: float, test_fraction: float
) -> None:
    """Raise UserError for a value out of range."""
    if split not in SPLITS:
        options = ", ".join(SPLITS)
        raise UserError(f"data.split={split}: must be one of {options}.{suggestion(split, SPLITS)}")
    if folds < 2:
        raise UserError(f"data.folds={folds}: must be at least 2")
    if not 0 <= fold < folds:
        raise UserError(
            f"data.fold={fold}: must be from 0 to {folds - 1}, since data.folds={folds}"
        )
    if partition < 0:
        raise UserError(f"data.partition={partition}: must be 0 or more")
    if not 0 <= val_fraction < 1:
        raise UserError(f"data.val_fraction={val_fraction}: must be at least 0 and below 1")
    if not 0 < test_fraction < 1:
        raise UserError(f"data.test_fraction={test_fraction}: must be above 0 and below 1")


def _canonical(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that splits use, sorted by digest and path; ``row`` is the place given."""
    columns = {
        name: frame[name].fillna("").astype(str).to_numpy()
        if name in frame.columns
        else np.full(len(frame), "", dtype=object)
        for name in ("sha256", "path", "label", "group", "split")
    }
    table = pd.DataFrame({**columns, "row": np.arange(len(frame))})
    return table.sort_values(["sha256", "path"], kind="stable", ignore_index=True)


def _by_group(
    table: pd.DataFrame, folds: int, fold: int, partition: int, val_fraction: float
) -> np.ndarray:
    """Return the part of each row of a canonical table, split by group."""
    classes = _group_classes(table)
    _check_groups(classes, folds)
    shuffled = classes.iloc[np.random.default_rng([partition]).permutation(len(classes))]
    part_of_group: dict[str, str] = {}
    rest: list[pd.Series[str]] = []
    dealt = 0
    for name in CLASS_NAMES:
        mine = shuffled[shuffled == name]
        # the second class is dealt on from where the first ended: totals differ by one at most too
        tested = (np.arange(len(mine)) + dealt) % folds == fold
        dealt += len(mine)
        part_of_group.update(dict.fromkeys(mine.index[tested], "test"))
        rest.append(mine[~tested])
    # numpy takes [p] and [p, 0] for the same seed, hence the 1
    generator = np.random.default_rng([partition, fold + 1])
    for mine in rest:
        drawn = generator.permutation(len(mine)) < _held_out(len(mine), val_fraction)
        part_of_group.update(zip(mine.index, np.where(drawn, "val", "train"), strict=True))
    parts: np.ndarray = table["group"].map(part_of_group).to_numpy(dtype=object)
    return parts


def _group_classes(table: pd.DataFrame) -> pd.Series[str]:
    """Return the class of each group, groups in the order of their smallest file digest."""
    without = table.loc[table["group"] == "", "path"]
    if len(without):
        raise UserError(
            f"data.split=group needs a group for every picture: {len(without)} of {len(table)} have"
            f" none (first: {without.iloc[0]}); fill the manifest's column 'group', or take"
            " data.split=file (copies of one photograph may then train and test)"
        )
    normal_share = (table["label"] == CLASS_NAMES[1]).groupby(table["group"], sort=False).mean()
    words = np.where(normal_share > 0.5, CLASS_NAMES[1], CLASS_NAMES[0])
    return pd.Series(words, index=normal_share.index, dtype="str")


def _check_groups(classes: pd.Series[str], folds: int) -> None:
    """Raise UserError unless every fold can have a group of each class."""
    counts = {name: int((classes == name).sum()) for name in CLASS_NAMES}
    fewest = min(counts.values())
    if fewest >= folds:
        return
    found = " and ".join(f"{count} {name}" for name, count in counts.items())
    if fewest >= 2:
        possible = f"data.folds={fewest} is possible"
    elif fewest == 1:
        possible = "data.split=file is possible"
    else:
        possible = "groups of both classes are needed"
    raise UserError(
        f"data.folds={folds} needs at least {folds} groups of each class: there are {found};"
        f" {possible}"
    )


def _by_file(
    table: pd.DataFrame, partition: int, val_fraction: float, test_fraction: float
) -> np.ndarray:
    """Return the part of each row of a canonical table, split at random by file."""
    parts = np.full(len(table), "train", dtype=object)
    generator = np.random.default_rng([partition])
    for name in CLASS_NAMES:
        rows = np.flatnonzero(table["label"] == name)
        if len(rows) < 2:
            raise UserError(
                f"data.split=file needs at least 2 pictures of each class: {len(rows)} {name}"
            )
        parts[generator.permutation(rows)[: _held_out(len(rows), test_fraction)]] = "test"
    return _carve_validation(table, parts, partition, val_fraction)


def _as_delivered(
    table: pd.DataFrame, split: str, partition: int, val_fraction: float
) -> np.ndarray:
    """Return the column ``split``, for ``vendor`` with validation carved out where it has none."""
    parts: np.ndarray = table["split"].to_numpy(dtype=object, copy=True)
    present = set(parts)
    if split == "vendor":
        if not {"train", "test"} <= present:
            raise UserError(
                "data.split=vendor needs rows marked train and test in the manifest's column"
                " 'split'; take data.split=group or data.split=file"
            )
        if "val" not in present:
            parts = _carve_validation(table, parts, partition, val_fraction)
    elif "train" not in present or not present & {"val", "test"}:
        raise UserError(
            "data.split=manifest needs rows marked train, and test or val, in the manifest's column"
            " 'split'; take data.split=group or data.split=file"
        )
    return parts


def _carve_validation(
    table: pd.DataFrame, parts: np.ndarray, partition: int, val_fraction: float
) -> np.ndarray:
    """Return the parts with a share of each class's training files turned into validation."""
    carved = parts.copy()
    generator = np.random.default_rng([partition, 1])
    for name in CLASS_NAMES:
        rows = np.flatnonzero((table["label"] == name).to_numpy() & (parts == "train"))
        carved[generator.permutation(rows)[: _held_out(len(rows), val_fraction)]] = "val"
    return carved


def _held_out(count: int, fraction: float) -> int:
    """Return how many of ``count`` are held out: rounded, one at least, and one is left over."""
    if fraction == 0 or count < 2:
        return 0
    return min(max(math.floor(fraction * count + 0.5), 1), count - 1)


def _check_training(table: pd.DataFrame, parts: np.ndarray, split: str) -> None:
    """Raise UserError unless both classes are there to be learnt."""
    labels = table["label"].to_numpy()[parts == "train"]
    for name in CLASS_NAMES:
        if name not in labels:
            raise UserError(
                f"data.split={split} leaves no {name} picture to train on; both classes are needed"
            )
