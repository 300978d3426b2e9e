"""Maps of a finished run: its networks, its table and its pictures brought together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from casting_inspect.data.manifest import read_manifest
from casting_inspect.evaluation.heatmaps import masks_of, write_heatmaps
from casting_inspect.training.trained_run import MapChoice, TrainedRun

DIFFERS = 0.1
"""A network asked again gives the table's ``p_normal`` up to rounding (some hundredths)."""


def heatmaps_of_run(
    folder: Path,
    out: Path,
    *,
    which: str,
    most: int,
    choice: MapChoice,
    root: Path | None = None,
    allow_targets: Sequence[str] = (),
) -> dict[str, Any]:
    """Write maps of a run's pictures, each from the network that scored it, and say so.

    Args:
        folder: The run's.
        out: Where they go (see ``heatmaps.write_heatmaps``).
        which: ``errors``, ``sample`` or ``all``.
        most: Pictures that get an overlay.
        choice: How maps are made.
        root: Where the run's pictures are now; None for where they were.
        allow_targets: Classes of the user's own that its checkpoints may instantiate.

    Returns:
        What ``heatmaps.json`` holds.

    Raises:
        UserError: For anything that the user can mend.
    """
    started = time.perf_counter()
    run = TrainedRun(folder, root, choice, allow_targets)
    masks = masks_of(run.root, read_manifest(run.folder.manifest))
    facts = write_heatmaps(
        run, run.scored(), out, which=which, most=most, seed=int(run.config.seed), masks=masks
    )
    for line in said(facts, out, time.perf_counter() - started):
        print(line)
    return facts


def said(facts: Mapping[str, Any], out: Path, seconds: float) -> list[str]:
    """Return the lines that tell what was written."""
    pictures = facts["pictures"]
    lines = [
        f"heatmaps: {pictures['looked_at']} pictures ({pictures['wrong']} wrong, "
        f"{pictures['doubtful']} doubtful), {pictures['with_overlay']} overlays, in "
        f"{seconds:.0f} s: {out / 'heatmaps'}, {out / 'heatmaps.csv'}"
    ]
    if facts["left_out"]:
        lines.append(
            f"{facts['left_out']} more wrong or doubtful ones were not looked at: raise map.most"
        )
    figures = facts.get("pointing", {}).get("rejected", {})
    if figures.get("n"):
        lines.append(
            f"the map's peak lies on the defect in {figures['pointing_game']:.3f} "
            f"({figures['low']:.3f} to {figures['high']:.3f}) of {figures['groups']} castings that "
            f"are rightly rejected; {figures['heat_inside']:.2f} of the heat lies inside"
        )
    if facts["largest_difference"] > DIFFERS:
        lines.append(
            f"the networks give other scores now than in predictions.csv (p_normal up to "
            f"{facts['largest_difference']:.2f} off): have the pictures or weights changed?"
        )
    return lines
