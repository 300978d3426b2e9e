"""A search by Optuna that goes on from its file: over the same data, for so many trials in all."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from omegaconf import OmegaConf

from casting_inspect.errors import UserError
from casting_inspect.files import replace_json, replace_text
from casting_inspect.identity import (
    BY_CONTENT,
    NEVER_MATTERS,
    data_digest,
    relevant,
    weights_digest,
)
from casting_inspect.locks import alone

# Optuna's words, of a study in memory and of one in a file
NO_BEST: Final = ("No trials are completed", "Record does not exist")

if TYPE_CHECKING:
    import optuna

    from casting_inspect.composition import Checked


@contextlib.contextmanager
def held(found: Checked) -> Iterator[list[str]]:
    """Hold a search's folder while it lasts; other multiruns pass through.

    Yields:
        Overrides: the trials that are left of ``hydra.sweeper.n_trials`` and another seed for the
        sampler than it began with, lest it draw the same trials again.

    Raises:
        UserError: If nothing says what to minimise, another search is in the folder or under way
            there, or no trial came to its end.
    """
    sweeper = found.config.hydra.sweeper
    if OmegaConf.select(found.config, "hydra.runtime.choices", default={}).get("hydra/sweeper") != (
        "optuna"
    ):
        yield []
        return
    if found.config.get("objective") is None:
        raise UserError("hydra/sweeper=optuna needs what to minimise: add objective=group_log_loss")
    folder = Path(found.config.hydra.sweep.dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    busy = f"another process is searching in {folder}: wait for it"
    with alone(folder / ".search.lock", busy):
        try:
            words = []
            if sweeper.storage is not None:
                _same_search(found, folder / "search.json")
                words = going_on(str(sweeper.study_name), sweeper)
            try:
                yield words
            finally:
                if sweeper.storage is not None:
                    study = str(sweeper.study_name)
                    write_trials(study, str(sweeper.storage), folder / "search.csv")
        except ValueError as error:
            if not str(error).startswith(NO_BEST):
                raise
            raise UserError(f"no trial came to its end; runs.csv in {folder} says why") from error


def going_on(study_name: str, sweeper: Any) -> list[str]:
    """Look what a search's file holds, and put trials that were cut off first in line.

    Args:
        study_name: The study's name in the file.
        sweeper: The node of Hydra's Optuna sweeper.

    Returns:
        The overrides for what is left.
    """
    study = _study(study_name, str(sweeper.storage))
    trials = study.trials if study is not None else []
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    again = 0
    for trial in trials:
        if study is not None and trial.state.name == "RUNNING":
            _in_line_again(study, trial)
            again += 1
    left = max(0, int(sweeper.n_trials) - len(done))
    if trials:
        first = f", {again} cut off and first in line" if again else ""
        print(f"search: {len(done)} trials done before{first}, {left} to go", flush=True)
    words = [f"hydra.sweeper.n_trials={left}"]
    seed = sweeper.sampler.get("seed")
    if trials and seed is not None:
        words.append(f"hydra.sweeper.sampler.seed={seed + len(trials)}")
    return words


def write_trials(study_name: str, storage: str, path: Path) -> None:
    """Write all trials of a search, those of earlier commands too: state, objective, values."""
    study = _study(study_name, storage)
    trials = study.trials if study is not None else []
    names = sorted({name for trial in trials for name in trial.params})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["number", "state", "objective", *names])
    for trial in trials:
        value = trial.value if trial.value is not None else ""
        values = [trial.params.get(name, "") for name in names]
        writer.writerow([trial.number, trial.state.name.lower(), value, *values])
    replace_text(path, out.getvalue())


def _study(name: str, storage: str) -> optuna.Study | None:
    """Return the study in a file, or None where there is none yet."""
    # SQLAlchemy 1.4's advertisement for version 2, which Optuna 2.10 cannot use
    os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna

        optuna.logging.set_verbosity(logging.WARNING)
        try:
            return optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            return None


def _in_line_again(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Give up a trial whose process is gone, and let the next one have its values.

    The same values give the same run folder, so that the run there goes on.
    """
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # enqueue_trial is called experimental there
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def _same_search(found: Checked, path: Path) -> None:
    """Refuse to mix two searches in one file; note what this one is.

    Raises:
        UserError: If other data, weights, settings or ranges were searched here before.
    """
    config = found.config
    swept = [key.split("@")[0].replace("/", ".") for key in found.swept]
    settings = dict(relevant(config, leaving_out=(*NEVER_MATTERS, *BY_CONTENT, *swept)))
    now = {
        "ranges": dict(found.swept),
        "settings": json.loads(json.dumps(settings, default=str)),
        "data": data_digest(config),
        "weights": weights_digest(config),
        "objective": config.objective,
    }
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else now
    for what, value in now.items():
        if before.get(what) != value:
            key = _first_other(before.get(what), value)
            raise UserError(
                f"{path.parent} holds a search over other {what}{key}: choose another "
                "hydra.sweep.dir"
            )
    replace_json(path, now)


def _first_other(before: Any, now: Any) -> str:
    """Name the first key that two tables do not share; nothing when they are no tables."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return ""
    keys = sorted({*before, *now})
    return f" ({next(key for key in keys if before.get(key) != now.get(key))})"
