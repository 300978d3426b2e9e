"""One model of a comparison: its runs pooled, its figures with intervals, and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from casting_inspect.evaluation import differences, intervals
from casting_inspect.evaluation.gathering import Run
from casting_inspect.evaluation.metrics import Figure, truths, verdicts
from casting_inspect.evaluation.pooling import averaged_over_seeds, headline, under_grouping
from casting_inspect.labels import DEFECTIVE, NORMAL

ENOUGH_SEEDS: Final = 5
"""A network trained end to end needs so many before anything is called better."""
FLOOR: Final = "floor_"
BY_FILE: Final = ("accuracy", "precision", "recall", "f1", "escape_rate", "overkill_rate")


@dataclass(frozen=True)
class Spread:
    """Balanced accuracy by group over seeds, folds or partitions; sd is None for one value."""

    mean: float
    sd: float | None
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Contender:
    """One model: its runs pooled.

    Attributes:
        name: With the settings that tell it apart from another of its kind.
        runs: Its runs.
        table: Test rows with one score a file, partition and fold: seeds averaged.
        grouping: ``group`` or ``group_wide``, whichever gives the lower balanced accuracy.
        figures: What ``split_metrics`` gives under ``grouping``.
        under: The same under each grouping that differs.
        by_file: Figures by file with bootstrap limits.
        spread: Over ``seeds``, ``folds`` and ``partitions``.
        seeds: How many there are.
        even: Every fold of every partition has all of them.
        trained: ``floor``, ``frozen``, ``end to end`` or ``unknown``.
    """

    name: str
    runs: tuple[Run, ...]
    table: pd.DataFrame
    grouping: str
    figures: Mapping[str, Any]
    under: Mapping[str, Mapping[str, Any]]
    by_file: Mapping[str, Figure]
    spread: Mapping[str, Spread]
    seeds: int
    even: bool
    trained: str

    @property
    def partitions(self) -> list[int]:
        """The partitions that it was tested in, ascending."""
        return sorted(int(number) for number in self.table["partition"].unique())

    @property
    def needs_seeds(self) -> bool:
        """Whether more seeds are needed before it is called better or worse."""
        return self.trained in ("end to end", "unknown") and self.seeds < ENOUGH_SEEDS


def contender(name: str, runs: Sequence[Run]) -> Contender:
    """Pool a model's runs and measure them."""
    everything = pd.concat([run.table for run in runs], ignore_index=True)
    table = averaged_over_seeds(everything)
    grouping, figures, under = headline(table)
    return Contender(
        name=name,
        runs=tuple(runs),
        table=table,
        grouping=grouping,
        figures=figures,
        under=under,
        by_file=file_figures(under_grouping(table, grouping), figures),
        spread=spreads(everything, table, grouping),
        seeds=int(everything["seed"].nunique()),
        even=everything.groupby(["partition", "fold"])["seed"].nunique().nunique() == 1,
        trained=how_trained(runs),
    )


def how_trained(runs: Sequence[Run]) -> str:
    """Return ``floor``, ``frozen``, ``end to end``, or ``unknown`` for tables of other tools."""
    if runs[0].model.startswith(FLOOR):
        return "floor"
    taken = {run.record.get("paths_taken", {}).get("finetune") for run in runs}
    if taken <= {"frozen", "probe"}:
        return "frozen"
    return "unknown" if taken == {None} else "end to end"


def file_figures(table: pd.DataFrame, figures: Mapping[str, Any]) -> dict[str, Figure]:
    """Return the figures by file; limits by bootstrap over groups where they are ratios of sums.

    Every figure carries ``approximate`` where Kish's number of groups is below 30 or fewer than
    10 groups have an error.

    Args:
        table: Test rows of one model.
        figures: Its ``split_metrics``.
    """
    normal, passes = truths(table), verdicts(table)
    columns = {"normal": normal, "right": passes == normal, "passes": passes, "files": 1}
    frame = pd.DataFrame({"group": table["group"].to_numpy(), **columns})
    units = frame.groupby(["normal", "group"], sort=True).sum().reset_index()
    units = units.sort_values(["normal", "files", "right", "group"], kind="stable")
    wrong = (units["files"] - units["right"]).to_numpy(np.float64)
    files, passed = (units[name].to_numpy(np.float64) for name in ("files", "passes"))
    good = units["normal"].to_numpy(dtype=bool)
    double = np.where(good, 2.0 * passed, 0.0)  # 2 TP
    ratios = {
        "accuracy": (files - wrong, files),
        "precision": (np.where(good, passed, 0.0), passed),
        "recall": (np.where(good, passed, 0.0), np.where(good, files, 0.0)),
        "f1": (double, double + wrong),
        "escape_rate": (np.where(good, 0.0, wrong), np.where(good, 0.0, files)),
        "overkill_rate": (np.where(good, wrong, 0.0), np.where(good, files, 0.0)),
    }
    few = len(np.unique(frame["group"][~frame["right"]])) < intervals.ENOUGH_GROUPS
    rough = few or figures["n_groups_effective"] < intervals.ENOUGH_EFFECTIVE
    found: dict[str, Figure] = {}
    for name, (parts, wholes) in ratios.items():
        value = figures[name]
        if value is None:
            found[name] = {"value": None, "low": None, "high": None}
            continue
        low, high = intervals.ratio_limits(parts, wholes, good)
        found[name] = {
            **{"value": value, "low": min(low, value), "high": max(high, value)},
            "approximate": rough,
        }
    return found


def spreads(everything: pd.DataFrame, table: pd.DataFrame, grouping: str) -> dict[str, Spread]:
    """Return the spread of balanced accuracy by group over seeds, folds and partitions.

    Seeds are each pooled over folds and partitions; folds and partitions have seeds averaged.
    """
    by = {
        "seeds": [balanced(rows, grouping) for _, rows in everything.groupby("seed", sort=True)],
        "folds": list(differences.fold_balanced_accuracy(table, grouping)),
        "partitions": [balanced(rows, grouping) for _, rows in table.groupby("partition")],
    }
    return {name: spread for name, values in by.items() if (spread := _spread(values))}


def _spread(values: Sequence[float]) -> Spread | None:
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return None
    sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Spread(float(np.mean(known)), sd, min(known), max(known), len(known))


def balanced(table: pd.DataFrame, grouping: str) -> float:
    """Return balanced accuracy by group, NaN where a class is missing."""
    rates = [differences.error_rates(table, label, grouping) for label in (DEFECTIVE, NORMAL)]
    return 1.0 - float(sum(rate.mean() if len(rate) else np.nan for rate in rates)) / 2.0
