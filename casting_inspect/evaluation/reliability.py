"""Whether probabilities are kept: Brier score, slope, intercept and reliability bins by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from casting_inspect.evaluation import intervals
from casting_inspect.evaluation.calibration import Calibration, fitted, prior_shift
from casting_inspect.evaluation.metrics import Figure, truths
from casting_inspect.evaluation.parts import judged
from casting_inspect.evaluation.predictions import FIT, complete_predictions
from casting_inspect.evaluation.recalibration import NO_OVERLAP, FitRows, intercept, overlap, slope
from casting_inspect.evaluation.tables import reported_split
from casting_inspect.evaluation.terms import Terms
from casting_inspect.evaluation.thresholds import shares_by_group

Floats = NDArray[np.float64]

BINS: Final = 10
ENOUGH_FOR_ECE: Final = 100
"""With fewer groups the expected calibration error is mostly noise, and above 0 by it alone."""
MODEL: Final = [column for column in FIT if column != "inner"]
"""The columns that name one tested model; its inner folds are what it is calibrated on."""
NOT_CALIBRATED: Final = "no validation or out-of-fold rows of both classes to fit a calibration on"
NOT_JUDGED: Final = (
    "no test rows of both classes: a calibration is not judged on what it was fitted on"
)


def frozen_calibration(table: pd.DataFrame | None, terms: Terms) -> dict[str, Any] | None:
    """Return the calibration that a run keeps, as plain data, or None where nothing gives one.

    Args:
        table: A complete predictions table of files that the model has not learnt.
        terms: Method and prevalence.

    Returns:
        ``method``, ``slope``, ``intercept`` and ``temperature`` (1 / slope): calibrated log-odds at
        equally frequent classes are ``slope * logit + intercept``; ``prevalence`` and
        ``prior_shift``, what is added to them for the line.
    """
    if table is None:
        return None
    rows = judged(complete_predictions(table), terms)
    if rows["label"].nunique() < 2:
        return None
    found = fitted(terms.calibration, rows)
    return {
        "method": terms.calibration,
        "slope": found.slope,
        "intercept": found.intercept,
        "temperature": 1.0 / found.slope,
        "prevalence": terms.prevalence,
        "prior_shift": prior_shift(terms.prevalence),
    }


def reliability(table: pd.DataFrame, terms: Terms) -> dict[str, Any]:
    """Return how far the scores are probabilities, before and after calibration, for JSON.

    Each tested model is calibrated on its own validation or inner out-of-fold rows and judged on
    its own test rows; figures are means over models, never over the scores of several. Groups (of
    ``group_wide``) weigh equally within a class and classes equally, so that probabilities are at
    equally frequent classes.

    Args:
        table: A complete predictions table.
        terms: ``calibration``, the method, and what is judged: files or parts.

    Returns:
        ``method``, ``split`` that is judged, ``n``, ``n_groups``, ``models``, ``calibrations``
        (slope and intercept of each model), ``raw`` and ``calibrated`` (None with ``reason``): each
        ``brier``, ``slope``, ``intercept`` as {``value``, ``low``, ``high``}, ``ece`` (None with
        ``ece_reason`` below 100 groups) and ``bins``: ``from``, ``to``, ``predicted``, ``observed``
        (share of normal) with ``low`` and ``high``, ``weight``, ``files``, ``groups``.
    """
    table = judged(table, terms)
    split = reported_split(dict.fromkeys(table["split"].unique(), True))
    rows = table[table["split"] == split].reset_index(drop=True)
    rows = rows.assign(number=pd.factorize(rows["group_wide"])[0])
    models = [some for _, some in rows.groupby(MODEL) if some["label"].nunique() == 2]
    found: dict[str, Any] = {
        "method": terms.calibration,
        "split": split,
        "n": sum(map(len, models)),
        "n_groups": len({number for some in models for number in some["number"]}),
        "models": len(models),
        "calibrations": [],
        "raw": None,
        "calibrated": None,
        "reason": "",
    }
    if not models:
        return {**found, "reason": NOT_JUDGED}
    fits = [_fit_rows(some) for some in models]
    found["raw"] = _figures(fits, found["n_groups"])
    if split != "test":
        return {**found, "reason": NOT_JUDGED}
    calibrations = [_of_model(table, some, terms.calibration) for some in models]
    known = [one for one in calibrations if one is not None]
    if len(known) < len(models):
        return {**found, "reason": NOT_CALIBRATED}
    found["calibrations"] = [{"slope": one.slope, "intercept": one.intercept} for one in known]
    after = [
        FitRows(one.log_odds(fit.logits), fit.normal, fit.shares, fit.groups)
        for one, fit in zip(known, fits, strict=True)
    ]
    return {**found, "calibrated": _figures(after, found["n_groups"])}


def _of_model(table: pd.DataFrame, tested: pd.DataFrame, method: str) -> Calibration | None:
    """Return the calibration of a model's own validation rows; None without both classes."""
    same = (table[MODEL] == tested[MODEL].iloc[0]).all(axis=1) & (table["split"] == "val")
    rows = table[same]
    return fitted(method, rows) if rows["label"].nunique() == 2 else None


