"""Where models disagree: the files on which one is wrong and another right, and their pictures."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from casting_inspect.data.synthetic import SyntheticConfig, cached_folder
from casting_inspect.evaluation.contenders import Contender
from casting_inspect.evaluation.gathering import Run
from casting_inspect.evaluation.metrics import truths, verdicts
from casting_inspect.files import sha256_of_file

SHOWN: Final = 24
_APART: Final = 0.5
"""Shares of partitions in which two models are wrong that differ so much are a disagreement."""
_SIDE: Final = 224
_QUALITY: Final = 88


@dataclass(frozen=True)
class Disagreement:
    """One file that models judge differently, standing for its group.

    Attributes:
        path: Relative to the data root.
        label: The truth.
        group: Its group.
        wrong: The share of partitions in which each model is wrong.
        alike: How many files of its group the models disagree on.
    """

    path: str
    label: str
    group: str
    wrong: Mapping[str, float]
    alike: int


def disagreements(contenders: Sequence[Contender]) -> list[Disagreement]:
    """Return one file a group, where two models are furthest apart; the most divided first.

    Floors are left out where two other models are left: a floor is wrong nearly everywhere.

    Args:
        contenders: At least two; partitions that not all of them have are left out.
    """
    networks = [one for one in contenders if one.trained != "floor"]
    contenders = networks if len(networks) > 1 else contenders
    shared = set.intersection(*(set(one.partitions) for one in contenders))
    columns = {
        one.name: _wrong(one.table[one.table["partition"].isin(shared)]) for one in contenders
    }
    wrong = pd.DataFrame(columns).dropna()
    apart = wrong.max(axis=1) - wrong.min(axis=1)
    found = wrong[apart >= _APART].copy()
    if found.empty:
        return []
    known = contenders[0].table.drop_duplicates("path").set_index("path")
    names = list(columns)
    found["apart"] = apart[found.index]
    found["even"] = -(found[names].mean(axis=1) - 0.5).abs()
    found["label"], found["group"] = known["label"][found.index], known["group_wide"][found.index]
    found = found.rename_axis("file").reset_index(names="path")
    found = found.sort_values(
        ["apart", "even", "label", "path"], ascending=[False, False, True, True], kind="stable"
    )
    alike = found.groupby(["group", "label"])["path"].transform("size")
    first = ~found.duplicated(["group", "label"])
    return [
        Disagreement(
            str(row["path"]),
            str(row["label"]),
            str(row["group"]),
            {name: float(row[name]) for name in names},
            int(count),
        )
        for (_, row), count in zip(found[first].iterrows(), alike[first], strict=True)
    ]


def _wrong(table: pd.DataFrame) -> pd.Series:
    wrong = pd.Series((verdicts(table) != truths(table)).astype(np.float64), index=table["path"])
    return wrong.groupby(level=0).mean()


def thumbnail(path: str, runs: Sequence[Run]) -> bytes | None:
    """Return a picture as a small JPEG, None where no run's data can be reached any more.

    A file that is no longer the one that was scored, by its digest, is not shown.
    """
    from casting_inspect.data.decode import DecodeError, read_rgb, resize_square
    from casting_inspect.errors import UserError

    for run in runs:
        for root in _roots(run):
            file = root / path
            if not file.is_file() or not _same_file(file, path, run):
                continue
            window = run.record.get("window")
            try:
                image = read_rgb(file, tuple(window) if window else None)
            except (DecodeError, UserError):
                continue
            return _jpeg(resize_square(image, _SIDE))
    return None


def _jpeg(image: Any) -> bytes | None:
    import cv2

    good, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes() if good else None


def _roots(run: Run) -> list[Path]:
    """Return where the run's data may lie: as configured, from here and from above the run."""
    data = run.config.get("data", {})
    root = data.get("root")
    if run.folder is None:
        return []
    if not root:  # the synthetic castings, if they are still in the cache
        made = data.get("synthetic")
        given = {key: value for key, value in (made or {}).items() if value is not None}
        return [] if made is None else [cached_folder(SyntheticConfig(**given))]
    above = [] if Path(root).is_absolute() else run.folder.absolute().parents
    return [Path(root), *(parent / root for parent in above)]


def _same_file(file: Path, path: str, run: Run) -> bool:
    assert run.folder is not None
    manifest = run.folder / "manifest.csv"
    if not manifest.is_file():
        manifest = run.folder / "fold_0" / "manifest.csv"
    if not manifest.is_file():
        return True
    digest = _digests(manifest).get(path, "")
    return not digest or digest == sha256_of_file(file)


@functools.lru_cache(maxsize=8)
def _digests(manifest: Path) -> dict[str, str]:
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    if "sha256" not in table:
        return {}
    return dict(zip(table["path"], table["sha256"], strict=True))
