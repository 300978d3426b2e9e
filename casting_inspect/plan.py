"""`plan`: how many castings an acceptance test needs, and what to photograph."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from casting_inspect.config import run_command


def job(cfg: DictConfig) -> None:
    """Write the plan and say it."""
    from casting_inspect.evaluation.sampling_report import TO_PHOTOGRAPH, make_plans, write_plan

    limits = {"escape": cfg.max_escape, "overkill": cfg.max_overkill}
    expected = {
        "escape": _or_fifth(cfg.expected_escape, cfg.max_escape),
        "overkill": _or_fifth(cfg.expected_overkill, cfg.max_overkill),
    }
    plans = make_plans(limits, expected, cfg.confidence, cfg.power)
    out = Path(cfg.out)
    print("\n".join(write_plan(plans, out, cfg.confidence, cfg.power)))
    print("\nWhat to photograph:")
    print("\n".join(f"- {line}" for line in TO_PHOTOGRAPH))
    print(f"\nplan.html, plan.json, oc.csv and oc.png: {out}")


def _or_fifth(expected: float | None, limit: float) -> float:
    return limit / 5.0 if expected is None else float(expected)


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("plan", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
