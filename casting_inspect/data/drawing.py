"""``prepare recipe=synthetic``: a set of drawn castings with the record of every other recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import casting_inspect
from casting_inspect.data import outcome
from casting_inspect.data.crew import Crew
from casting_inspect.data.manifest import read_manifest
from casting_inspect.data.outcome import PrepareResult, told
from casting_inspect.data.synthetic import SyntheticConfig, write_castings
from casting_inspect.data.synthetic.config import config_digest
from casting_inspect.errors import UserError, suggestion
from casting_inspect.files import replace_json


def prepare_synthetic(
    out: Path, synthetic: SyntheticConfig | Mapping[str, Any] | None, crew: Crew
) -> PrepareResult:
    """Draw a set of castings at ``out``, or recognise it when it is there already.

    Args:
        out: Nothing there, an empty folder, or the same set.
        synthetic: The set, or some of its values; None for the one that demo and tests use.
        crew: Says how many processes draw.

    Raises:
        UserError: If ``out`` holds something else, or a value is not possible.
    """
    config = synthetic if isinstance(synthetic, SyntheticConfig) else _set_of(synthetic)
    record = {
        "recipe": "synthetic",
        "window": None,
        "source": "synthetic",
        "source_digest": config_digest(config),
        "version": casting_inspect.__version__,
    }
    if not outcome.is_free(out):
        return told(out, outcome.check_same(out, record, crew.workers), [], unchanged=True)
    pictures = config.parts * config.photographs
    with outcome.building(out) as folder, crew.bar("drawing castings", pictures) as advance:
        processes = crew.workers if pictures >= 120 else 0  # below, starting them takes longer
        write_castings(config, folder, processes, lambda done, _: advance(done))
        frame = read_manifest(folder / outcome.MANIFEST)
        outcome.write_rejected([], folder / outcome.REJECTED)
        replace_json(folder / outcome.RECORD, record | outcome.summary(frame, 0))
    return told(out, frame, [], unchanged=False)


def _set_of(values: Mapping[str, Any] | None) -> SyntheticConfig:
    given = {key: value for key, value in (values or {}).items() if value is not None}
    known = [item.name for item in dataclasses.fields(SyntheticConfig)]
    for key in given:
        if key not in known:
            raise UserError(f"synthetic.{key}: there is no such key.{suggestion(key, known)}")
    return SyntheticConfig(**given)
