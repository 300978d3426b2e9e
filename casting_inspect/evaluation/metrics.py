"""Figures of one predictions table: by file as in the paper, and by group with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.evaluation import intervals
from casting_inspect.evaluation.predictions import FIT, SPLITS, complete_predictions
from casting_inspect.labels import CLASS_NAMES, NORMAL

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.intp]
Figure = dict[str, float | bool | None]
"""``value``, ``low``, ``high`` (None where undefined), and ``approximate`` where it is."""
UNDEFINED: Final[Figure] = {"value": None, "low": None, "high": None}


class GroupRates(NamedTuple):
    """Each group's own error rate within one class, sorted, and its number of files."""

    rates: Floats
    sizes: Integers


def all_metrics(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return ``split_metrics`` of each split present, keys in the order train, val, test.

    Args:
        frame: A predictions table (see ``predictions.COLUMNS``); defaults are filled in.

    Raises:
        UserError: If the table is not a valid predictions table.
    """
    table = complete_predictions(frame)
    present = [split for split in SPLITS if (table["split"] == split).any()]
    return {split: _metrics(table[table["split"] == split]) for split in present}


def split_metrics(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of one split as plain data, ready for JSON.

    Positive is normal; a part passes when ``p_normal`` is above its row's threshold, and a tie
    is defective. Rates by file pool the rows; AUROC is taken within each fit (model, partition,
    seed, fold, inner fold) and averaged over the fits that hold both classes. Figures that are
    undefined, because a class is missing, are None. A group with both labels counts in both
    classes, with the files of each.

    Args:
        frame: Rows of a predictions table; a column ``split`` is not looked at.

    Returns:
        ``n``, ``n_groups``, ``n_groups_normal``, ``n_groups_defective``, ``n_groups_effective``
        (Kish), ``threshold`` (None where rows differ), ``confusion`` {TP, FN, FP, TN}, by file
        ``accuracy``, ``precision``, ``recall``, ``f1``, ``specificity``, ``escape_rate``,
        ``overkill_rate``, ``balanced_accuracy``, ``auroc``, and ``..._by_group`` of the last
        four as {``value``, ``low``, ``high``}, 95 %. AUROC's interval is a bootstrap and carries
        ``approximate`` where the effective number of groups, of all or of a class, is below 30
        or fewer than 10 groups have an error. ``by_group_wide``, only where ``group_wide`` groups
        the rows in another way: the numbers of groups and the figures by group under it.
        ``headline``: the lower of the two balanced accuracies by group, with its limits, and the
        ``grouping`` that it is under.

    Raises:
        UserError: If the rows are not a valid predictions table.
    """
    return _metrics(complete_predictions(frame))


def truths(frame: pd.DataFrame) -> Bools:
    """Return whether each file is normal in truth, (n,)."""
    return np.asarray(frame["label"] == CLASS_NAMES[NORMAL], dtype=np.bool_)


def verdicts(frame: pd.DataFrame) -> Bools:
    """Return whether each file passes: ``p_normal`` above its row's threshold, ties do not."""
    passes = frame["p_normal"].to_numpy(np.float64) > frame["threshold"].to_numpy(np.float64)
    return np.asarray(passes, dtype=np.bool_)


def confusion_counts(frame: pd.DataFrame) -> dict[str, int]:
    """Return ``TP``, ``FN``, ``FP``, ``TN`` with normal as positive."""
    normal, passes = truths(frame), verdicts(frame)
    return {
        "TP": int(np.count_nonzero(normal & passes)),
        "FN": int(np.count_nonzero(normal & ~passes)),
        "FP": int(np.count_nonzero(~normal & passes)),
        "TN": int(np.count_nonzero(~normal & ~passes)),
    }


def fits_of(frame: pd.DataFrame) -> Integers:
    """Return the number of each row's fit, (n,), in the order of the columns of ``FIT``."""
    return np.asarray(frame.groupby(list(FIT), sort=True).ngroup(), dtype=np.intp)


def auroc(scores: Floats, normal: Bools, weights: Floats | None = None) -> Floats:
    """Return the area under the ROC curve, a tie counting one half, for each row of weights.

    Args:
        scores: Higher means more normal, (n,).
        normal: The truth, (n,).
        weights: Multiplicities, (draws, n); by default ones, (1, n).

    Returns:
        (draws,), NaN where a class has no weight.

    Source: Mann and Whitney's U over the product of the two counts (Hanley and McNeil 1982).
    """
    counts = np.ones((1, len(scores))) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf) > 0)
    if not len(starts):
        return np.full(len(counts), np.nan)
    ordered = counts[:, order]
    good = np.add.reduceat(ordered * normal[order], starts, axis=1)
    bad = np.add.reduceat(ordered, starts, axis=1) - good
    in_order = (good * (np.cumsum(bad, axis=1) - bad / 2.0)).sum(axis=1)
    pairs = good.sum(axis=1) * bad.sum(axis=1)
    return _divided(in_order, pairs)


