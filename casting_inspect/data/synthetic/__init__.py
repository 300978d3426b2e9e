"""Procedural synthetic castings: made on demand, the same bytes for the same seed."""

from __future__ import annotations

from casting_inspect.data.synthetic.config import KINDS, SyntheticConfig
from casting_inspect.data.synthetic.write import (
    cached_folder,
    ensure_castings,
    is_complete,
    write_castings,
)

__all__ = [
    "KINDS",
    "SyntheticConfig",
    "cached_folder",
    "ensure_castings",
    "is_complete",
    "write_castings",
]
