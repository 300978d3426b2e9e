"""`demo`: synthetic castings, training and evaluation in one go."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from casting_inspect.config import run_command


def job(cfg: DictConfig) -> None:
    """Run the demonstration."""
    from casting_inspect.training.demo import run_demo

    run_demo(Path(cfg.out), cfg.weights)


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("demo", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
