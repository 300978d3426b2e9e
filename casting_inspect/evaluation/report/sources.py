"""What a report is made of: a predictions table, its figures, and what its run recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml  # type: ignore[import-untyped]

from casting_inspect.evaluation.gathering import Run
from casting_inspect.evaluation.predictions import read_predictions
from casting_inspect.evaluation.tables import reported_split


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
    """

    out: Path
    table: pd.DataFrame
    metrics: Mapping[str, Any]
    record: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    beside: Path = Path()

    @property
    def split(self) -> str:
        """The split whose figures are shown: test, else validation, else training."""
        return reported_split(self.metrics)

    @property
    def rows(self) -> pd.DataFrame:
        """The rows of that split."""
        return self.table[self.table["split"] == self.split]

    @property
    def chosen_on(self) -> pd.DataFrame:
        """The rows that a threshold may be chosen on; none where those are the ones shown."""
        return self.table[self.table["split"] == ("val" if self.split == "test" else "")]

    @property
    def figures(self) -> Mapping[str, Any]:
        """The figures of the split shown."""
        found: Mapping[str, Any] = self.metrics[self.split]
        return found

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
        model = str(self.rows["model"].iloc[0])
        return Run(
            self.beside.name, self.beside, model, self.rows, self.config, self.record, self.metrics
        )

    def file(self, name: str) -> Path | None:
        """Return a file of that name beside the report, else beside the table, if there is one."""
        return next((p for at in (self.out, self.beside) if (p := at / name).is_file()), None)


def read_source(out: Path, predictions: Path, table: pd.DataFrame | None = None) -> Source:
    """Read what a report in ``out`` is made of.

    Args:
        out: Holds ``metrics.json``.
        predictions: The table; ``run.json`` and ``config.yaml`` of its run lie beside it.
        table: The same, complete, where it has been read already.

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
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