def _metrics(table: pd.DataFrame) -> dict[str, Any]:
    normal, confusion = truths(table), confusion_counts(table)
    thresholds = table["threshold"].unique()
    counts, by_group = _under_grouping(table, normal, "group")
    figures: dict[str, Any] = {
        "n": len(table),
        **counts,
        "threshold": float(thresholds[0]) if len(thresholds) == 1 else None,
        "confusion": confusion,
        **file_figures(confusion),
        "auroc": _auroc_by_file(table, normal),
        **by_group,
    }
    both = {"group": figures}
    if not _same_grouping(table):
        wide_counts, wide = _under_grouping(table, normal, "group_wide")
        both["group_wide"] = figures["by_group_wide"] = {**wide_counts, **wide}
    return {**figures, "headline": _headline(both)}


def _under_grouping(
    table: pd.DataFrame, normal: Bools, column: str
) -> tuple[dict[str, float], dict[str, Figure]]:
    """Return the numbers of groups, and the figures by group, under one of the two groupings."""
    passes, groups = verdicts(table), pd.factorize(table[column])[0]
    escapes = rates_within_groups(passes[~normal], groups[~normal])
    overkills = rates_within_groups(~passes[normal], groups[normal])
    sizes = np.bincount(groups)
    approximate = (
        min(map(intervals.effective_groups, (sizes, escapes.sizes, overkills.sizes)))
        < intervals.ENOUGH_EFFECTIVE
        or len(np.unique(groups[passes != normal])) < intervals.ENOUGH_GROUPS
    )
    counts = {
        "n_groups": len(sizes),
        "n_groups_normal": len(overkills.rates),
        "n_groups_defective": len(escapes.rates),
        "n_groups_effective": intervals.effective_groups(sizes),
    }
    area = _auroc_by_group(table.assign(group=table[column]), normal, approximate)
    return counts, {**_rates_by_group(escapes, overkills), "auroc_by_group": area}


def _same_grouping(table: pd.DataFrame) -> bool:
    """Say whether sure and possible links give the same groups."""
    sure, wide = pd.factorize(table["group"])[0], pd.factorize(table["group_wide"])[0]
    return bool((sure == wide).all())


