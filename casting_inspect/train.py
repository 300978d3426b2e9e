"""`train`: fit a network and measure it on castings it has never seen."""

from __future__ import annotations

import sys

from omegaconf import DictConfig

from casting_inspect import config, resume
from casting_inspect.multirun import Outcome


def job(cfg: DictConfig) -> Outcome:
    """Train and evaluate one run in the folder that Hydra chose, as far as it is not done yet."""
    from casting_inspect.sweep_runs import attend

    return attend(cfg)


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    typed = sys.argv[1:] if argv is None else argv
    if resume.is_asked_for(typed):
        return config.guarded("train", lambda: resume.resume(typed))
    return config.run_command("train", job, typed)


if __name__ == "__main__":
    raise SystemExit(main())
