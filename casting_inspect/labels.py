"""The two classes and their indices: 0 = defective, 1 = normal."""

from __future__ import annotations

from typing import Final

DEFECTIVE: Final = 0
NORMAL: Final = 1
CLASS_NAMES: Final = ("defective", "normal")
