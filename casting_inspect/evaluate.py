"""`evaluate`: metrics and figures from a table of predictions, and maps from a run's networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from casting_inspect.config import run_command
from casting_inspect.errors import UserError

if TYPE_CHECKING:
    from casting_inspect.evaluation.terms import Terms


def job(cfg: DictConfig) -> None:
    """Evaluate one table, look at a run's pictures if asked to, and say where the result is."""
    from casting_inspect.evaluation.evaluate import (
        evaluate_predictions,
        notes_beside,
        terms_beside,
    )
    from casting_inspect.evaluation.inspected import Labels, write_labelled
    from casting_inspect.evaluation.predictions import read_predictions
    from casting_inspect.evaluation.report.write import write_report
    from casting_inspect.evaluation.tables import print_metrics
    from casting_inspect.evaluation.terms import terms_of

    if cfg.heatmaps != "none" and cfg.run is None:
        raise UserError(
            f"heatmaps={cfg.heatmaps}: maps are taken from a run's networks; add run=RUN_DIR."
        )
    folder = Path(cfg.run) if cfg.run is not None else None
    predictions, out = (
        folder / default
        if folder is not None and OmegaConf.is_missing(cfg, key)
        else Path(cfg[key])
        for key, default in (("predictions", "predictions.csv"), ("out", "evaluation"))
    )
    if cfg.labels is not None:
        labels = Labels(Path(cfg.labels), cfg.group_from, cfg.normal, dict(cfg.aliases))
        predictions, remarks = write_labelled(predictions, labels, out)
        print(*remarks, sep="\n", end="\n" if remarks else "")
    terms = terms_of(
        terms_beside(predictions),
        {str(key): cfg[key] for key in cfg if not OmegaConf.is_missing(cfg, key)},
    )
    read_predictions(predictions)  # what can be refused comes before anything is written
    breaking = stressed(cfg, predictions, out, terms) if cfg.stress else []
    if cfg.heatmaps != "none":
        draw(cfg, out)
    print_metrics(evaluate_predictions(predictions, out, notes_beside(predictions), terms))
    if breaking:
        print("\n".join(breaking))
    agreed = {key: cfg[key] for key in ("max_escape", "max_overkill")}
    write_report(out, predictions, limits=agreed, root=moved_to(cfg))
    print(f"metrics, figures, report.html and acceptance.html: {out}")


def stressed(cfg: DictConfig, predictions: Path, out: Path, terms: Terms) -> list[str]:
    """Put a run's test pictures under stress and say where an error has risen."""
    from casting_inspect.training.stress import stress_run

    allowed = tuple(cfg.allow_targets)
    found = stress_run(
        predictions, out, terms, cfg.stress_limit, print, allowed=allowed, root=moved_to(cfg)
    )
    sentences: list[str] = found["sentences"]
    return sentences


def draw(cfg: DictConfig, out: Path) -> None:
    """Write the maps that the configuration asks for."""
    from casting_inspect.training.run_heatmaps import heatmaps_of_run
    from casting_inspect.training.trained_run import MapChoice

    maps = cfg.map
    heatmaps_of_run(
        Path(cfg.run),
        out,
        which=cfg.heatmaps,
        most=maps.most,
        choice=MapChoice(maps.layer, maps.weights, maps.smooth, maps.turns),
        root=moved_to(cfg),
        allow_targets=list(cfg.allow_targets),
    )


def moved_to(cfg: DictConfig) -> Path | None:
    """Return where the run's pictures are now, None for where they were."""
    return Path(cfg.root) if cfg.root is not None else None


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("evaluate", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
