"""Findings about shortcuts: how far light, grey values and background alone give the class away."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pandas as pd

from casting_inspect.auditing.answers import kept_json
from casting_inspect.auditing.findings import NOTE, SHORTCUT, Finding
from casting_inspect.data.decode import auto_window
from casting_inspect.models.floors import SEEN
from casting_inspect.training.floor_features import seen_of_pictures
from casting_inspect.training.probes import PROBES, probe_figures

NOTABLE: Final = 0.7
"""AUC by group from which a shortcut is worth a word, if its lower limit is above one half."""
NAMES: Final = {
    "mean_grey": "Mean grey value",
    "histogram": "Histogram of grey values, 64 bins",
    "background": "Four corner patches, a tenth of the side each",
}

Seen = dict[str, Any]


def seen_of(frame: pd.DataFrame, root: Path, cache: Path | None, progress: bool) -> Seen:
    """Return what floors see of every row (see ``floor_features.seen_of_pictures``)."""
    deep = (frame["bits"] > 8).to_numpy()
    window = auto_window([root / path for path in frame.loc[deep, "path"]]) if deep.any() else None
    folder = None if cache is None else cache / "floors"
    return dict(seen_of_pictures(frame, root, window=window, cache=folder, progress=progress))


def shortcut_figures(frame: pd.DataFrame, seen: Seen, cache: Path | None) -> dict[str, Any]:
    """Return ``probes.probe_figures`` of all probes, kept by the data's digest."""
    columns = ["path", "label", "sha256", "group", "group_wide"]
    question = ["shortcuts", 1, sorted(map(tuple, frame[columns].to_numpy().tolist()))]
    assert set(PROBES) <= set(SEEN)
    return dict(kept_json(question, lambda: probe_figures(frame, seen), cache))


def shortcuts(figures: dict[str, Any]) -> Finding:
    """Return the probes that tell the classes apart on groups that they have not seen.

    Args:
        figures: From `shortcut_figures`.
    """
    known = {name: each for name, each in figures.items() if each["auroc_by_group"]}
    strong = [name for name, each in known.items() if _is_strong(each["auroc_by_group"])]
    if not known:
        sentence = "Not measured: both classes need at least two groups."
    elif not strong:
        best = max(known, key=lambda name: float(known[name]["auroc_by_group"]["value"]))
        sentence = (
            "Neither light, grey values nor background tell the classes apart on groups not seen "
            f"before (highest AUC {known[best]['auroc_by_group']['value']:.2f}, "
            f"{NAMES[best].lower()})."
        )
    else:
        words = [f"{NAMES[name].lower()} {_figure(known[name])}" for name in strong]
        sentence = (
            "Without any look at the casting's details these tell the classes apart, AUC over "
            f"groups not seen before: {'; '.join(words)}."
        )
    return Finding(
        key="shortcuts",
        severity=SHORTCUT if strong else NOTE,
        title="Shortcuts",
        count=len(strong),
        unit="probes",
        sentence=sentence,
        advice=(
            "A network can score well here and know nothing of defects. Photograph both classes "
            "in the same light on the same ground, in turn; until then augment brightness, and "
            "read a model's score beside these."
            if strong
            else ""
        ),
        details={"figures": figures},
    )


def _is_strong(area: dict[str, Any]) -> bool:
    low = area.get("low")
    return area["value"] >= NOTABLE and (low is None or low > 0.5)


def _figure(figures: dict[str, Any]) -> str:
    area = figures["auroc_by_group"]
    limits = f" ({area['low']:.2f} to {area['high']:.2f})" if area.get("low") is not None else ""
    return f"{area['value']:.2f}{limits}"
