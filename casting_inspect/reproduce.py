"""`reproduce`: a finished run done again, and whether it gives the same."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from casting_inspect.config import command_line, run_command


def job(cfg: DictConfig) -> None:
    """Do a run again, say how the two agree, and leave with 1 where it was not reproduced."""
    from casting_inspect.training.reproduction import RESULT, reproduce, sentences

    run, out = Path(cfg.run), Path(cfg.out)
    found = reproduce(
        run,
        out,
        command_line(),
        root=Path(cfg.root) if cfg.root is not None else None,
        weights=Path(cfg.weights) if cfg.weights is not None else None,
        allow_targets=list(cfg.allow_targets),
        fresh=cfg.fresh,
        tolerance=cfg.tolerance,
    )
    print("\n".join(sentences(found, run)))
    print(f"as JSON: {out / RESULT}")
    if not found.reproduced:
        raise SystemExit(1)


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("reproduce", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
