"""`compare`: models on the same test files, with intervals, tests and a page to read."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from casting_inspect.config import run_command
from casting_inspect.errors import UserError


def job(cfg: DictConfig) -> None:
    """Compare runs and say where the result is."""
    from casting_inspect.evaluation.comparison_report import compare_runs
    from casting_inspect.evaluation.comparison_screen import print_comparison

    out = Path(cfg.out)
    print_comparison(compare_runs(sources(cfg.runs), out, cfg.reference))
    print(f"comparison: {out / 'comparison.html'}")


def sources(runs: str | ListConfig) -> list[Path]:
    """Return the folders and tables that ``runs`` names: one, or ``[A,B]``.

    Raises:
        UserError: If the list is empty or cannot be read.
    """
    if isinstance(runs, str) and runs.startswith("[") and not Path(runs).exists():
        try:
            runs = OmegaConf.create(runs)  # type: ignore[assignment]
        except Exception as error:
            raise UserError(f"runs={runs}: not a list; write runs=[A,B].") from error
    found = [Path(str(one)) for one in ([runs] if isinstance(runs, str) else runs)]
    if not found:
        raise UserError("runs=[]: names nothing; write runs=DIR or runs=[A,B].")
    return found


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("compare", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
