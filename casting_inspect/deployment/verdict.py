"""What a scorer says of a picture, whatever it runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""A decoded picture: (height, width) grey or (height, width, 3) RGB, 8 bits, any size."""


@dataclass(frozen=True)
class Limits:
    """The two scores that divide pass, person and reject.

    Attributes:
        high: A picture passes when ``p_normal`` is above it.
        low: It is rejected when ``p_normal`` is at most this; equal to `high` where nobody looks.

    Raises:
        ValueError: If `low` is above `high`.
    """

    high: float
    low: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"the lower limit {self.low} is above the upper one {self.high}")

    def judge(self, p_normal: float) -> Literal["normal", "defective", "review"]:
        """Return the verdict on a score; a tie is against the part.

        Raises:
            ValueError: If the score is not between 0 and 1.
        """
        if not 0.0 <= p_normal <= 1.0:
            raise ValueError(f"a score of {p_normal} is no probability")
        return self.divide(p_normal)

    def divide(self, score: float) -> Literal["normal", "defective", "review"]:
        """Return the verdict on a score on any scale, that of the limits."""
        if score > self.high:
            return "normal"
        return "defective" if score <= self.low else "review"


@dataclass(frozen=True)
class Verdict:
    """One picture's verdict.

    Attributes:
        verdict: ``normal`` passes, ``defective`` is rejected, ``review`` goes to a person.
        p_normal: Probability of normal, 0 to 1.
        heatmap: Evidence of a defect by place, (height, width) float32 from 0 to 1 over the whole
            picture, coarser than it; None where the model makes none or none was asked for.
    """

    verdict: Literal["normal", "defective", "review"]
    p_normal: float
    heatmap: npt.NDArray[np.float32] | None = None


class PictureScorer(Protocol):
    """Whatever turns decoded pictures into verdicts: a bundle, a run, a stub in a test."""

    @property
    def limits(self) -> Limits:
        """The scores that divide the verdicts."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the model, in hexadecimal."""
        ...

    def __call__(self, pictures: Sequence[Picture], heatmaps: bool = False) -> list[Verdict]:
        """Return a verdict for each picture, in order; safe to call from several threads."""
        ...
