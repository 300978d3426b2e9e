"""`Scorer`: a bundle as a function from decoded pictures to verdicts, without torch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from casting_inspect.data.decode import Window, resize_square
from casting_inspect.deployment.bundle import Bundle, Model, read_bundle
from casting_inspect.deployment.runtimes import Engine, Pixels, Scored, is_installed, open_model
from casting_inspect.deployment.verdict import Limits, Picture, Verdict
from casting_inspect.errors import UserError
from casting_inspect.evaluation.pointing import in_original

BATCH: Final = 16
"""Pictures that go through a network at once; more only take more memory."""


class Scorer:
    """An exported bundle, ready to judge pictures; safe to call from several threads.

    Args:
        bundle: Its folder.
        runtime: ``openvino`` or ``onnxruntime``; None: the first of the bundle's that is installed.
        threads: Processors that one call may use; None: all that this process has.
        heatmaps: Whether maps will be asked for; asked for otherwise, they take a second copy of
            the model, for OpenVINO computes no map where none is wanted.

    Raises:
        UserError: If it is no bundle, changed since its export, of a newer format, or its runtime
            is not installed.

    Example:
        >>> scorer = Scorer("bundle")  # doctest: +SKIP
        >>> scorer([picture])[0].verdict  # doctest: +SKIP
        'normal'
    """

    def __init__(
        self,
        bundle: Path | str,
        runtime: str | None = None,
        threads: int | None = None,
        heatmaps: bool = False,
    ) -> None:
        self.bundle = read_bundle(Path(bundle))
        self.model = _chosen(self.bundle, runtime)
        self._threads = threads
        self._engines: dict[bool, Engine] = {}
        self._opening = threading.Lock()
        self._engine(heatmaps)

    @property
    def limits(self) -> Limits:
        """The scores that divide the verdicts."""
        return self.bundle.limits

    @property
    def digest(self) -> str:
        """SHA-256 of the bundle, in hexadecimal."""
        return self.bundle.digest

    @property
    def window(self) -> Window | None:
        """What maps pictures of more than 8 bits to 8 (``decode.apply_window``)."""
        return self.bundle.window

    def __call__(self, pictures: Sequence[Picture], heatmaps: bool = False) -> list[Verdict]:
        """Return a verdict for each decoded picture, in order.

        Args:
            pictures: Grey (H, W) or RGB (H, W, 3), uint8, of any sizes.
            heatmaps: Whether to give maps of evidence, where the model makes them.

        Raises:
            ValueError: If an array is no picture.
        """
        engine = self._engine(heatmaps)
        found: list[Verdict] = []
        for start in range(0, len(pictures), BATCH):
            some = pictures[start : start + BATCH]
            pixels = np.stack([squared(each, self.bundle.side, self.bundle.fit) for each in some])
            scored = engine(pixels)
            found += verdicts_of(
                scored,
                some,
                self.bundle.fit,
                self.bundle.side,
                self.bundle.limits_log_odds,
                heatmaps,
            )
        return found

    def _engine(self, heatmaps: bool) -> Engine:
        """Return the model, opened with its map where one is wanted."""
        with self._opening:
            if not {heatmaps, True} & {*self._engines}:
                path = self.bundle.folder / self.model.file
                self._engines[heatmaps] = open_model(
                    self.model.runtime, path, self._threads, heatmap=heatmaps
                )
            return self._engines.get(heatmaps) or self._engines[True]


def _chosen(bundle: Bundle, runtime: str | None) -> Model:
    """Return the rendition to run: the first whose runtime is wanted and installed."""
    offered = [model for model in bundle.models if runtime in (None, model.runtime)]
    if not offered:
        there = ", ".join(dict.fromkeys(model.runtime for model in bundle.models))
        raise UserError(f"{bundle.folder} holds no model for {runtime}: it has {there}")
    ready = [model for model in offered if is_installed(model.runtime)]
    return (ready or offered)[0]  # opening one that is missing says how to install it


def squared(picture: Picture, side: int, fit: str) -> Pixels:
    """Return a picture as a network takes it, RGB (side, side, 3), grey repeated.

    Raises:
        ValueError: If it is not uint8, or neither (H, W) nor (H, W, 3).
    """
    shape = picture.shape
    if picture.dtype != np.uint8 or len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (3,)):
        raise ValueError(f"{shape} of {picture.dtype} is no picture: give uint8 (H, W) or RGB")
    if 0 in shape:
        raise ValueError(f"a picture of {shape[1]} x {shape[0]} pixels shows nothing")
    square = resize_square(picture[..., 0] if shape[2:] == (1,) else picture, side, fit)
    return square if square.ndim == 3 else np.asarray(cv2.cvtColor(square, cv2.COLOR_GRAY2RGB))


def verdicts_of(
    scored: Scored,
    pictures: Sequence[Picture],
    fit: str,
    side: int,
    limits: Limits,
    heatmaps: bool,
) -> list[Verdict]:
    """Return verdicts on what a model said of some pictures.

    Args:
        scored: The model's answer.
        pictures: As they came, for the shape of their maps.
        fit: How they were made square.
        side: Of the square.
        limits: On log-odds.
        heatmaps: Whether maps are wanted.

    Raises:
        ValueError: If a score is not a number: what cannot be judged must not pass.
    """
    if not np.isfinite(scored.log_odds).all():
        raise ValueError("the model's score of a picture is not a number")
    p_normal = probabilities(scored.log_odds)
    found = []
    for place, picture in enumerate(pictures):
        heat = None
        if heatmaps and scored.heatmap is not None:
            # bundles that were made before maps had the picture's size have coarse ones
            whole = cv2.resize(scored.heatmap[place], (side, side), interpolation=cv2.INTER_LINEAR)
            heat = in_original(np.asarray(whole), picture.shape[0], picture.shape[1], fit)
        verdict = limits.divide(float(scored.log_odds[place]))
        found.append(Verdict(verdict, float(p_normal[place]), heat))
    return found


def probabilities(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of log-odds, without overflow."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0 / (1.0 + small), small / (1.0 + small))
