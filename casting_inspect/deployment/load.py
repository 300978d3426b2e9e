"""From a path to a scorer: a bundle's, or a run's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from casting_inspect.deployment.bundle import RECORD, is_bundle
from casting_inspect.deployment.scorer import Scorer
from casting_inspect.deployment.verdict import PictureScorer
from casting_inspect.errors import UserError


def scorer_of(
    path: Path | str,
    threads: int | None = None,
    allow_targets: Sequence[str] = (),
    heatmaps: bool = False,
) -> PictureScorer:
    """Return the scorer of a bundle or of a run folder; for a run torch is imported.

    Args:
        path: The folder.
        threads: Processors that one call of a bundle may use; None: all that this process has.
        allow_targets: Classes of the user's own that a run's checkpoint may instantiate.
        heatmaps: Whether maps will be asked for; see `Scorer` and `RunScorer`.

    Raises:
        UserError: If it is neither, or cannot be used.
    """
    folder = Path(path)
    if is_bundle(folder):
        return Scorer(folder, threads=threads, heatmaps=heatmaps)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name a bundle or a run folder")
    if not (folder / "config.yaml").is_file():
        raise UserError(
            f"{folder} is neither a bundle (it has no {RECORD}) nor a run folder (it has no "
            "config.yaml)"
        )
    from casting_inspect.deployment.run_scorer import RunScorer

    return RunScorer(folder, allow_targets, heatmaps)
