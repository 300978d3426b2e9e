"""Where a run's networks see defects: overlays, a table of peaks, and how well they point.

Networks come from outside, so this works on pictures and arrays alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.data.decode import read_rgb
from casting_inspect.data.synthetic.write import SEAL
from casting_inspect.errors import UserError, first_line
from casting_inspect.evaluation.heat_choice import chosen, judged
from casting_inspect.evaluation.intervals import rate_limits
from casting_inspect.evaluation.overlays import jpeg, overlay
from casting_inspect.evaluation.pointing import (
    TOLERANCE,
    Heat,
    Mask,
    in_original,
    peak,
    points_at,
    share_inside,
)
from casting_inspect.files import replace_bytes, replace_csv, replace_json
from casting_inspect.labels import CLASS_NAMES, DEFECTIVE, NORMAL

MOST: Final = 60
"""Pictures of ``errors`` and ``sample``, and overlays of ``all``."""
_CHUNK: Final = 32
_POINTING: Final = ("points_at_defect", "heat_inside", "defect_share")
_COLUMNS: Final = (
    *("path", "x", "y", "p_normal", "label", "verdict", "group", "fold", "overlay"),
    *_POINTING,
)

Pixels = NDArray[np.uint8]


class Inspector(Protocol):
    """A trained network that is shown pictures as in its run."""

    @property
    def fit(self) -> str:
        """How pictures that are not square are made so."""
        ...

    def square(self, path: Path) -> tuple[Pixels, Pixels]:
        """Return a picture as it is, RGB (H, W, 3), and as the network sees it, (S, S, 3)."""
        ...

    def look(self, pictures: Pixels) -> tuple[NDArray[np.float64], Heat]:
        """Return the log-odds of normal (N,) of pictures (N, S, S, 3), and maps (N, S, S)."""
        ...


class Run(Protocol):
    """A finished run whose networks can be asked again."""

    def inspectors(self, table: pd.DataFrame) -> Iterator[tuple[NDArray[np.intp], Inspector]]:
        """Yield positions of rows with the network that scored them, each row once."""
        ...

    def path_of(self, name: str) -> Path:
        """Return the file of a row's ``path``."""
        ...


@dataclass
class _Seen:
    """What was seen: a row a picture, the overlays by name, and how far scores were off."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    overlays: dict[str, bytes] = field(default_factory=dict)
    differences: list[float] = field(default_factory=list)


def write_heatmaps(
    run: Run,
    table: pd.DataFrame,
    out: Path,
    *,
    which: str,
    most: int = MOST,
    seed: int = 0,
    masks: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Write overlays below ``heatmaps/``, ``heatmaps.csv`` and ``heatmaps.json``.

    ``heatmaps.csv`` has a row a picture that was looked at: ``path``; ``x`` and ``y``, where the
    map is largest, as fractions of the picture's own width and height; ``p_normal`` of the table;
    ``label``, ``verdict``, ``group``, ``fold``; ``overlay``, empty where none is drawn; and of
    defective pictures with a mask ``points_at_defect`` (1 or 0), ``heat_inside`` (share of the
    map's positive values) and ``defect_share`` (of the picture). Everything is written at the end;
    overlays of an earlier call are removed.

    Args:
        run: Whose networks scored the rows.
        table: Rows of a complete predictions table, each picture once a fold.
        out: The folder.
        which: ``errors``, ``sample`` or ``all`` (see ``heat_choice.chosen``).
        most: Pictures that are looked at, or with ``all`` have an overlay.
        seed: Of the samples.
        masks: The mask of each defective picture that has one, by path.

    Returns:
        What ``heatmaps.json`` holds: ``pictures`` by what they are, ``left_out`` (wrong and
        doubtful ones beyond ``most``), ``largest_difference`` (of ``p_normal`` between the table
        and the network asked again) and, with masks, ``pointing`` (see `pointing_figures`).

    Raises:
        UserError: If a picture, mask or checkpoint cannot be read or a file not be written.
    """
    about = judged(table)
    looked = chosen(table, which, most, seed)
    drawn = chosen(table, "errors" if which == "all" else which, most, seed)
    seen, part = _Seen(), table.iloc[looked]
    names = _names(table, about, drawn)
    for places, inspector in run.inspectors(part):
        for start in range(0, len(places), _CHUNK):
            chunk = looked[places[start : start + _CHUNK]].tolist()
            _look(run, inspector, table, chunk, names, masks or {}, seen)
    frame = pd.DataFrame(seen.rows)
    frame["verdict"] = about["verdict"].to_numpy()[frame.pop("place")]
    counts = about.iloc[looked]
    errors = int((about["wrong"] | about["doubtful"]).sum())
    shown = int((counts["wrong"] | counts["doubtful"]).sum())
    facts: dict[str, Any] = {
        "which": which,
        "pictures": {
            "looked_at": len(looked),
            "with_overlay": len(names),
            "wrong": int(counts["wrong"].sum()),
            "doubtful": int((counts["doubtful"] & ~counts["wrong"]).sum()),
        },
        "left_out": errors - shown,
        "largest_difference": max(seen.differences, default=0.0),
    }
    if masks:
        facts["pointing"] = pointing_figures(frame)
    _write(out, frame[list(_COLUMNS)], seen.overlays, facts)
    return facts


