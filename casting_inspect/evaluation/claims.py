"""What figures from so many groups can show at best, and what a split speaks for."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import Final

from casting_inspect.evaluation.casting_names import CastingNames, casting_note
from casting_inspect.evaluation.intervals import clopper_pearson

TOLERATED: Final = 0.02
"""So many test files with a copy in training are what a good grouping leaves."""


def leaky_splits(splits: Sequence[str]) -> list[str]:
    """Return those of ``data.split`` under which copies can be in training and test."""
    return [split for split in splits if split in ("file", "vendor", "manifest")]


def least_upper_limit(groups: int) -> float:
    """Return the upper 95 % limit of a rate by group without any error: 1 - 0.025^(1/G)."""
    return clopper_pearson(0, groups)[1]


def most_balanced_accuracy(normals: int, defectives: int) -> float:
    """Return the highest lower 95 % limit of balanced accuracy that so many groups allow.

    It is reached without any error: MOVER from the two upper limits of a rate of zero.
    """
    return 1.0 - hypot(least_upper_limit(normals), least_upper_limit(defectives)) / 2.0


def claims(normals: int, defectives: int, names: CastingNames, splits: Sequence[str]) -> list[str]:
    """Return the sentences that stand under every comparison.

    Args:
        normals: Groups of normal castings tested.
        defectives: Groups of defective castings tested.
        names: Where the groups of the test files come from.
        splits: ``data.split`` of the runs, each once; empty where unknown.
    """
    found = []
    if normals and defectives:
        overkill, escape = least_upper_limit(normals), least_upper_limit(defectives)
        found = [
            f"With {normals:,} normal groups even zero errors leave an overkill rate up to "
            f"{100 * overkill:.1f} %; with {defectives:,} defective ones an escape rate up to "
            f"{100 * escape:.1f} % (two-sided 95 %).",
            "So no balanced accuracy above "
            f"{most_balanced_accuracy(normals, defectives):.3f} can be demonstrated on these "
            "files, whatever the point estimate.",
        ]
    if "group" in splits:
        found.append(
            "A split by group speaks for new photographs of this part in these captures; never "
            "for a new lot, light, camera or part."
        )
    if leaky := leaky_splits(splits):
        found.append(
            f"A {' or '.join(leaky)} split can have copies of one photograph in training and in "
            "test; its figures say little about a new casting."
        )
    if note := casting_note(names):
        found.append(note)
    if not splits:
        found.append(
            "How these tables were split is not known: whether copies of one photograph are in "
            "training and in test cannot be told from them."
        )
    return found
