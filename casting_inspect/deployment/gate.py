"""The checkpoint's own scores, and every rendition's held against them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from casting_inspect.data.decode import Window, read_rgb
from casting_inspect.deployment.decided import Decided
from casting_inspect.deployment.parity import (
    complaints,
    expected_changes,
    parity,
    verdict_numbers,
)
from casting_inspect.deployment.parity_sets import ParitySet
from casting_inspect.deployment.runtimes import Engine, Pixels
from casting_inspect.deployment.scorer import squared
from casting_inspect.evaluation.terms import Terms
from casting_inspect.training.trained_run import Inspector

Floats = NDArray[np.float64]
Ask = Callable[[Pixels], Floats]
"""From RGB pictures (N, S, S, 3) to calibrated and shifted log-odds of normal (N,)."""

BATCHES: Final = (1, 7)
"""Sizes of batch in which a bundle must agree: a camera's, and one that divides few numbers."""
_CHUNK: Final = 56
NEAREST: Final = 256
"""Pictures next to a limit, which tell soon that a rendition will not do."""


@dataclass(frozen=True)
class Sight:
    """How pictures come to the network.

    Attributes:
        side: Pixels a side of the square.
        fit: See ``decode.resize_square``.
        window: For pictures of more than 8 bits, or None.
    """

    side: int
    fit: str
    window: Window | None

    def squares(self, paths: Sequence[Path]) -> Pixels:
        """Return pictures as `Scorer` gives them to a model, (n, S, S, 3)."""
        found = [squared(read_rgb(path, self.window), self.side, self.fit) for path in paths]
        return np.stack(found)


def checkpoint_asked(inspector: Inspector, decided: Decided) -> Ask:
    """Return the checkpoint by training's own way, in float32 on the CPU."""
    exact = replace(
        inspector,
        network=inspector.network.cpu(),
        device=torch.device("cpu"),
        precision="32-true",
    )

    def ask(pixels: Pixels) -> Floats:
        return decided.calibration.log_odds(exact.log_odds(pixels)) + decided.shift

    return ask


def scores(found: ParitySet, sight: Sight, ways: Mapping[str, tuple[Ask, int]]) -> list[Floats]:
    """Return the log-odds of a set's pictures by each of some ways, each picture read once.

    Args:
        found: The pictures.
        sight: How they are shown.
        ways: What is asked, and in batches of how many pictures, by what a progress bar says.

    Raises:
        UserError: If a picture cannot be read.
    """
    paths, answers = found.paths(), [np.empty(len(found.table)) for _ in ways]
    with _progress() as progress:
        bar = progress.add_task(f"{', '.join(ways)} on {found.name}", total=len(paths))
        for start in range(0, len(paths), _CHUNK):
            pixels = sight.squares(paths[start : start + _CHUNK])
            for answer, (ask, size) in zip(answers, ways.values(), strict=True):
                for at in range(0, len(pixels), size):
                    some = pixels[at : at + size]
                    answer[start + at : start + at + len(some)] = ask(some)
            progress.advance(bar, len(pixels))
    return answers


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


@dataclass(frozen=True)
class Finding:
    """What the gate says of a rendition.

    Attributes:
        figures: By set: ``pictures`` (which), ``n``, ``learnt`` and a comparison for each batch.
        complaints: Why it may not ship; empty where it may.
    """

    figures: dict[str, Any]
    complaints: list[str]


class Gate:
    """Sets of pictures with the checkpoint's scores of them.

    Args:
        sets: The run's own pictures, and any others.
        sight: How they are shown.
        decided: The run's decision.
        terms: What is passed or rejected.
        checkpoint: What every rendition is held against.
        batch: In batches of how many pictures it is asked.
    """

    def __init__(
        self,
        sets: Sequence[ParitySet],
        sight: Sight,
        decided: Decided,
        terms: Terms,
        checkpoint: Ask,
        batch: int = 28,
    ) -> None:
        self.sets = tuple(sets)
        self.sight = sight
        self.decided = decided
        self.terms = terms
        self.references = [
            scores(one, sight, {"checkpoint": (checkpoint, batch)})[0] for one in sets
        ]

    def judge(self, engines: Sequence[Engine], max_changes: float) -> Finding:
        """Hold a rendition against the checkpoint on every picture of every set.

        Args:
            engines: The rendition for each of `BATCHES`, opened as it may be: without and with its
                map.
            max_changes: Largest share of verdicts that may change.
        """
        figures: dict[str, Any] = {}
        said: list[str] = []
        for one, reference in zip(self.sets, self.references, strict=True):
            ways = {
                f"batch {size}": (_asked(engine), size)
                for size, engine in zip(BATCHES, engines, strict=True)
            }
            found = scores(one, self.sight, ways)
            limits = self.decided.limits_log_odds
            compared = [parity(one.table, reference, each, limits, self.terms) for each in found]
            for size, each, scored in zip(BATCHES, compared, found, strict=True):
                if one.learnt:
                    each["expected_change_share"] = self._expected(one, scored - reference)
                said += [f"{one.name}, batch {size}: {c}" for c in complaints(each, max_changes)]
            figures[one.name] = {
                "pictures": one.words,
                "n": len(one.table),
                "learnt": one.learnt,
                **{f"batch_{size}": each for size, each in zip(BATCHES, compared, strict=True)},
            }
        return Finding(figures, said)

    def hopeless(self, engine: Engine, max_changes: float) -> list[str]:
        """Return why a rendition cannot pass, by the pictures next to a limit alone."""
        for one, reference in zip(self.sets, self.references, strict=True):
            limits = self.decided.limits_log_odds
            away = np.minimum(abs(reference - limits.high), abs(reference - limits.low))
            near = np.sort(np.argsort(away, kind="stable")[:NEAREST])
            few = replace(one, table=one.table.iloc[near].reset_index(drop=True))
            found = scores(few, self.sight, {"next to the limits": (_asked(engine), BATCHES[-1])})
            before, after = (verdict_numbers(s, limits) for s in (reference[near], found[0]))
            changes = int(np.count_nonzero(before != after))
            if changes > max_changes * len(one.table):
                share = changes / len(one.table)
                return [
                    f"{one.name}: at least {changes} of {len(one.table)} verdicts change "
                    f"({share:.2%}, at most {max_changes:.2%} may)"
                ]
        return []

    def _expected(self, one: ParitySet, gaps: Floats) -> float:
        """Return the share of verdicts that these differences change on pictures new to it."""
        logits = one.table["logit"].to_numpy(np.float64)
        unseen = self.decided.calibration.log_odds(logits) + self.decided.shift
        limits = self.decided.limits_log_odds
        edges = [limits.high] if limits.low == limits.high else [limits.high, limits.low]
        return sum(expected_changes(unseen - edge, gaps) for edge in edges)


def _asked(engine: Engine) -> Ask:
    return lambda pixels: engine(pixels).log_odds
