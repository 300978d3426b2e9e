"""The tests of a comparison: which, on what, with how much evidence, and what may be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from casting_inspect.evaluation import differences
from casting_inspect.evaluation.contenders import ENOUGH_SEEDS, Contender
from casting_inspect.evaluation.gathering import Run
from casting_inspect.evaluation.metrics import truths, verdicts
from casting_inspect.evaluation.pooling import groupings_of
from casting_inspect.labels import DEFECTIVE, NORMAL

SIGNIFICANT: Final = 0.05
NO_CLAIM: Final = "no claim yet"


@dataclass(frozen=True)
class Outcome:
    """One test of a model against the reference; a positive difference is more errors.

    Attributes:
        model: The model's name.
        what: ``escapes``, ``overkills``, ``balanced accuracy`` or ``files``.
        method: In words.
        difference: The model's figure less the reference's; None where nothing was tested.
        p: Two-sided; NaN where nothing was tested.
        p_holm: Adjusted for all tests shown.
        evidence: How many groups or folds, in words.
        remark: Why the result is weak, or absent; else empty.
        claim: What may be said.
    """

    model: str
    what: str
    method: str
    difference: float | None
    p: float
    p_holm: float
    evidence: str
    remark: str = ""
    claim: str = ""


def tests_against(reference: Contender, others: Sequence[Contender]) -> tuple[Outcome, ...]:
    """Return the tests of each model against the reference, with Holm over all of them."""
    found: list[tuple[Contender, Outcome]] = []
    for other in others:
        shared = sorted(set(reference.partitions) & set(other.partitions))
        tables = [one.table[one.table["partition"].isin(shared)] for one in (other, reference)]
        if not shared:
            nothing = "no partition in common: nothing is paired"
            found.append((other, _untested(other.name, "escapes", "none", nothing)))
            continue
        found += [(other, test) for test in _tests(other, reference, tables, len(shared))]
    adjusted = differences.holm([test.p for _, test in found])
    return tuple(
        replace(test, p_holm=float(p), claim=claim(test, float(p), other, reference))
        for (other, test), p in zip(found, adjusted, strict=True)
    )


def _tests(
    other: Contender, reference: Contender, tables: Sequence[pd.DataFrame], partitions: int
) -> list[Outcome]:
    grouping = groupings_of(tables[0])[-1]
    found = [
        _sign_flip(other.name, what, label, tables, grouping)
        for what, label in (("escapes", DEFECTIVE), ("overkills", NORMAL))
    ]
    if partitions >= 2:
        found.append(_over_folds(other, reference, tables, grouping))
    if len(tables[0]) == tables[0][grouping].nunique():
        found.append(_file_by_file(other.name, tables))
    return found


def _sign_flip(
    name: str, what: str, label: int, tables: Sequence[pd.DataFrame], grouping: str
) -> Outcome:
    method = "sign-flip over groups"
    rates = [differences.error_rates(table, label, grouping) for table in tables]
    gap = (rates[0] - rates[1]).to_numpy(np.float64)
    if not len(gap):
        return _untested(name, what, method, "the test files have no such casting")
    result = differences.sign_flip(gap)
    evidence = f"{result.differing} of {result.groups} groups differ"
    remark = ""
    if result.few:
        least = 2.0 ** (1 - result.differing) if result.differing else 1.0
        remark = f"fewer than {differences.ENOUGH_DIFFERING} differ: p cannot fall below {least:g}"
    evidence += "" if result.exact else f", {differences.DRAWS:,} draws"
    return Outcome(name, what, method, result.difference, result.p, result.p, evidence, remark)


def _over_folds(
    other: Contender, reference: Contender, tables: Sequence[pd.DataFrame], grouping: str
) -> Outcome:
    what, method = "balanced accuracy", "corrected t over folds"
    ratio = training_ratio((*other.runs, *reference.runs), tables[0])
    if ratio is None:
        return _untested(other.name, what, method, "the size of the training part is not known")
    first, second = (differences.fold_balanced_accuracy(table, grouping) for table in tables)
    gap = (first - second).dropna()
    if len(gap) < 2:
        return _untested(other.name, what, method, "fewer than two folds hold both classes")
    result = differences.corrected_t(gap.to_numpy(np.float64), ratio)
    count = tables[0]["partition"].nunique()
    evidence = f"{result.folds} folds of {count} partitions"
    remark = "the folds do not vary: no test" if np.isnan(result.p) else ""
    if left := len(first) - len(gap):
        remark = f"{left} folds without both classes left out"
    return Outcome(
        other.name, what, method, result.difference, result.p, result.p, evidence, remark
    )


def training_ratio(runs: Sequence[Run], table: pd.DataFrame) -> float | None:
    """Return the size of a test part over that of its training part, None where unknown."""
    folds = table["fold"].nunique()
    if folds > 1:
        return 1.0 / (folds - 1.0)
    for run in runs:
        data = run.config.get("data", {})
        if data.get("split") == "file" and data.get("test_fraction"):
            return float(data["test_fraction"]) / (1.0 - float(data["test_fraction"]))
        if data.get("split") == "group" and data.get("folds"):
            return 1.0 / (float(data["folds"]) - 1.0)
    return None


def _file_by_file(name: str, tables: Sequence[pd.DataFrame]) -> Outcome:
    wrong = [
        (verdicts(rows) != truths(rows))
        for rows in (table.sort_values("path", kind="stable") for table in tables)
    ]
    result = differences.mcnemar_exact(*wrong)
    gap = (result.only_first - result.only_second) / len(tables[0])
    evidence = f"{result.only_first} against {result.only_second} of {len(tables[0]):,} files"
    return Outcome(name, "files", "exact McNemar", gap, result.p, result.p, evidence)


def _untested(name: str, what: str, method: str, reason: str) -> Outcome:
    return Outcome(name, what, method, None, float("nan"), float("nan"), "", reason)


def claim(test: Outcome, p_holm: float, model: Contender, reference: Contender) -> str:
    """Return what may be said of a test: nothing without a difference, seeds before "better"."""
    if np.isnan(p_holm) or test.difference is None:
        return "not tested"
    if p_holm >= SIGNIFICANT or test.difference == 0.0:
        return "no difference shown"
    more = test.difference > 0
    words = {
        "escapes": ("fewer escapes", "more escapes"),
        "overkills": ("fewer good parts rejected", "more good parts rejected"),
        "balanced accuracy": ("lower balanced accuracy", "higher balanced accuracy"),
        "files": ("fewer errors", "more errors"),
    }[test.what][more]
    lacking = [one for one in (model, reference) if one.needs_seeds]
    if not lacking:
        return f"{words} than {reference.name}"
    seeds = ", ".join(f"{one.name} has {one.seeds}" for one in lacking)
    return f"{words} in these runs; {NO_CLAIM}: {ENOUGH_SEEDS} seeds are needed ({seeds})"
