"""How much change an inspector bears: escapes and overkills by strength, against unchanged ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from casting_inspect.evaluation.differences import sign_flip
from casting_inspect.evaluation.metrics import class_rate, truths
from casting_inspect.evaluation.parts import judged
from casting_inspect.evaluation.review_figures import three_verdicts
from casting_inspect.evaluation.significance import SIGNIFICANT
from casting_inspect.evaluation.terms import Terms

Floats = NDArray[np.float64]

MUCH: Final = 0.05
"""A rate that has risen by so much is another rate."""
UNCHANGED: Final = "unchanged"
ERRORS: Final = ("escape", "overkill")
_WORDS: Final = {"escape": "escapes", "overkill": "good parts rejected"}
FIELDS: Final = (
    *("kind", "level", "strength", "unit", "files"),
    *(
        f"{error}_{name}"
        for error in ERRORS
        for name in ("groups", "rate", "low", "high", "rise", "differing", "p")
    ),
    "review_rate",
)
"""The columns of ``stress.csv``; the first row is of the pictures as they are."""


class Step(NamedTuple):
    """One change at one strength: its name, place from 1, strength and the strength's unit."""

    kind: str
    level: int
    strength: float
    unit: str


def spread_sample(table: pd.DataFrame, limit: int | None, unit: str = "file") -> NDArray[np.intp]:
    """Return rows that show as many groups as can be, classes in turn, sorted.

    A first file of every group, defective and normal in turn, then a second of each, until there
    are ``limit``; with ``unit=part`` whole parts. The choice follows from paths alone, each model's
    rows (``fold``) being spread alike.

    Args:
        table: A complete predictions table, a row a file.
        limit: Files at most; None for all.
        unit: ``file`` or ``part``.
    """
    if limit is None or len(table) <= limit:
        return np.arange(len(table))
    named = unit == "part"
    units = table["part"].where((table["part"] != "") & named, table["path"])
    rows = pd.DataFrame(
        {
            **{"unit": units, "group": table["group_wide"], "label": table["label"]},
            "order": pd.util.hash_array(units.to_numpy(dtype=object)),
        }
    )
    first = rows.drop_duplicates("unit").sort_values("order", kind="stable")
    first = first.assign(turn=first.groupby(["label", "group"]).cumcount())
    first = first.sort_values(["turn", "order"], kind="stable")
    first = first.assign(place=first.groupby(["label", "turn"]).cumcount())
    ranked = first.sort_values(["turn", "place", "label"], kind="stable")["unit"]
    files = rows["unit"].value_counts()[ranked].cumsum()
    chosen = set(ranked[(files <= limit).to_numpy()])
    return np.flatnonzero(rows["unit"].isin(chosen))


def stress_table(
    table: pd.DataFrame, plain: Floats, scored: Iterable[tuple[Step, Floats]], terms: Terms
) -> pd.DataFrame:
    """Return both error rates by group at every strength, and the test of their rise.

    Rises are of each group's own rate, changed less unchanged, tested by sign-flip over groups of
    ``group_wide``. Errors are wrong verdicts without a person.

    Args:
        table: Rows of a complete predictions table; its own scores are not looked at.
        plain: Log-odds of the pictures as they are, (n,).
        scored: Each step with its log-odds, (n,).
        terms: Whether files or parts are judged.

    Returns:
        A table with the columns of ``FIELDS``; rates 0 to 1, NaN where a class is missing.
    """
    before = _rates(table, plain, terms)
    start = Step(UNCHANGED, 0, 0.0, "")
    found = [_row(start, len(table), before, before)]
    for step, logits in scored:
        found.append(_row(step, len(table), _rates(table, logits, terms), before))
    return pd.DataFrame(found, columns=list(FIELDS))


class _Rates(NamedTuple):
    """Each group's rates by kind of error, indexed by group, their figures, the share reviewed."""

    groups: Mapping[str, pd.Series]
    figures: Mapping[str, Mapping[str, Any]]
    reviewed: float