def _headline(by_grouping: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the lower balanced accuracy by group of the two groupings, and which it is."""
    figures = {name: found["balanced_accuracy_by_group"] for name, found in by_grouping.items()}
    known = {name: figure for name, figure in figures.items() if figure["value"] is not None}
    name = min(known, key=lambda name: known[name]["value"], default="group")
    return {"grouping": name, **figures[name]}


def file_figures(confusion: Mapping[str, int]) -> dict[str, float | None]:
    """Return the figures by file that follow from the confusion table; positive is normal.

    Args:
        confusion: ``TP``, ``FN``, ``FP``, ``TN``.

    Returns:
        Shares from 0 to 1; None where undefined. Without a normal file precision and F1 say
        nothing and are None too.
    """
    tp, fn, fp, tn = (confusion[key] for key in ("TP", "FN", "FP", "TN"))
    escape, overkill = _share(fp, fp + tn), _share(fn, fn + tp)
    return {
        "accuracy": _share(tp + tn, tp + fn + fp + tn),
        "precision": _share(tp, tp + fp) if tp + fn else None,
        "recall": _share(tp, tp + fn),
        "f1": _share(2 * tp, 2 * tp + fp + fn) if tp + fn else None,
        "specificity": _share(tn, fp + tn),
        "escape_rate": escape,
        "overkill_rate": overkill,
        "balanced_accuracy": _balanced(escape, overkill),
    }


def rates_within_groups(errors: Bools, groups: Integers) -> GroupRates:
    """Return each group's share of errors, sorted so that names and order do not matter.

    Args:
        errors: Whether each file of one class is wrong, (n,).
        groups: The group's number of each file, (n,).
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(numbers)
    rates = np.bincount(numbers, weights=errors) / np.maximum(sizes, 1)
    order = np.lexsort((sizes, rates))
    return GroupRates(rates[order], sizes[order])


def class_rate(events: Bools, groups: Integers) -> Figure:
    """Return the mean over groups of each group's share of events, with its limits.

    Args:
        events: Whether it happened to each file, (n,).
        groups: The group's number of each file, (n,).
    """
    return _rate_figure(rates_within_groups(events, groups))


def _rates_by_group(escapes: GroupRates, overkills: GroupRates) -> dict[str, Figure]:
    escape, overkill = _rate_figure(escapes), _rate_figure(overkills)
    balanced: Figure = dict(UNDEFINED)
    if len(escapes.rates) and len(overkills.rates):
        first, second = float(escapes.rates.mean()), float(overkills.rates.mean())
        low, high = intervals.mover_mean(
            *(first, intervals.rate_limits(*escapes)), *(second, intervals.rate_limits(*overkills))
        )
        balanced = _figure(1.0 - (first + second) / 2.0, (1.0 - high, 1.0 - low))
    return {
        "escape_rate_by_group": escape,
        "overkill_rate_by_group": overkill,
        "balanced_accuracy_by_group": balanced,
    }


def _rate_figure(of_class: GroupRates) -> Figure:
    if not len(of_class.rates):
        return dict(UNDEFINED)
    return _figure(float(of_class.rates.mean()), intervals.rate_limits(*of_class))


def _auroc_by_file(table: pd.DataFrame, normal: Bools) -> float | None:
    scores, fits = table["logit"].to_numpy(np.float64), fits_of(table)
    each = [auroc(scores[fits == fit], normal[fits == fit])[0] for fit in range(fits.max() + 1)]
    defined = [value for value in each if not np.isnan(value)]
    return float(np.mean(defined)) if defined else None


def _auroc_by_group(table: pd.DataFrame, normal: Bools, approximate: bool) -> Figure:
    """Return AUROC of the groups' mean logits within a fit, averaged over fits.

    Where all bootstrap draws agree, [1, 1] say, the limits are Clopper-Pearson's with one trial
    a disjoint pair of a normal and a defective group. For AUROC 1 they hold for certain: all of
    k pairs are in order with probability AUROC**k.
    """
    scores, is_normal = _mean_logits(table, normal)
    present = ~np.isnan(scores)

    def mean_over_fits(weights: Floats) -> Floats:
        total, defined = np.zeros(len(weights)), np.zeros(len(weights))
        for fit, here in zip(scores, present, strict=True):
            areas = auroc(fit[here], is_normal[here], weights[:, here])
            total += np.nan_to_num(areas)
            defined += ~np.isnan(areas)
        return _divided(total, defined)

    value = float(mean_over_fits(np.ones((1, scores.shape[1])))[0])
    if np.isnan(value):
        return dict(UNDEFINED)
    low, high = intervals.bootstrap_over_groups(mean_over_fits, is_normal)
    if low == high:  # every draw is the same: perfect, or too few groups to differ
        pairs = _disjoint_pairs(present, is_normal)
        low, high = intervals.clopper_pearson(value * pairs, pairs)
    figure = _figure(value, (low, high))
    return {**figure, "approximate": True} if approximate else figure


def _mean_logits(table: pd.DataFrame, normal: Bools) -> tuple[Floats, Bools]:
    """Return mean logits (fits, units), NaN where absent, and each unit's class (units,).

    A unit is a group's files of one class. Units are sorted by what they hold, and logits are
    added in their own order, so that neither names nor the order of rows can change a digit.
    """
    frame = pd.DataFrame(
        {
            **{"fit": fits_of(table), "normal": normal},
            **{"group": table["group"].to_numpy(), "logit": table["logit"].to_numpy()},
        }
    ).sort_values("logit")
    means = frame.groupby(["normal", "group", "fit"])["logit"].mean().unstack("fit")
    is_normal = means.index.get_level_values("normal").to_numpy(dtype=bool)
    scores = means.to_numpy(np.float64).T
    order = np.lexsort((*scores, is_normal))
    return scores[:, order], is_normal[order]


def _disjoint_pairs(present: Bools, normal: Bools) -> int:
    """Return how many pairs of a normal and a defective group are surely independent.

    Where no group is in two fits, pairs of all fits count, as many in each as in the poorest
    (the geometric mean of the fits' AUROC is at most their mean); else those of the poorest fit.
    """
    inside = np.minimum((present & normal).sum(axis=1), (present & ~normal).sum(axis=1))
    inside = inside[inside > 0]
    apart = bool((present.sum(axis=0) == 1).all())
    return int(inside.min()) * (len(inside) if apart else 1)


def _figure(value: float, limits: intervals.Limits) -> Figure:
    """Return a figure with its interval; rounding must not push the value out of it."""
    return {"value": value, "low": min(limits[0], value), "high": max(limits[1], value)}


def _divided(parts: Floats, wholes: Floats) -> Floats:
    """Return parts / wholes, NaN where a whole is 0."""
    nothing = np.full(len(wholes), np.nan)
    return np.asarray(np.divide(parts, wholes, out=nothing, where=wholes > 0), dtype=np.float64)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _balanced(escape: float | None, overkill: float | None) -> float | None:
    if escape is None or overkill is None:
        return None
    return 1.0 - (escape + overkill) / 2.0
