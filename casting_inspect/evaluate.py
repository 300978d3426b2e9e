"""`evaluate`: metrics and figures from a table of predictions, and maps from a run's networks."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from casting_inspect.config import run_command
from casting_inspect.errors import UserError


def job(cfg: DictConfig) -> None:
    """Evaluate one table, look at a run's pictures if asked to, and say where the result is."""
    from casting_inspect.evaluation.evaluate import evaluate_predictions, notes_beside
    from casting_inspect.evaluation.tables import print_metrics

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
    print_metrics(evaluate_predictions(predictions, out, notes_beside(predictions)))
    print(f"metrics and figures: {out}")
    if cfg.heatmaps != "none":
        draw(cfg, out)


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
        root=Path(cfg.root) if cfg.root is not None else None,
        allow_targets=list(cfg.allow_targets),
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("evaluate", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
