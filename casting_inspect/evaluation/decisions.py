"""The rules that turn scores into a verdict, each with the reason for its threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from casting_inspect.errors import UserError
from casting_inspect.evaluation.escape import castings_needed, escape_threshold
from casting_inspect.evaluation.metrics import truths
from casting_inspect.evaluation.parts import judged
from casting_inspect.evaluation.predictions import complete_predictions
from casting_inspect.evaluation.reviewing import WAYS, Argued, by_least_cost, words_of
from casting_inspect.evaluation.terms import terms_of
from casting_inspect.evaluation.thresholds import one_score, shares_by_group, youden

Options = Mapping[str, Any]

WITHOUT_EVIDENCE: Final = 0.5
"""The threshold where nothing can be found from predictions: even odds."""


@dataclass(frozen=True)
class Decision:
    """A threshold and why it is this one.

    Attributes:
        rule: One of ``RULES``.
        threshold: A part passes when ``p_normal`` is above it.
        reason: One sentence.
        facts: What the rule asked for and found, plain values for ``run.json``.
        threshold_low: A part is rejected when ``p_normal`` is at most this, and between the two a
            person looks; None where nobody does.
    """

    rule: str
    threshold: float
    reason: str
    facts: dict[str, Any] = field(default_factory=dict)
    threshold_low: float | None = None

    def columns(self) -> dict[str, float]:
        """Return what the predictions table holds of it, by column."""
        low = {} if self.threshold_low is None else {"threshold_low": self.threshold_low}
        return {"threshold": self.threshold, **low}


def decide(rule: str, options: Options, table: pd.DataFrame | None) -> Decision:
    """Return what a rule decides.

    Args:
        rule: One of ``RULES``.
        options: The rule's own keys; with ``unit=part`` a row a part decides.
        table: A predictions table of validation or out-of-fold rows, nothing of the test part;
            None where there is none.

    Raises:
        UserError: If the rule needs predictions of both classes and has none, or cannot give what
            was asked for; with ``best_effort`` the first is no error but ``WITHOUT_EVIDENCE``.
    """
    if rule not in NEEDS_PREDICTIONS:
        return RULES[rule](pd.DataFrame(), options)
    if table is None:
        return without_evidence(rule, options)
    rows = judged(complete_predictions(table), terms_of(options))
    if rows["label"].nunique() < 2:
        return without_evidence(rule, options)
    found = RULES[rule](rows, options)
    if (score := one_score(rows)) is None:
        return found
    alike = f"every score is {score:.4g}, so no threshold tells castings apart"
    return replace(found, reason=f"{found.reason}; {alike}")


def without_evidence(rule: str, options: Options) -> Decision:
    """Return the threshold of a run that has no validation pictures of both classes.

    Raises:
        UserError: Unless the rule is told to do what it can (``best_effort``).
    """
    lacking = (
        f"decide={rule} finds the threshold on validation pictures of both classes, and this run "
        "has none: take data.split=group with data.inner_folds=5, a data.val_fraction above 0"
    )
    if not options.get("best_effort"):
        raise UserError(f"{lacking}, or decide=fixed")
    reason = f"threshold {WITHOUT_EVIDENCE:g}, which nothing argues for; {lacking}"
    return Decision("fixed", WITHOUT_EVIDENCE, reason, {"asked": rule, "supported": False})


def by_fixed(table: pd.DataFrame, options: Options) -> Decision:
    """Take ``threshold`` as it is."""
    del table
    value = float(options["threshold"])
    return Decision("fixed", value, f"threshold {value:.6g}, as configured")


def by_youden(table: pd.DataFrame, options: Options) -> Decision:
    """Take the threshold of the highest balanced accuracy by group."""
    del options
    value = youden(table)
    return Decision("youden", value, f"threshold {value:.6g}: highest balanced accuracy by group")


def by_escape(table: pd.DataFrame, options: Options) -> Decision:
    """Take the smallest threshold whose bound on escapes is at most ``max_escape``.

    Where the castings are too few for that, ``best_effort`` takes the smallest threshold at which
    none of them escapes.

    Raises:
        UserError: If they are too few and ``best_effort`` is false.
    """
    normal = truths(table)
    defective = ~normal
    asked = float(options["max_escape"])
    found = escape_threshold(
        table["p_normal"].to_numpy(np.float64)[defective],
        table["group_wide"].to_numpy()[defective],
        asked,
    )
    shares = shares_by_group(table, normal)[normal]
    overkill = float(shares @ (table["p_normal"].to_numpy(np.float64)[normal] <= found.threshold))
    price = f"{overkill:.2%} of good ones are rejected there"
    facts = {
        "max_escape": asked,
        "escape_rate": found.escape_rate,
        "escape_bound": found.bound,
        "groups_defective": found.groups,
        "supported": found.supported,
        "groups_needed": found.needed,
        "overkill_rate": overkill,
    }
    if found.supported:
        reason = (
            f"threshold {found.threshold:.6g}: at most {asked:.2%} of defective castings escape, "
            f"by {found.groups} that the model had not seen ({found.escape_rate:.2%} did, bound "
            f"{found.bound:.2%}); {price}"
        )
        return Decision("escape", found.threshold, reason, facts)
    words = (
        f"escapes of at most {asked:.2%} cannot be supported by {found.groups} defective castings: "
        f"without any escape their bound is {found.bound:.2%}, and {found.needed} without one "
        f"would do, {with_escapes(asked)}"
    )
    if not options["best_effort"]:
        raise UserError(f"decide=escape: {words}; or take decide.best_effort=true")
    reason = f"threshold {found.threshold:.6g}, at which none of them escapes; {price}; {words}"
    return Decision("escape", found.threshold, reason, facts)


def with_escapes(max_escape: float) -> str:
    """Return how many castings would do if one, two or three of them escaped."""
    one, two, three = (castings_needed(max_escape, escapes) for escapes in (1, 2, 3))
    return f"{one} with one, {two} with two or {three} with three"


def by_cost(table: pd.DataFrame, options: Options) -> Decision:
    """Take the threshold of least expected cost, or with ``cost_review`` the two of them."""
    return _of_band("cost", by_least_cost(table, options))


def by_review(table: pd.DataFrame, options: Options) -> Decision:
    """Take two thresholds, a person looking at what lies between, as ``by`` says."""
    return _of_band("review", WAYS[options["by"]](table, options))


def _of_band(rule: str, found: Argued) -> Decision:
    alone = rule == "cost" and found.facts["cost_review"] is None
    start = f"threshold {found.band.high:.6g}" if alone else words_of(found.band)
    low = None if alone else found.band.low
    return Decision(rule, found.band.high, f"{start}: {found.reason}", found.facts, low)


RULES: Final[dict[str, Callable[[pd.DataFrame, Options], Decision]]] = {
    "fixed": by_fixed,
    "youden": by_youden,
    "escape": by_escape,
    "cost": by_cost,
    "review": by_review,
}
"""Each from a complete predictions table and the rule's options to a decision."""
NEEDS_PREDICTIONS: Final = frozenset(RULES) - {"fixed"}
