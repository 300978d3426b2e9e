"""The paper's table of published results, as quoted there: none was measured on these files."""

from __future__ import annotations

from typing import Final, NamedTuple


class Published(NamedTuple):
    """A published row; shares from 0 to 1, None where nothing is given.

    Attributes:
        name: Who, and with what.
        accuracy: By file.
        precision: By file, normal as positive.
        recall: By file, normal as positive.
        f1: By file, normal as positive.
        measured_on: The data that it was measured on.
    """

    name: str
    accuracy: float
    precision: float | None
    recall: float | None
    f1: float | None
    measured_on: str


NOTE: Final = "as quoted in the paper's Table 2, measured on other data: not comparable"
ROWS: Final = (
    Published(
        *("VGG-19, the paper", 0.99251, 0.98974, 0.99265, 0.99119),
        "3,205 of 8,012 castings, at random by file: copies in training",
    ),
    Published(
        *("Nguyen et al. 2021, CNN", 0.98, None, None, None),
        "400 optical pictures of cast products, cut into sub-images",
    ),
    Published(
        *("Lin et al. 2018, CNN", 0.96, None, None, None),
        "X-ray image sequences of castings",
    ),
)
