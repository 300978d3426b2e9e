"""Small pictures for the page: contact sheets of groups, conflicts and identical files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd

from casting_inspect.data.decode import DecodeError, decode
from casting_inspect.page import data_uri

SIDE: Final = 112
"""Pixels a side of a small picture."""
_QUALITY: Final = 78


@dataclass(frozen=True)
class Shown:
    """One small picture.

    Attributes:
        path: Of the file.
        label: Its class.
        uri: The picture inside the page; empty where it cannot be read.
        note: Under the picture.
    """

    path: str
    label: str
    uri: str
    note: str = ""


@dataclass(frozen=True)
class Sheet:
    """Some pictures under one heading.

    Attributes:
        heading: A few words.
        pictures: Those shown.
    """

    heading: str
    pictures: list[Shown]


class Darkroom:
    """Makes small pictures of a data set, each once.

    Args:
        frame: A manifest.
        root: What its paths are relative to.
    """

    def __init__(self, frame: pd.DataFrame, root: Path) -> None:
        self.root = root
        self._facts = frame.set_index("path")[["label", "split"]].to_dict("index")
        self._made: dict[str, str] = {}

    def sheet(self, heading: str, paths: Sequence[str], most: int) -> Sheet:
        """Return some files of a set, evenly spread over it."""
        step = max(1.0, len(paths) / most)
        chosen = [paths[int(at * step)] for at in range(min(most, len(paths)))]
        return Sheet(heading, [self.shown(path) for path in chosen])

    def label_of(self, path: str) -> str:
        """Return the class of a file."""
        return str(self._facts[path]["label"])

    def shown(self, path: str) -> Shown:
        """Return one small picture with its file's name and part of the split."""
        facts = self._facts[path]
        if path not in self._made:
            self._made[path] = thumbnail(self.root / path)
        return Shown(path, facts["label"], self._made[path], facts["split"])


def thumbnail(path: Path, side: int = SIDE) -> str:
    """Return a file as a small JPEG in a data URI, empty where it does not decode.

    Pictures of more than 8 bits are shown from their own darkest to their own brightest value.
    """
    try:
        pixels: Any = decode(path)
    except DecodeError:
        return ""
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), max(float(pixels.max()), float(pixels.min()) + 1)
        pixels = ((pixels - low) * (255 / (high - low))).astype(np.uint8)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    scale = side / max(grey.shape[:2])
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(grey, size, interpolation=method)
    written, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data_uri(data.tobytes(), "image/jpeg") if written else ""
