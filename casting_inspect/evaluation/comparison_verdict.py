"""The verdict at the top of a comparison: what is shown, what is not, and what spoils it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from casting_inspect.evaluation import comparison_tables
from casting_inspect.evaluation.claims import TOLERATED, leaky_splits
from casting_inspect.evaluation.comparison import Comparison
from casting_inspect.evaluation.contenders import ENOUGH_SEEDS
from casting_inspect.evaluation.gathering import Run
from casting_inspect.evaluation.provenance import Leak, carried_leak, splits_of
from casting_inspect.evaluation.significance import NO_CLAIM, SIGNIFICANT, Outcome
from casting_inspect.percent import percent


def verdict(comparison: Comparison, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the verdict: its ``kind`` (good, warn, bad) and its ``lines``, the leak first.

    Args:
        comparison: What was found.
        runs: All runs, for how they were split.
    """
    shown = [test for test in comparison.tests if test.p_holm < SIGNIFICANT]
    claimed = [test for test in shown if NO_CLAIM not in test.claim]
    leaks, leaky = _leaks(comparison, "leak"), leaky_splits(splits_of(runs))
    lines = _leak_lines(leaks, leaky)
    lines += [_claimed(one, claimed, comparison.reference) for one in _models_of(claimed)]
    alone = len(comparison.contenders) < 2
    if not claimed and not alone:
        lines.append(f"No model is shown to differ from {comparison.reference}.")
    if more := len(shown) - len(claimed):
        lines.append(f"{more} differences would count with {ENOUGH_SEEDS} seeds; they do not yet.")
    known_leak = any(leak.share > TOLERATED for leak in leaks)
    if not known_leak and (looks := _leaks(comparison, "second_look")):
        lines.append(
            "A second method, which knows no groups, suspects a copy in training for "
            f"{percent(max(leak.share for leak in looks), 1)} of the test files."
        )
    values = [one.figures["balanced_accuracy_by_group"]["value"] for one in comparison.contenders]
    known = [value for value in values if value is not None]
    if known and alone:
        lines.append(f"Balanced accuracy by group: {known[0]:.3f}. Nothing to compare it with.")
    elif known:
        lines.append(f"Balanced accuracy by group: {min(known):.3f} to {max(known):.3f}.")
    bad = bool(leaky) or known_leak
    return {"kind": "bad" if bad else "good" if claimed else "warn", "lines": lines}


def _leaks(comparison: Comparison, key: str) -> list[Leak]:
    return [leak for one in comparison.contenders if (leak := carried_leak(one.runs, key))]


def _leak_lines(leaks: Sequence[Leak], leaky: Sequence[str]) -> list[str]:
    if leaks:
        share = percent(max(leak.share for leak in leaks), 1)
        return [
            f"{share} of the test files have another file of their photograph or casting in "
            "training: these figures say little about a new casting."
        ]
    if leaky:
        return [f"Split by {leaky[0]}: copies of test photographs can be in training."]
    return []


def _models_of(outcomes: Sequence[Outcome]) -> list[str]:
    return list(dict.fromkeys(one.model for one in outcomes))


def _claimed(model: str, outcomes: Sequence[Outcome], reference: str) -> str:
    """Return what is claimed of one model in one sentence, with the largest p."""
    own = [one for one in outcomes if one.model == model]
    words = [one.claim.removesuffix(f" than {reference}") for one in own]
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    worst = comparison_tables.p_words(max(one.p_holm for one in own))
    p = f"p {worst}" if worst.startswith("<") else f"p = {worst}"
    largest = "largest " if len(own) > 1 else ""
    return f"{model}: {listed} than {reference} ({largest}{p} after Holm)."
