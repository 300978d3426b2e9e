"""A finished run's test pictures, changed and shown to its network again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from casting_inspect.data.changes import CHANGES, Picture, changed
from casting_inspect.data.decode import Window, read_rgb, resize_square
from casting_inspect.data.synthetic import ensure_castings
from casting_inspect.errors import UserError, first_line
from casting_inspect.evaluation.figures import save_figure
from casting_inspect.evaluation.parts import judged
from casting_inspect.evaluation.predictions import read_predictions
from casting_inspect.evaluation.stress import (
    Step,
    breaking_points,
    spread_sample,
    stress_table,
)
from casting_inspect.evaluation.stress_figure import stress_figure
from casting_inspect.evaluation.tables import REPORTED
from casting_inspect.evaluation.terms import Terms
from casting_inspect.files import replace_json, replacing
from casting_inspect.labels import DEFECTIVE, NORMAL
from casting_inspect.models.floors import is_floor, refuse_floor
from casting_inspect.training.assembly import synthetic_config
from casting_inspect.training.checkpoints import load_network
from casting_inspect.training.precision import (
    autocast,
    device_of,
    resolve_accelerator,
    resolve_precision,
)
from casting_inspect.training.run_folder import RunFolder

Floats = NDArray[np.float64]

BATCH: Final = 16
TIMED: Final = 5
"""Steps of the first batch after which it is said how long all of them will take."""
STEPS: Final = [
    Step(kind, level, strength, change.unit)
    for kind, change in CHANGES.items()
    for level, strength in enumerate(change.strengths, start=1)
]


class Inspector(NamedTuple):
    """A trained network, and how its run showed it a picture."""

    network: nn.Module
    device: torch.device
    precision: str
    image_size: int
    fit: str
    window: Window | None


def stress_run(
    predictions: Path,
    out: Path,
    terms: Terms,
    limit: int | None,
    say: Callable[[str], None],
    allowed: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Change the test pictures of a run in every way, score them, and write what that does.

    ``stress.csv`` (``evaluation.stress.FIELDS``), ``stress.json`` and ``stress.png``, each in one
    step, when all is scored.

    Args:
        predictions: ``predictions.csv`` of a finished run, in its folder.
        out: The folder to write to.
        terms: Whether files or parts are judged.
        limit: Pictures at most, spread over groups; None for all.
        say: Prints a line.
        allowed: Classes of the user's own that a checkpoint may name.

    Returns:
        What ``stress.json`` holds: ``split``, ``files`` of ``files_in_split``, ``terms``,
        ``breaks_at`` {kind: strength and error, or None}.

    Raises:
        UserError: If there is no such run, it keeps no network, or a picture is missing.
    """
    folder = RunFolder(predictions.parent)
    config = _config_of(folder)
    table = _kept_rows(predictions)
    judged(table, terms)  # parts that nobody named: before the minutes, not after
    rows = table.iloc[spread_sample(table, limit, terms.unit)].reset_index(drop=True)
    if not len(rows):
        raise UserError(f"stress_limit={limit}: no part has so few pictures; raise it")
    groups = rows["group_wide"].nunique()
    say(
        f"stress: {len(rows):,} of {len(table):,} pictures of {groups:,} groups, each changed in "
        f"{len(CHANGES)} ways at five strengths"
    )
    plain, scores = _all_scores(folder, config, rows, say, allowed)
    found = stress_table(rows, plain, zip(STEPS, scores, strict=True), terms)
    points = breaking_points(found)
    facts = {
        "split": str(rows["split"].iloc[0]),
        "files": len(rows),
        "files_in_split": len(table),
        "terms": terms.plain(),
        "breaks_at": points,
    }
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "stress.csv") as temporary:
        found.to_csv(temporary, index=False, lineterminator="\n")
    save_figure(stress_figure(found, points), out / "stress.png")
    replace_json(out / "stress.json", facts)
    return facts


