"""The terms that figures are asked for in: what a part is, how many are defective, what costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Terms:
    """What a line asks of an inspector, apart from the threshold.

    Attributes:
        unit: What is passed or rejected: ``file`` or ``part``, which may have several files.
        aggregate: A part is rejected by ``any`` of its files, or by their ``mean`` logit.
        prevalence: Share of defective parts on the line, above 0 and below 1.
        cost_escape: Of a defective part that passes, above 0; None: not known.
        cost_overkill: Of a good part that is rejected, above 0; None: not known.
        cost_review: Of a look by a person, at least 0; None: not known.
        calibration: One of ``calibration.METHODS``.
    """

    unit: str = "file"
    aggregate: str = "any"
    prevalence: float = 0.001
    cost_escape: float | None = None
    cost_overkill: float | None = None
    cost_review: float | None = None
    calibration: str = "temperature"

    def plain(self) -> dict[str, Any]:
        """Return them as ``metrics.json`` holds them."""
        return asdict(self)


def terms_of(*options: Mapping[str, Any]) -> Terms:
    """Return the terms among options; later ones count more, None counts as not given."""
    known = {field.name for field in fields(Terms)}
    given = {
        key: value
        for some in options
        for key, value in some.items()
        if key in known and value is not None
    }
    return Terms(**given)