def _fit_rows(rows: pd.DataFrame) -> FitRows:
    normal = truths(rows)
    return FitRows(
        rows["logit"].to_numpy(np.float64),
        normal,
        shares_by_group(rows, normal),
        rows["number"].to_numpy(np.intp),
    )


def _figures(fits: Sequence[FitRows], groups: int) -> dict[str, Any]:
    bins = reliability_bins(fits)
    ece = expected_calibration_error(bins) if groups >= ENOUGH_FOR_ECE else None
    few = f"{groups} groups; from {ENOUGH_FOR_ECE} up it says more than chance"
    return {
        "brier": brier(fits),
        "slope": slope(fits),
        "slope_reason": "" if all(map(overlap, fits)) else NO_OVERLAP,
        "intercept": intercept(fits),
        "ece": ece,
        "ece_reason": few if ece is None else "",
        "bins": bins,
    }


def brier(fits: Sequence[FitRows]) -> Figure:
    """Return the mean squared error of the probabilities, with bootstrap limits over groups.

    0 is perfect, 0.25 is one half for everything.

    Source: Brier 1950.
    """
    units = np.unique(np.concatenate([2 * fit.groups + fit.normal for fit in fits]))
    losses = np.full((len(fits), len(units)), np.nan)
    for at, fit in enumerate(fits):
        unit = np.searchsorted(units, 2 * fit.groups + fit.normal)
        error = np.square(expit(fit.logits) - fit.normal)
        files = np.bincount(unit, minlength=len(units))
        sums = np.bincount(unit, error, len(units))
        losses[at, files > 0] = sums[files > 0] / files[files > 0]
    classes = units % 2
    order = np.lexsort((*losses, classes))  # neither names nor order of rows change a digit
    losses, classes = losses[:, order], classes[order]

    def mean_loss(weights: Floats) -> Floats:
        total = np.zeros(len(weights))
        for fit_losses in losses:
            for kind in (0, 1):
                here = (classes == kind) & ~np.isnan(fit_losses)
                below = weights[:, here].sum(axis=1)
                sums = weights[:, here] @ fit_losses[here]
                nothing = np.full(len(weights), np.nan)
                total += np.divide(sums, below, out=nothing, where=below > 0) / 2.0
        return total / len(losses)

    value = float(mean_loss(np.ones((1, len(classes))))[0])
    low, high = intervals.bootstrap_over_groups(mean_loss, classes)
    return {"value": value, "low": low, "high": high}


def reliability_bins(fits: Sequence[FitRows]) -> list[dict[str, Any]]:
    """Return the bins of a reliability diagram that hold anything, from low to high probability.

    Limits of a bin's observed share count its groups by Kish's effective number.
    """
    p = np.concatenate([expit(fit.logits) for fit in fits])
    normal = np.concatenate([fit.normal for fit in fits])
    weights = np.concatenate([fit.shares / fit.shares.sum() for fit in fits]) / len(fits)
    groups = np.concatenate([fit.groups for fit in fits])
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    bins = []
    for number in np.unique(place):
        here = place == number
        weight = float(weights[here].sum())
        observed = min(1.0, float(weights[here] @ normal[here]) / weight)
        by_group = np.bincount(groups[here], weights[here])
        trials = intervals.effective_groups(by_group[by_group > 0])
        low, high = intervals.clopper_pearson(min(observed * trials, trials), trials)
        bins.append(
            {
                "from": number / BINS,
                "to": (number + 1) / BINS,
                "predicted": float(weights[here] @ p[here]) / weight,
                "observed": observed,
                "low": min(low, observed),
                "high": max(high, observed),
                "weight": weight,
                "files": int(np.count_nonzero(here)),
                "groups": int(np.count_nonzero(by_group)),
            }
        )
    return bins


def expected_calibration_error(bins: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean gap between predicted and observed over bins (Naeini and others 2015)."""
    return float(sum(one["weight"] * abs(one["predicted"] - one["observed"]) for one in bins))