def _config_of(folder: RunFolder) -> DictConfig:
    if not folder.config.exists():
        raise UserError(
            f"stress=true needs the run itself: {folder.root} has no config.yaml; name the "
            "predictions.csv in a run folder"
        )
    try:
        config = OmegaConf.load(folder.config)
        target = str(config.model._target_)
    except (OmegaConfBaseException, OSError, ValueError) as error:
        raise UserError(f"{folder.config} cannot be read: {first_line(error)}") from error
    if is_floor(target):
        raise refuse_floor(str(config.model.name))
    assert isinstance(config, DictConfig)
    return config


def _kept_rows(predictions: Path) -> pd.DataFrame:
    """Return the rows whose network the run keeps: test rows, else those of a validation part."""
    table = read_predictions(predictions)
    kept = table[table["inner"] == ""]
    for split in REPORTED:
        rows = kept[kept["split"] == split]
        if len(rows):
            return rows.reset_index(drop=True)
    raise UserError(
        f"{predictions} holds scores of inner folds alone, whose networks are not kept: run it "
        "with trainer.evaluate=true"
    )


def _all_scores(
    folder: RunFolder,
    config: DictConfig,
    rows: pd.DataFrame,
    say: Callable[[str], None],
    allowed: tuple[str, ...],
) -> tuple[Floats, list[Floats]]:
    """Return log-odds of the plain pictures and of every step, batch by batch of pictures."""
    plain = np.full(len(rows), np.nan)
    scores = [np.full(len(rows), np.nan) for _ in STEPS]
    root = _root_of(config)
    batches = [
        places[start : start + BATCH]
        for _, places in sorted(rows.groupby("fold").indices.items())
        for start in range(0, len(places), BATCH)
    ]
    inspector, fold = None, None
    for number, places in enumerate(batches):
        if rows["fold"].iloc[places[0]] != fold:
            fold = int(rows["fold"].iloc[places[0]])
            inspector = _inspector(folder, config, fold, allowed)
        assert inspector is not None
        names = rows["path"].iloc[places].tolist()
        pictures = [_picture(root, name, inspector) for name in names]
        plain[places] = _log_odds(inspector, pictures)
        began = time.monotonic()
        for at, logits in enumerate(_of_steps(inspector, pictures, names)):
            scores[at][places] = logits
            if number == 0 and at + 1 == TIMED:
                each = (time.monotonic() - began) / TIMED / len(places)
                say(f"stress: about {each * len(rows) * len(STEPS) / 60:.1f} minutes")
    return plain, scores


def _of_steps(inspector: Inspector, pictures: list[Picture], names: list[str]) -> Iterator[Floats]:
    for step in STEPS:
        pairs = zip(pictures, names, strict=True)
        yield _log_odds(
            inspector,
            [changed(picture, step.kind, step.level - 1, name) for picture, name in pairs],
        )


def _root_of(config: DictConfig) -> Path:
    data = config.data
    return Path(data.root) if data.root else ensure_castings(synthetic_config(data.synthetic))


def _inspector(
    folder: RunFolder, config: DictConfig, fold: int, allowed: tuple[str, ...]
) -> Inspector:
    """Return the network that scored the rows of a fold; a run of all folds keeps one each."""
    own = folder.fold(fold) if folder.fold(fold).root.is_dir() else folder
    network, provenance = load_network(own.checkpoints / "best.ckpt", allowed)
    accelerator = resolve_accelerator("auto")  # the run's machine may have been another
    device, window = device_of(accelerator), provenance.get("window")
    return Inspector(
        network.to(device).eval(),
        device,
        resolve_precision(str(config.trainer.precision), accelerator),
        int(config.model.image_size),
        str(config.data.fit),
        None if window is None else (float(window[0]), float(window[1])),
    )


def _picture(root: Path, name: str, inspector: Inspector) -> Picture:
    path = root / PurePosixPath(name)
    return resize_square(read_rgb(path, inspector.window), inspector.image_size, inspector.fit)


@torch.inference_mode()
def _log_odds(inspector: Inspector, pictures: list[Picture]) -> Floats:
    """Return the log-odds of normal of a batch of pictures, uint8 (S, S, 3) each."""
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    with autocast(inspector.device, inspector.precision):
        logits = inspector.network(images.to(inspector.device).float().div(255)).double()
    found: Floats = (logits[:, NORMAL] - logits[:, DEFECTIVE]).cpu().numpy()
    return found
