"""One run from configuration to evidence: data, fits, predictions, metrics, figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from rich.console import Console

from casting_inspect.data.manifest import dataset_digest, read_manifest, write_manifest
from casting_inspect.data.module import CastingDataModule
from casting_inspect.data.scale import scale_words
from casting_inspect.errors import UserError
from casting_inspect.evaluation.decisions import NEEDS_PREDICTIONS, Decision, decide
from casting_inspect.evaluation.parts import require_parts
from casting_inspect.evaluation.reliability import frozen_calibration
from casting_inspect.evaluation.terms import terms_of
from casting_inspect.training import assembly
from casting_inspect.training.aftermath import Protocol, split_facts, write_evidence
from casting_inspect.training.fitting import Fitter, Rows
from casting_inspect.training.loaders import Bench
from casting_inspect.training.neighbours import Embed, write_neighbours
from casting_inspect.training.nested import (
    Plan,
    Scores,
    fit_inner_folds,
    median_epochs,
    plan_of,
    predictions_table,
    refit,
)
from casting_inspect.training.network_fit import NetworkFitter, set_up
from casting_inspect.training.projector import write_projector
from casting_inspect.training.run_folder import (
    RunFolder,
    RunRecord,
    held,
    read_record,
    write_config,
)


@dataclass
class Run:
    """One run under way, in its folder.

    Attributes:
        config: Its configuration; ``data.fold`` is a number.
        plain: The same as plain data.
        folder: Where its files go.
        record: What ``run.json`` holds.
        console: The screen.
        data: The pictures, split.
        bench: What the fits of a network share; None for a model that has none.
        resume: Whether it goes on.
    """

    config: DictConfig
    plain: dict[str, Any]
    folder: RunFolder
    record: RunRecord
    console: Console
    data: CastingDataModule
    bench: Bench | None
    resume: bool


def run_experiment(
    config: DictConfig,
    run_dir: Path,
    command: list[str],
    resume: bool = False,
    *,
    trusted: bool = True,
) -> dict[str, Any]:
    """Train, score and measure one configuration.

    Args:
        config: The composed configuration.
        run_dir: The run folder, made if missing.
        command: The command line, for the record.
        resume: Go on from what the folder holds; a finished run is left as it is.
        trusted: False for a configuration that was read from a run folder, not typed.

    Returns:
        What ``metrics.json`` holds: figures for each split; nothing with
        ``trainer.evaluate=false``.

    Raises:
        UserError: For anything that the user can mend.
    """
    from casting_inspect.training.cross_validation import run_all_folds

    folder = RunFolder(run_dir)
    with held(folder, resume=resume):
        plain = write_config(config, folder)
        record = RunRecord(folder, command)
        with record.ended():
            console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
            data = assembly.build_data(config)
            if config.decide.unit == "part":
                require_parts(data.frame)
            bench = bench_of(config, trusted=trusted and not resume)
            run = Run(config, plain, folder, record, console, data, bench, resume)
            if isinstance(config.data.fold, str):
                return run_all_folds(run, command)
            return run_fold(run)


def bench_of(config: DictConfig, *, trusted: bool) -> Bench | None:
    """Return what the fits of a network share; a floor has nothing to share."""
    return None if is_floor(config) else set_up(config, trusted=trusted)


def is_floor(config: DictConfig) -> bool:
    """Say whether the model is a classical floor and no network."""
    return str(config.model.name).startswith("floor_")


def fitter_of(run: Run) -> Fitter:
    """Return what fits the configured model."""
    if run.bench is None:
        from casting_inspect.training.floors import FloorFitter

        return FloorFitter(run.config, run.data)
    if run.bench.choices.strategy == "probe":
        from casting_inspect.training.probe_fit import ProbeFitter

        kind: type[NetworkFitter] = ProbeFitter
    else:
        kind = NetworkFitter
    return kind(run.config, run.data, run.bench, run.folder, run.record, run.console, run.plain)


def run_fold(run: Run, *, show: bool = True) -> dict[str, Any]:
    """Fit, score and measure one test part.

    Args:
        run: The run; its folder is held.
        show: Print the tables of figures.

    Returns:
        What ``metrics.json`` holds.
    """
    fitter, plan = fitter_of(run), plan_of(run.data)
    write_start(run, fitter, run.data.frame)
    run.console.print(f"{_describe(run.data)}\n{fitter.describe()}")
    longest = run.data.frame[["width", "height"]].max().max()
    if not pd.isna(longest) and (words := scale_words(int(longest), run.data.image_size)):
        run.console.print(words)
    if run.config.trainer.evaluate is False:
        shown = _shown(run, plan)
        with run.record.timed("fit"):
            fitted = fitter.fit(
                plan.train, _or_none(plan.watch), None, run.folder.root, shown=shown
            )
        run.record.finish(epochs=fitted.epochs, best_epoch=fitted.best_epoch)
        run.console.print("trainer.evaluate=false: nothing is predicted or measured")
        return {}
    held_out = run.data.frame["label"].iloc[np.concatenate([plan.watch, *plan.inner])]
    if run.config.decide.name in NEEDS_PREDICTIONS and held_out.nunique() < 2:
        # before hours of training: the mistake, or what will be done without evidence
        run.console.print(decide(run.config.decide.name, run.plain["decide"], None).reason)
    parts, protocol, embed = (_nested if plan.inner else _single)(run, fitter, plan)
    predictions = predictions_table(
        run.data,
        parts,
        {
            "fold": run.config.data.fold,
            "seed": run.config.seed,
            "model": run.config.model.name,
            "partition": run.config.data.partition,
        },
    ).assign(**protocol.thresholds())
    if embed is not None:
        with run.record.timed("neighbours"):
            write_neighbours(embed, run.data, plan.train, predictions, run.folder.root)
        if run.config.logger.name == "tensorboard":
            with run.record.timed("projector"):
                write_projector(embed, run.data, predictions, run.folder.root)
    with run.record.timed("evaluate"):
        metrics = write_evidence(
            run.config, run.plain, run.folder, predictions, run.data, protocol, show=show
        )
    run.record.finish(
        epochs=protocol.epochs,
        best_epoch=protocol.best_epoch,
        threshold=protocol.threshold,
        decision=protocol.plain_decision(),
        calibration=protocol.calibration,
    )
    return metrics


def write_start(run: Run, fitter: Fitter, frame: pd.DataFrame) -> None:
    """Write what a run starts from: its manifest, seeds, digests, and the ways taken.

    Raises:
        UserError: If a resumed run began with other pictures or weights.
    """
    facts = {**fitter.facts}
    digests = {"data": dataset_digest(frame), **facts.pop("digests")}
    if run.resume:
        _check_same(run, frame, digests["weights"])
    write_manifest(frame, run.folder.manifest)
    data = run.config.data
    run.record.update(
        seeds={"seed": run.config.seed, "partition": data.partition, "fold": data.fold},
        digests=digests,
        window=run.data.window,
        **split_facts(run.data),
        **facts,
    )


Parts = list[tuple[str, str, Scores]]


def _single(run: Run, fitter: Fitter, plan: Plan) -> tuple[Parts, Protocol, Embed | None]:
    """One fit; the validation part, if there is one, chooses the epoch and the threshold."""
    config, record = run.config, run.record
    with record.timed("fit"):
        shown = _shown(run, plan)
        fitted = fitter.fit(plan.train, _or_none(plan.watch), None, run.folder.root, shown=shown)
    tested = {"test": plan.test} if config.trainer.evaluate is True else {}
    parts: Parts = []
    with record.timed("predict"):
        for split, rows in {"val": plan.watch, **tested}.items():
            if len(rows):
                parts.append((split, "", fitted.score(rows)))
    decision, calibration = _decision(run, parts)
    if decision.facts and len(plan.watch):
        run.console.print(decision.reason)
    chosen_on = "validation part" if len(plan.watch) else "nothing: as configured"
    protocol = Protocol(
        inner_folds=1 if len(plan.watch) else 0,
        chosen_on=chosen_on,
        best_epochs=[fitted.best_epoch],
        epochs=fitted.epochs,
        best_epoch=fitted.best_epoch,
        threshold=decision.threshold,
        decision=decision,
        calibration=calibration,
    )
    return parts, protocol, fitted.embed


def _nested(run: Run, fitter: Fitter, plan: Plan) -> tuple[Parts, Protocol, Embed | None]:
    """Fit the inner folds; what they choose, together, is what the one refit takes."""
    wanted = run.config.data.inner_folds
    if len(plan.inner) < wanted:
        run.console.print(
            f"{len(plan.inner)} inner folds and not data.inner_folds={wanted}: a class has no more "
            "groups to train on"
        )
    with run.record.timed("inner_fits"):
        inner = fit_inner_folds(plan, fitter, run.folder, run.console.print)
    parts: Parts = [("val", str(number), fit.scores) for number, fit in enumerate(inner)]
    embed = None
    best = [fit.best_epoch for fit in inner]
    epochs, (decision, calibration) = median_epochs(best), _decision(run, parts)
    run.console.print(
        f"{len(inner)} inner folds: best epochs {', '.join(map(str, best))}, median {epochs}; "
        f"{decision.reason}"
    )
    if run.config.trainer.evaluate is True:
        with run.record.timed("fit"):
            fitted = refit(plan, fitter, run.folder, epochs, _shown(run, plan))
        with run.record.timed("predict"):
            parts.append(("test", "", fitted.score(plan.test)))
        embed = fitted.embed
    protocol = Protocol(
        inner_folds=len(inner),
        chosen_on="pooled out-of-fold predictions of the training part",
        best_epochs=best,
        epochs=epochs,
        best_epoch=epochs,
        threshold=decision.threshold,
        decision=decision,
        calibration=calibration,
    )
    return parts, protocol, embed


def _decision(run: Run, parts: Parts) -> tuple[Decision, dict[str, Any] | None]:
    """Return what the configured rule decides and the calibration, from validation rows alone."""
    validation = [part for part in parts if part[0] == "val"]
    table = predictions_table(run.data, validation, {}) if validation else None
    return decided(run, table)


def decided(run: Run, table: pd.DataFrame | None) -> tuple[Decision, dict[str, Any] | None]:
    """Return the decision and the calibration that a run keeps; see ``decide``."""
    options = run.plain["decide"]
    decision = decide(run.config.decide.name, options, table)
    return decision, frozen_calibration(table, terms_of(options))


def _shown(run: Run, plan: Plan) -> Rows | None:
    """Return the rows that are drawn by epoch and choose nothing."""
    return _or_none(plan.test) if run.config.callbacks.watch_test else None


def _or_none(rows: Rows) -> Rows | None:
    return rows if len(rows) else None


def _describe(data: CastingDataModule) -> str:
    parts = []
    for split in ("train", "val", "test"):
        rows = data.rows(split)
        if not len(rows):
            continue
        normal = int(data.labels[rows].sum())
        nested = (
            f", {data.inner_folds} inner folds" if split == "train" and data.inner_folds else ""
        )
        parts.append(
            f"{split} {len(rows)} ({len(rows) - normal} defective, {normal} normal{nested})"
        )
    named = f" (test: {data.assignment.test_name})" if data.assignment.test_name else ""
    return f"pictures: {', '.join(parts)} from {data.root}{named}"


def _check_same(run: Run, now: pd.DataFrame, weights: str) -> None:
    """Refuse to go on with other pictures, groups, parts or weights than the run began with."""
    folder = run.folder
    if not folder.manifest.exists():
        return
    before = read_manifest(folder.manifest)
    named = ["path", "label", "group", "group_wide", "split", "inner", "sha256"]
    columns = [name for name in named if name in now]
    if not set(columns) <= set(before) or not _texts(before, columns).equals(_texts(now, columns)):
        raise UserError(
            f"pictures, labels, groups or split of {run.data.root} are not those that the run in "
            f"{folder.root} began with ({folder.manifest}): bring them back, or start a new run"
        )
    digest = read_record(folder.record).get("digests", {}).get("weights")
    if digest and digest != weights:
        raise UserError(
            f"model.weights is another file than the run in {folder.root} began with: bring it "
            "back, or start a new run"
        )


def _texts(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return frame[columns].astype(str).reset_index(drop=True)
