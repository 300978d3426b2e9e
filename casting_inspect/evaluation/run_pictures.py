"""The pictures behind predictions, where they can still be reached, small enough for a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from casting_inspect.data.synthetic import SyntheticConfig, cached_folder
from casting_inspect.evaluation.gathering import Run
from casting_inspect.files import sha256_of_file

_SIDE: Final = 224
_QUALITY: Final = 88


class RunPictures:
    """The pictures of some runs that were scored on the same files; each is read once.

    Args:
        runs: The first whose data can be reached is asked.
        root: A folder where their pictures are now; None for where the runs had them.
    """

    def __init__(self, runs: Sequence[Run], root: Path | None = None) -> None:
        self._places = [
            (run, place, digests)
            for run in runs
            for digests in [_digests(run)]
            for place in ([root] if root is not None else _roots(run))
        ]
        self._made: dict[str, bytes | None] = {}

    def thumbnail(self, path: str) -> bytes | None:
        """Return a picture as a small JPEG, None where no run's data can be reached any more.

        A file that is no longer the one that was scored, by its digest, is not shown.
        """
        if path not in self._made:
            self._made[path] = self._thumbnail(path)
        return self._made[path]

    def _thumbnail(self, path: str) -> bytes | None:
        from casting_inspect.data.decode import DecodeError, read_rgb, resize_square
        from casting_inspect.errors import UserError

        for run, root, digests in self._places:
            file, digest = root / path, digests.get(path, "")
            if not file.is_file() or (digest and digest != sha256_of_file(file)):
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
        return [] if made is None else [cached_folder(SyntheticConfig.of(made))]
    above = [] if Path(root).is_absolute() else run.folder.absolute().parents
    return [Path(root), *(parent / root for parent in above)]


def _digests(run: Run) -> dict[str, str]:
    """Return the SHA-256 of each file as it was when the run began, as far as that is known."""
    if run.folder is None:
        return {}
    for manifest in (run.folder / "manifest.csv", run.folder / "fold_0" / "manifest.csv"):
        if manifest.is_file():
            table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
            known = table["sha256"] if "sha256" in table else [""] * len(table)
            return dict(zip(table["path"], known, strict=True))
    return {}
