"""`evaluate`: metrics and figures from a table of predictions."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from casting_inspect.config import run_command


def job(cfg: DictConfig) -> None:
    """Evaluate one table and say where the result is."""
    from casting_inspect.evaluation.evaluate import (
        evaluate_predictions,
        notes_beside,
        terms_beside,
    )
    from casting_inspect.evaluation.report.write import write_report
    from casting_inspect.evaluation.stress import breaking_sentences
    from casting_inspect.evaluation.tables import print_metrics
    from casting_inspect.evaluation.terms import terms_of

    out, predictions = Path(cfg.out), Path(cfg.predictions)
    terms = terms_of(terms_beside(predictions), dict(cfg))
    found = None
    if cfg.stress:  # first, for it can be refused
        from casting_inspect.training.stress import stress_run

        allowed = tuple(cfg.allow_targets)
        found = stress_run(predictions, out, terms, cfg.stress_limit, print, allowed)
    print_metrics(evaluate_predictions(predictions, out, notes_beside(predictions), terms))
    if found is not None:
        print("\n".join(breaking_sentences(found["breaks_at"])))
    write_report(out, predictions)
    print(f"metrics, figures and report.html: {out}")


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("evaluate", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
