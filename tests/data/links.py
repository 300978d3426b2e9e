"""Links, which not every user of Windows may make."""

from __future__ import annotations

from pathlib import Path

import pytest


def link(path: Path, target: Path | str) -> None:
    """Make a symbolic link, or skip the test."""
    try:
        path.symlink_to(target)
    except (OSError, NotImplementedError) as error:
        pytest.skip(f"no links here: {error}")
