"""`prepare`: check every picture once and write a folder with its manifest."""

from __future__ import annotations

from omegaconf import DictConfig

from casting_inspect.config import run_command


def job(cfg: DictConfig) -> None:
    """Prepare a folder and say what is in it."""
    from casting_inspect.data import intake

    raise NotImplementedError(intake, cfg)


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("prepare", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
