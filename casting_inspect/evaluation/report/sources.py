"""What a report is made of: a predictions table, its figures, and what its run recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml  # type: ignore[import-untyped]

from casting_inspect.evaluation.gathering import Run
from casting_inspect.evaluation.parts import judged
from casting_inspect.evaluation.predictions import read_predictions
from casting_inspect.evaluation.slices import SLICES
from casting_inspect.evaluation.tables import reported_split
from casting_inspect.evaluation.terms import Terms, terms_of


@dataclass(frozen=True)
class Source:
    """A table and all that is known of it.

    Attributes:
        out: Where the report goes; slices, heatmaps and stress lie there, or in the run's folder.
        table: Complete predictions, all splits.
        metrics: ``metrics.json``.
        record: ``run.json``; empty for another tool's table.
        config: ``config.yaml``; empty for another tool's table.
        beside: The folder of the predictions table.
        given: ``max_escape`` and ``max_overkill`` agreed on, where they are not the run's own.
        root: Where the pictures are now; None for where the run had them.
    """

    out: Path
    table: pd.DataFrame
    metrics: Mapping[str, Any]
    record: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    beside: Path = Path()
    given: Mapping[str, float | None] = field(default_factory=dict)
    root: Path | None = None

    @property
    def split(self) -> str:
        """The split whose figures are shown: test, else validation, else training."""
        return reported_split(self.metrics)

    @property
    def terms(self) -> Terms:
        """What the figures were asked for in."""
        return terms_of(self.metrics.get("terms") or {})

    @property
    def files(self) -> pd.DataFrame:
        """The rows of that split, one a file."""
        return self.table[self.table["split"] == self.split]

    @cached_property
    def rows(self) -> pd.DataFrame:
        """What is passed or rejected in that split: one row a file, or a part where those are."""
        return judged(self.files, self.terms)

    @cached_property
    def chosen_on(self) -> pd.DataFrame:
        """The rows that a threshold may be chosen on; none where those are the ones shown."""
        found = self.table[self.table["split"] == ("val" if self.split == "test" else "")]
        return judged(found, self.terms) if len(found) else found

    @property
    def by_file(self) -> Mapping[str, Any]:
        """The figures of the split shown, files counted."""
        found: Mapping[str, Any] = self.metrics[self.split]
        return found

    @property
    def figures(self) -> Mapping[str, Any]:
        """The same, of parts where those are judged."""
        return {**self.by_file, **self.by_file.get("by_part", {})}

    @property
    def review(self) -> Mapping[str, Any] | None:
        """The figures of two thresholds, None where nobody looks."""
        return self.by_file.get("review")

    @property
    def grouping(self) -> str:
        """What the headline is under: ``group`` or ``group_wide``."""
        return str(self.figures.get("headline", {}).get("grouping") or "group")

    @property
    def by_group(self) -> Mapping[str, Any]:
        """The figures by group, under the grouping of the headline."""
        wide = self.figures.get("by_group_wide", {}) if self.grouping == "group_wide" else {}
        return {**self.figures, **wide}

    @property
    def run(self) -> Run:
        """The same as ``compare`` knows it, to find pictures by."""
        rows = self.files
        model = str(rows["model"].iloc[0])
        return Run(
            self.beside.name, self.beside, model, rows, self.config, self.record, self.metrics
        )

    def file(self, name: str) -> Path | None:
        """Return what this package wrote under a name beside the report, else in the run's folder.

        A file of that name in a folder that is no run's is somebody else's, unless ``evaluate`` put
        it there: what it measures anew has a JSON file beside it.
        """
        of_run = [self.beside] if self.config and self.record else []
        ours = name == SLICES or (self.out / name).with_suffix(".json").is_file()
        places = [*([self.out] if ours or self.out in of_run else []), *of_run]
        return next((path for at in places if (path := at / name).is_file()), None)


def read_source(
    out: Path,
    predictions: Path,
    table: pd.DataFrame | None = None,
    given: Mapping[str, float | None] | None = None,
    root: Path | None = None,
) -> Source:
    """Read what a report in ``out`` is made of.

    Args:
        out: Holds ``metrics.json``.
        predictions: The table; ``run.json`` and ``config.yaml`` of its run lie beside it.
        table: The same, complete, where it has been read already.
        given: Limits agreed on, where they are not the run's own.
        root: Where the pictures are now; None for where the run had them.

    Raises:
        UserError: If the table is wrong.
    """
    beside = predictions.absolute().parent
    text = beside / "config.yaml"
    config = yaml.safe_load(text.read_text(encoding="utf-8")) if text.is_file() else {}
    return Source(
        out.absolute(),
        read_predictions(predictions) if table is None else table,
        json.loads((out / "metrics.json").read_text(encoding="utf-8")),
        _json(beside / "run.json"),
        config if isinstance(config, dict) else {},
        beside,
        given or {},
        root,
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
