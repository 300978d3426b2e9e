"""Every test part in turn, in one run folder; and the model that has learnt from all groups."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from casting_inspect.data.splits import BY_GROUP
from casting_inspect.errors import UserError
from casting_inspect.evaluation.predictions import read_predictions
from casting_inspect.training.aftermath import Protocol, write_evidence
from casting_inspect.training.experiment import Run, decided, fitter_of, run_fold, write_start
from casting_inspect.training.neighbours import gather_neighbours
from casting_inspect.training.nested import median_epochs, plan_of
from casting_inspect.training.run_folder import RunRecord, held, read_record, write_config

CROSS_VALIDATED = "the cross-validation's: of {folds} models, each tested on groups unknown to it"


def run_all_folds(run: Run, command: list[str]) -> dict[str, Any]:
    """Run every test part in ``fold_<number>``, pool what they predicted, and measure that.

    Each of these folders is a complete run's; folds that are finished are not repeated. With
    ``data.fold=final`` a last fit then learns from all groups: for as many epochs as the median of
    the folds', with the threshold that ``decide`` finds on the folds' test predictions, which are
    out of fold for every group. It is tested on nothing: its evidence is the cross-validation's.

    Args:
        run: The run, its data split for the first fold.
        command: The command line.

    Returns:
        What ``metrics.json`` holds; nothing with ``trainer.evaluate=false``.

    Raises:
        UserError: If the split has no folds to go over, or nothing is to be measured.
    """
    _check(run)
    final = run.config.data.fold == "final"
    folds = run.data.assignment.folds
    whole = dataclasses.replace(run, data=run.data.with_fold(None))
    fitter = fitter_of(whole)
    frame = whole.data.frame
    if not final:  # every picture is tested by one of the folds, and nothing learns from all
        frame = frame.assign(split=frame["split"].replace("train", "test"))
    write_start(whole, fitter, frame)
    for number in range(folds):
        run.console.print(f"\nfold {number} ({number + 1} of {folds})")
        _run_one(run, number, command)
    records = [read_record(run.folder.fold(number).record) for number in range(folds)]
    best = [int(record["best_epoch"]) for record in records]
    epochs = median_epochs(best)
    if run.config.trainer.evaluate is False:
        run.record.finish(folds=folds)
        return {}
    pooled = pd.concat(
        [read_predictions(run.folder.fold(number).predictions) for number in range(folds)],
        ignore_index=True,
    )
    decision = calibration = None
    if final:
        decision, calibration = decided(run, pooled[pooled["split"] == "test"])
        run.console.print(f"\nfit on all groups: {epochs} epochs; {decision.reason}")
        with run.record.timed("fit"):
            fitter.fit(plan_of(whole.data).train, None, epochs, run.folder.root)
    protocol = Protocol(
        inner_folds=int(run.config.data.inner_folds),
        chosen_on=f"each fold's own training part ({folds} folds)",
        best_epochs=best,
        epochs=epochs,
        best_epoch=epochs,
        threshold=None if decision is None else decision.threshold,
        decision=decision,
        calibration=calibration,
        evidence=CROSS_VALIDATED.format(folds=folds),
    )
    gather_neighbours([run.folder.fold(number).root for number in range(folds)], run.folder.root)
    with run.record.timed("evaluate"):
        metrics = write_evidence(run.config, run.plain, run.folder, pooled, whole.data, protocol)
    run.record.finish(
        folds=folds,
        epochs=epochs,
        threshold=protocol.threshold,
        decision=protocol.plain_decision(),
        calibration=calibration,
    )
    return metrics


def _check(run: Run) -> None:
    data, evaluate = run.config.data, run.config.trainer.evaluate
    if data.split not in BY_GROUP or data.split == "time":
        raise UserError(
            f"data.fold={data.fold} goes over the folds of data.split=group or the lots of "
            f"data.split=lot; data.split={data.split} has one test part: leave data.fold=0"
        )
    if data.fold == "final" and data.split != "group":
        raise UserError("data.fold=final goes with data.split=group: it learns from all groups")
    if data.fold == "final" and evaluate is not True:
        raise UserError(
            "data.fold=final needs trainer.evaluate=true: its epochs and threshold come from what "
            "the folds predict"
        )


def _run_one(run: Run, number: int, command: list[str]) -> None:
    """Run one test part in its own folder, unless it is finished."""
    folder = run.folder.fold(number)
    if run.resume and read_record(folder.record).get("status") == "finished":
        run.console.print(f"finished already: {folder.root}")
        return
    config = copy.deepcopy(run.config)
    OmegaConf.update(config, "data.fold", number)
    words = [word for word in command if not word.startswith(("data.fold=", "hydra.run.dir="))]
    with held(folder, resume=run.resume):
        plain = write_config(config, folder)
        record = RunRecord(folder, [*words, f"data.fold={number}"])
        with record.ended():
            data = run.data.with_fold(number)
            one = dataclasses.replace(
                run, config=config, plain=plain, folder=folder, record=record, data=data
            )
            metrics = run_fold(one, show=False)
    if "test" in metrics:
        figure = metrics["test"]["headline"]["value"]
        shown = "undefined" if figure is None else f"{100 * figure:.1f} %"
        run.console.print(f"fold {number}: balanced accuracy by group {shown}")
