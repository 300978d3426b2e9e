"""The pictures of a report: the worst errors and the doubtful ones, one of each casting first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from casting_inspect.evaluation.heat_choice import REVIEW, judged
from casting_inspect.evaluation.metrics import truths
from casting_inspect.evaluation.report.sources import Source
from casting_inspect.evaluation.run_pictures import RunPictures
from casting_inspect.page import data_uri

SHOWN: Final = 12
"""Of each kind."""
NEIGHBOURS: Final = 3
KINDS: Final = (
    (
        "escape",
        "Escapes: defective castings that passed",
        "None: no defective file passed.",
    ),
    ("overkill", "Overkills: good castings that were rejected", "None: no good file was rejected."),
    ("doubtful", "Left to a person, or right but close to the threshold", "None."),
)


def gallery(source: Source) -> list[dict[str, Any]]:
    """Return what is shown of each kind, as the template takes it.

    Returns:
        For escapes, overkills and doubtful ones: ``title``, ``nothing`` (what to say without any),
        ``files`` and ``castings`` in all, and ``shown``: at most `SHOWN` with ``picture``,
        ``heatmap`` ("" where there is none), ``path``, ``p_normal``, ``threshold``, ``more``
        (further files of that casting), ``nearest``: training pictures that look most like it.
    """
    maps, nearest = _heatmaps(source), _neighbours(source)
    pictures = RunPictures([source.run], source.root)

    def picture(path: str) -> str:
        small = pictures.thumbnail(path)
        return data_uri(small, "image/jpeg") if small else ""

    found = []
    for kind, title, nothing in KINDS:
        rows = worst(source.files, kind, source.grouping)
        of_kind = rows["files"].sum() if kind != "doubtful" else len(rows)
        found.append(
            {
                "kind": kind,
                "title": title,
                "nothing": nothing,
                "files": int(of_kind),
                "castings": len(rows),
                "shown": [
                    _shown(row, picture, maps, nearest) for _, row in rows[:SHOWN].iterrows()
                ],
            }
        )
    return found


def worst(rows: pd.DataFrame, kind: str, grouping: str) -> pd.DataFrame:
    """Return one file of each casting, the worst of it, the worst casting first.

    Args:
        rows: A complete predictions table of one split.
        kind: ``escape`` (defective and passed), ``overkill`` (normal and rejected) or ``doubtful``
            (left to a person, then right ones, nearest to the threshold first).
        grouping: The column that names castings.

    Returns:
        The rows with ``files``, the number of that casting's files of the kind.
    """
    normal, seen = truths(rows), judged(rows)
    wrong = seen["wrong"].to_numpy(np.bool_)
    here = {"escape": ~normal & wrong, "overkill": normal & wrong, "doubtful": ~wrong}[kind]
    for_a_person = (seen["verdict"] == REVIEW).to_numpy(np.bool_)
    margin = np.where(for_a_person, 0.0, seen["distance"].abs())
    found = rows.assign(margin=margin)[here]
    found = found.sort_values(
        ["margin", "path"], ascending=[kind == "doubtful", True], kind="stable"
    )
    files = found.groupby(grouping)["path"].transform("nunique")
    first: pd.DataFrame = found.assign(files=files).drop_duplicates(grouping)
    return first


def _shown(
    row: pd.Series,
    picture: Callable[[str], str],
    maps: Mapping[str, Path],
    nearest: Mapping[str, Any],
) -> dict[str, Any]:
    path = str(row["path"])
    more = int(row["files"]) - 1
    return {
        "picture": picture(path),
        "heatmap": _inline(maps[path]) if path in maps else "",
        "path": path,
        "label": str(row["label"]),
        "p_normal": f"{row['p_normal']:.3g}",
        "threshold": f"{row['threshold']:.3g}",
        "more": f"and {more} more file{'s' if more > 1 else ''} of this casting" if more else "",
        "nearest": [
            {"picture": picture(other), "path": other, "label": label}
            for other, label in nearest.get(path, [])[:NEIGHBOURS]
        ],
    }


def _inline(path: Path) -> str:
    kind = "image/png" if path.suffix.lower() == ".png" else "image/jpeg"
    return data_uri(path.read_bytes(), kind) if path.is_file() else ""


def _heatmaps(source: Source) -> dict[str, Path]:
    """Return the overlay of each path that has one, from ``heatmaps.csv``."""
    table = source.file("heatmaps.csv")
    if table is None:
        return {}
    found = pd.read_csv(table, dtype=str, keep_default_na=False)
    if "overlay" not in found:
        return {}
    drawn = found[found["overlay"] != ""]
    return {
        str(path): table.parent / "heatmaps" / overlay
        for path, overlay in zip(drawn["path"], drawn["overlay"], strict=True)
    }


def _neighbours(source: Source) -> dict[str, list[tuple[str, str]]]:
    """Return the training pictures nearest to each path that has any, the nearest first."""
    table = source.file("neighbours.csv")
    if table is None:
        return {}
    found = pd.read_csv(table, dtype=str, keep_default_na=False)
    nearest: dict[str, list[tuple[str, str]]] = {}
    for row in found.sort_values("rank", key=lambda ranks: ranks.astype(int)).to_dict("records"):
        nearest.setdefault(row["path"], []).append((row["neighbour"], row["label"]))
    return nearest