def _look(
    run: Run,
    inspector: Inspector,
    table: pd.DataFrame,
    places: list[int],
    names: Mapping[int, str],
    masks: Mapping[str, Path],
    seen: _Seen,
) -> None:
    """Ask a network about some rows and keep what it saw."""
    rows = table.iloc[places]
    pairs = [inspector.square(run.path_of(path)) for path in rows["path"]]
    log_odds, heats = inspector.look(np.stack([square for _, square in pairs]))
    again = 0.5 * (1 + np.tanh(0.5 * log_odds))
    seen.differences += np.abs(again - rows["p_normal"].to_numpy(np.float64)).tolist()
    columns = ("path", "label", "group", "fold", "p_normal")
    records = rows[list(columns)].to_dict("records")
    for place, record, (picture, _), heat in zip(places, records, pairs, heats, strict=True):
        height, width = picture.shape[:2]
        own = in_original(heat, height, width, inspector.fit)
        x, y = peak(own)
        name = names.get(place, "")
        if name:
            seen.overlays[name] = jpeg(overlay(picture, own, x, y))
        row: dict[str, Any] = {str(key): value for key, value in record.items()}
        row |= {"place": place, "x": x, "y": y, "overlay": name}
        is_defective = record["label"] == CLASS_NAMES[DEFECTIVE]
        mask = masks.get(str(record["path"])) if is_defective else None
        seen.rows.append(row | _pointing(own, x, y, None if mask is None else read_mask(mask)))


def _pointing(heat: Heat, x: float, y: float, mask: Mask | None) -> dict[str, float | None]:
    """Return how well one map points, None throughout without a mask."""
    values = (
        (None, None, None)
        if mask is None
        else (float(points_at(mask, x, y)), share_inside(heat, mask), float(mask.mean()))
    )
    return dict(zip(_POINTING, values, strict=True))


def pointing_figures(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the pointing game and the share of heat inside, of pictures with a mask.

    Args:
        frame: Columns ``group``, ``verdict`` and those of a table of peaks.

    Returns:
        ``tolerance``; and for ``rejected`` (those rightly rejected) and ``all``: ``n`` pictures,
        ``groups``, ``pointing_game`` (mean over groups of the share of peaks on the defect) with
        ``low`` and ``high`` (95 %), ``heat_inside`` and ``defect_share`` (means over groups; None
        without a picture).
    """
    known = frame[frame["points_at_defect"].notna()]
    parts = {"rejected": known[known["verdict"] == CLASS_NAMES[DEFECTIVE]], "all": known}
    return {
        "tolerance": TOLERANCE,
        **{name: _figures(rows) for name, rows in parts.items()},
    }


def _figures(rows: pd.DataFrame) -> dict[str, Any]:
    if rows.empty:
        values = dict.fromkeys(("pointing_game", "low", "high", "heat_inside", "defect_share"))
        return {"n": 0, "groups": 0, **values}
    groups = rows.groupby("group")[list(_POINTING)].mean().astype(float)
    sizes = rows.groupby("group").size()
    low, high = rate_limits(groups["points_at_defect"], sizes)
    means = {str(name): float(value) for name, value in groups.mean().items()}
    hit = means.pop("points_at_defect")
    found = {"pointing_game": hit, "low": low, "high": high, **means}
    return {"n": len(rows), "groups": len(groups), **found}


def read_mask(path: Path) -> Mask:
    """Return a mask file as bool (H, W): true where it is not black.

    Raises:
        UserError: If it cannot be read.
    """
    return np.asarray(read_rgb(path).max(axis=2) > 0)


def masks_of(root: Path, manifest: pd.DataFrame) -> dict[str, Path]:
    """Return the mask of each picture that has one, by path.

    Synthetic castings bring theirs (``defects.csv``); of others a manifest's column ``mask`` names
    the file, relative to the data root as ``path`` is.
    """
    known = manifest
    if (root / SEAL).exists():  # a user's file of that name is his own
        known = pd.read_csv(root / "defects.csv")
    if "mask" not in known:
        return {}
    named = known[known["mask"].fillna("") != ""]
    return {
        str(path): root / PurePosixPath(mask)
        for path, mask in zip(named["path"], named["mask"], strict=True)
    }


def _names(table: pd.DataFrame, about: pd.DataFrame, drawn: NDArray[np.intp]) -> dict[int, str]:
    """Return the file of each overlay by place: what the picture is first, so that they sort."""
    names = {}
    for place in drawn.tolist():
        row = about.iloc[place]
        normal = table["label"].iloc[place] == CLASS_NAMES[NORMAL]
        if row["wrong"]:
            kind = "overkill" if normal else "escape"
        elif row["doubtful"]:
            kind = "doubtful"
        else:
            kind = "passed" if normal else "rejected"
        stem = PurePosixPath(table["path"].iloc[place]).stem
        names[place] = f"{kind}_{place:05d}_{stem}.jpg"
    return names


def _write(
    out: Path, frame: pd.DataFrame, overlays: Mapping[str, bytes], facts: Mapping[str, Any]
) -> None:
    """Write the files, the table last but one, and remove overlays of an earlier table."""
    folder, where = out / "heatmaps", out / "heatmaps.csv"
    try:
        if where.exists():
            for name in pd.read_csv(where, usecols=["overlay"])["overlay"].dropna():
                (folder / Path(str(name)).name).unlink(missing_ok=True)
        for name, data in overlays.items():
            replace_bytes(folder / name, data)
        replace_csv(where, frame, "%.9g")
        replace_json(out / "heatmaps.json", facts)
    except (OSError, ValueError) as error:
        raise UserError(f"out={out}: heatmaps cannot be written ({first_line(error)})") from error
