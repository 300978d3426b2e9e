"""A finished run's test pictures, changed and shown to its network again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.data.changes import CHANGES, Picture, changed
from casting_inspect.errors import UserError
from casting_inspect.evaluation.figures import save_figure
from casting_inspect.evaluation.parts import judged
from casting_inspect.evaluation.stress import (
    Step,
    breaking_points,
    breaking_sentences,
    spread_sample,
    stress_table,
)
from casting_inspect.evaluation.stress_figure import stress_figure
from casting_inspect.evaluation.terms import Terms
from casting_inspect.files import replace_csv, replace_json
from casting_inspect.training.trained_run import Inspector, TrainedRun

Floats = NDArray[np.float64]

BATCH: Final = 16
TIMED: Final = 5
"""Steps of the first batch after which it is said how long all of them will take."""
STEPS: Final = [
    Step(kind, level, strength, change.unit)
    for kind, change in CHANGES.items()
    for level, strength in enumerate(change.strengths, start=1)
]


def stress_run(
    predictions: Path,
    out: Path,
    terms: Terms,
    limit: int | None,
    say: Callable[[str], None],
    allowed: tuple[str, ...] = (),
    root: Path | None = None,
) -> dict[str, Any]:
    """Change the test pictures of a run in every way, score them, and write what that does.

    ``stress.csv`` (``evaluation.stress.FIELDS``), ``stress.json`` and ``stress.png``, each in one
    step, when all is scored.

    Args:
        predictions: ``predictions.csv`` of a finished run, in its folder.
        out: The folder to write to.
        terms: Whether files or parts are judged.
        limit: Pictures at most, spread over groups; None for all.
        say: Prints a line.
        allowed: Classes of the user's own that a checkpoint may name.
        root: Where the run's pictures are now; None for where they were.

    Returns:
        What ``stress.json`` holds: ``split``, ``files`` of ``files_in_split``, ``terms``,
        ``breaks_at`` {kind: strength and error, or None}, and ``sentences`` on that.

    Raises:
        UserError: If there is no such run, it keeps no network, or a picture is missing.
    """
    run = TrainedRun(predictions.parent, root, allow_targets=allowed)
    table = run.scored()
    judged(table, terms)  # parts that nobody named: before the minutes, not after
    rows = table.iloc[spread_sample(table, limit, terms.unit)].reset_index(drop=True)
    if not len(rows):
        raise UserError(f"stress_limit={limit}: no part has so few pictures; raise it")
    groups = rows["group_wide"].nunique()
    say(
        f"stress: {len(rows):,} of {len(table):,} pictures of {groups:,} groups, each changed in "
        f"{len(CHANGES)} ways at five strengths"
    )
    plain, scores = _all_scores(run, rows, say)
    found = stress_table(rows, plain, zip(STEPS, scores, strict=True), terms)
    points = breaking_points(found)
    facts = {
        "split": str(rows["split"].iloc[0]),
        "files": len(rows),
        "files_in_split": len(table),
        "terms": terms.plain(),
        "breaks_at": points,
        "sentences": breaking_sentences(found),
    }
    out.mkdir(parents=True, exist_ok=True)
    replace_csv(out / "stress.csv", found)
    save_figure(stress_figure(found, points), out / "stress.png")
    replace_json(out / "stress.json", facts)
    return facts


def _all_scores(
    run: TrainedRun, rows: pd.DataFrame, say: Callable[[str], None]
) -> tuple[Floats, list[Floats]]:
    """Return log-odds of the plain pictures and of every step, batch by batch of pictures."""
    plain = np.full(len(rows), np.nan)
    scores = [np.full(len(rows), np.nan) for _ in STEPS]
    batches = [
        places[start : start + BATCH]
        for _, places in sorted(rows.groupby("fold").indices.items())
        for start in range(0, len(places), BATCH)
    ]
    inspector, fold = None, None
    for number, places in enumerate(batches):
        if rows["fold"].iloc[places[0]] != fold:
            fold = int(rows["fold"].iloc[places[0]])
            inspector = run.inspector(fold)
        assert inspector is not None
        names = rows["path"].iloc[places].tolist()
        pictures = [inspector.square(run.path_of(name))[1] for name in names]
        plain[places] = inspector.log_odds(np.stack(pictures))
        began = time.monotonic()
        for at, logits in enumerate(_of_steps(inspector, pictures, names)):
            scores[at][places] = logits
            if number == 0 and at + 1 == TIMED:
                each = (time.monotonic() - began) / TIMED / len(places)
                say(f"stress: about {each * len(rows) * len(STEPS) / 60:.1f} minutes")
    return plain, scores


def _of_steps(inspector: Inspector, pictures: list[Picture], names: list[str]) -> Iterator[Floats]:
    for step in STEPS:
        pairs = zip(pictures, names, strict=True)
        shown = [changed(picture, step.kind, step.level - 1, name) for picture, name in pairs]
        yield inspector.log_odds(np.stack(shown))