def _rates(table: pd.DataFrame, logits: Floats, terms: Terms) -> _Rates:
    rows = judged(table.assign(logit=logits, p_normal=expit(logits)), terms)
    normal, verdict = truths(rows), three_verdicts(rows)
    groups, figures = {}, {}
    for error, of_class, wrong in (
        ("escape", ~normal, verdict == 1),
        ("overkill", normal, verdict == 0),
    ):
        names = rows["group_wide"][of_class]
        events = pd.Series(wrong[of_class].astype(np.float64), index=names.index)
        groups[error] = events.groupby(names).mean()
        if of_class.any():
            figures[error] = class_rate(wrong[of_class], pd.factorize(names)[0])
    return _Rates(groups, figures, float(np.mean(verdict == -1)))


def _row(step: Step, files: int, now: _Rates, before: _Rates) -> dict[str, Any]:
    row: dict[str, Any] = {**step._asdict(), "files": files, "review_rate": now.reviewed}
    for error in ERRORS:
        gap = (now.groups[error] - before.groups[error]).to_numpy(np.float64)
        row[f"{error}_groups"] = len(gap)
        if not len(gap):
            continue
        test = sign_flip(gap)
        figure = now.figures[error]
        row |= {f"{error}_{end}": figure[end] for end in ("low", "high")}
        row |= {f"{error}_rate": figure["value"], f"{error}_rise": test.difference}
        row |= {f"{error}_differing": test.differing, f"{error}_p": test.p}
    return row


def breaking_points(table: pd.DataFrame) -> dict[str, dict[str, Any] | None]:
    """Return for each kind of change the weakest strength at which an error has risen for certain.

    Risen is by at least ``MUCH``, with a p below 0.05; None where no strength does that.

    Args:
        table: What ``stress_table`` returns.

    Returns:
        {kind: {``level``, ``strength``, ``unit``, ``error``, ``rate``, ``rise``, ``p``} or None}.
    """
    found: dict[str, dict[str, Any] | None] = {}
    for row in table[table["kind"] != UNCHANGED].to_dict("records"):
        kind = str(row["kind"])
        found.setdefault(kind, None)
        for error in ERRORS:
            rise, p = row[f"{error}_rise"], row[f"{error}_p"]
            if found[kind] is None and rise >= MUCH - 1e-9 and p < SIGNIFICANT:
                found[kind] = {
                    **{key: row[key] for key in ("level", "strength", "unit")},
                    **{"error": error, "rate": row[f"{error}_rate"], "rise": rise, "p": p},
                }
    return found


def breaking_sentences(table: pd.DataFrame) -> list[str]:
    """Return a line for each kind of change: how far it may go, or what is not known of that.

    A rise by ``MUCH`` that too few castings show is named, with its p, and not called none.

    Args:
        table: What ``stress_table`` returns.
    """
    lines = []
    for kind, point in breaking_points(table).items():
        if point is None:
            risen = _not_shown(table[table["kind"] == kind])
            words = "; ".join(risen) or f"no rise of {100 * MUCH:.0f} points up to the strongest"
            lines.append(f"{kind}: {words}")
            continue
        lines.append(
            f"{kind}: at {point['strength']:g} ({point['unit']}) {_WORDS[point['error']]} have "
            f"risen by {100 * point['rise']:.1f} points to {100 * point['rate']:.1f} % "
            f"(p = {point['p']:.2g})"
        )
    return lines


def _not_shown(steps: pd.DataFrame) -> list[str]:
    """Return for each error that has risen by ``MUCH`` its largest rise, called not shown."""
    found = []
    for error, words in _WORDS.items():
        rises = steps[f"{error}_rise"].fillna(0.0)
        if rises.max() < MUCH - 1e-9:
            continue
        top = steps.iloc[int(rises.to_numpy().argmax())]
        differing = top.get(f"{error}_differing")  # a table of an earlier version lacks it
        counted = "" if pd.isna(differing) else f", {differing:.0f} castings differ"
        found.append(
            f"{words} have risen by up to {100 * top[f'{error}_rise']:.1f} points, not shown "
            f"(p = {top[f'{error}_p']:.2g}{counted}; below {SIGNIFICANT} is asked for)"
        )
    return found
