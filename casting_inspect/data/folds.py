"""Groups as the units of a split: which rows belong together, their class, and their folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.errors import UserError
from casting_inspect.labels import CLASS_NAMES


def units_of(table: pd.DataFrame) -> NDArray[np.intp]:
    """Return the number of each row's unit: rows that must stay in one part of a split.

    Rows of one ``group_wide`` belong together, and so do rows of one ``group``; a row without
    either is a unit of its own. The connected components of both are taken, so that neither can
    straddle even where a table fills ``group_wide`` for some rows only.

    Args:
        table: Columns ``group`` and perhaps ``group_wide``, text, empty where unknown.

    Returns:
        (n,), from 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, names, nodes = [], [], len(table)
    for column in [name for name in ("group", "group_wide") if name in table]:
        numbers = pd.factorize(table[column])[0]
        known = np.flatnonzero((table[column] != "").to_numpy(dtype=bool))
        rows.append(known)
        names.append(numbers[known] + nodes)
        nodes += len(table)
    first, second = np.concatenate(rows), np.concatenate(names)
    links = coo_array((np.ones(len(first)), (first, second)), shape=(nodes, nodes))
    numbers = connected_components(links, directed=False)[1][: len(table)]
    return np.asarray(np.unique(numbers, return_inverse=True)[1], dtype=np.intp)


def classes_of(table: pd.DataFrame) -> pd.Series[str]:
    """Return each unit's class: that of most of its files, ``defective`` at a tie.

    Args:
        table: Columns ``unit`` and ``label``, in canonical order.

    Returns:
        Indexed by unit, in the order in which units come in the table.
    """
    normal_share = (table["label"] == CLASS_NAMES[1]).groupby(table["unit"], sort=False).mean()
    words = np.where(normal_share > 0.5, CLASS_NAMES[1], CLASS_NAMES[0])
    return pd.Series(words, index=normal_share.index, dtype="str")


def conflicts_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return the units that hold files of both classes.

    Args:
        table: Columns ``unit``, ``label``, ``group`` and ``group_wide``.

    Returns:
        A row a unit, the largest first: ``unit``, ``name`` (its ``group_wide``, else ``group``),
        and the files of each class, ``normal`` and ``defective``.
    """
    counts = pd.crosstab(table["unit"], table["label"]).reindex(columns=list(CLASS_NAMES))
    counts = counts.fillna(0).astype(int)
    both = counts[(counts > 0).all(axis=1)]
    named = table["group_wide"].where(table["group_wide"] != "", table["group"])
    names = named[named != ""].groupby(table["unit"]).first()
    found = both.reset_index()
    found["name"] = found["unit"].map(names).astype(str)
    size = found[list(CLASS_NAMES)].sum(axis=1)
    order = np.lexsort((found["name"], -size))
    return found.iloc[order].reset_index(drop=True)[["unit", "name", "normal", "defective"]]


def deal(
    classes: pd.Series[str], folds: int, generator: np.random.Generator
) -> tuple[pd.Series[int], pd.Series[str]]:
    """Deal units into folds, stratified by class, after shuffling them.

    Args:
        classes: The class of each unit (see `classes_of`).
        folds: How many.
        generator: Shuffles the units.

    Returns:
        The fold of each unit, 0 to folds - 1, and the class of each, both in the shuffled order,
        defective ones first. Folds differ by one unit of each class at most, and by one in all.
    """
    shuffled = classes.iloc[generator.permutation(len(classes))]
    ordered = pd.concat([shuffled[shuffled == name] for name in CLASS_NAMES])
    # the second class is dealt on from where the first ended: totals differ by one at most too
    return pd.Series(np.arange(len(ordered)) % folds, index=ordered.index), ordered


def class_counts(classes: pd.Series[str]) -> dict[str, int]:
    """Return the number of units of each class."""
    return {name: int((classes == name).sum()) for name in CLASS_NAMES}


def counted(counts: dict[str, int]) -> str:
    """Return the counts in words, such as ``6 defective and 1 normal``."""
    return " and ".join(f"{count} {name}" for name, count in counts.items())


def inner_folds_of(
    table: pd.DataFrame, folds: int, partition: int, fold: int
) -> tuple[NDArray[np.intp], int]:
    """Return the inner fold of each row of a training part, drawn over its units.

    Args:
        table: The training rows: ``unit`` and ``label``, in canonical order.
        folds: How many are wanted, at least 2; with fewer units of a class there are fewer.
        partition: Seed of the draw.
        fold: The outer fold, part of the seed.

    Returns:
        (n,), from 0, and how many folds there are.

    Raises:
        UserError: If a class has one unit alone, so that no fold could be held out.
    """
    classes = classes_of(table)
    counts = class_counts(classes)
    possible = min(folds, *counts.values())
    if possible < 2:
        raise UserError(
            f"data.inner_folds={folds} needs at least 2 groups of each class to train on: there "
            f"are {counted(counts)}; data.inner_folds=1 data.val_fraction=0 trains without a"
            " validation part"
        )
    generator = np.random.default_rng([partition, fold + 1, 1])
    dealt, _ = deal(classes, possible, generator)
    return np.asarray(table["unit"].map(dealt), dtype=np.intp), possible
