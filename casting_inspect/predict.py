"""`predict`: verdicts on a folder, a list, a drop folder or a camera, by a bundle or a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from casting_inspect.config import run_command

if TYPE_CHECKING:
    from casting_inspect.deployment.verdict import PictureScorer


def job(cfg: DictConfig) -> None:
    """Inspect the source, say how it ended, and leave with the exit code for it."""
    import threading

    from casting_inspect.data.outcome import say
    from casting_inspect.deployment.inspect import Wanted, inspect
    from casting_inspect.deployment.placing import Sorting
    from casting_inspect.deployment.station import open_source
    from casting_inspect.deployment.stream import Pace

    def path(value: str | None) -> Path | None:
        return None if value is None else Path(value)

    def scorer() -> PictureScorer:
        from casting_inspect.deployment.load import scorer_of

        return scorer_of(
            cfg.model.path,
            threads=cfg.threads,
            allow_targets=tuple(cfg.allow_targets),
            heatmaps=cfg.heatmaps.to is not None,
        )

    wanted = Wanted(
        out=Path(cfg.out),
        resume=cfg.resume,
        sorting=Sorting(Path(cfg.sort.to), cfg.sort.how) if cfg.sort.to else None,
        heatmaps=path(cfg.heatmaps.to),
        heatmaps_of=cfg.heatmaps.of,
        done=path(cfg.drop.done),
        limit=cfg.limit,
        progress=cfg.progress,
    )
    stop = threading.Event()
    items, ledger = open_source(cfg, wanted, stop, say)
    pace = Pace(cfg.batch, cfg.decoders, cfg.max_pixels, items.live, items.newest)
    outcome = inspect(items, scorer, wanted, pace, say, ledger=ledger, stop=stop)
    if outcome.signal:
        print(
            f"casting-inspect predict: stopped; the rows so far are kept, resume=true goes on "
            f"with {cfg.out}",
            file=sys.stderr,
        )
        raise SystemExit(128 + outcome.signal)
    say(f"verdicts: {wanted.out}")
    if code := outcome.tally.exit_code(cfg.fail_on):
        raise SystemExit(code)


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("predict", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
