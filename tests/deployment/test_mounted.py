from __future__ import annotations

import os
from pathlib import Path

import pytest

from casting_inspect.deployment.mounted import Mounted
from casting_inspect.errors import UserError


def test_a_folder_that_is_there_is_not_to_blame(tmp_path: Path) -> None:
    assert Mounted(tmp_path).check() is False
    assert Mounted(tmp_path / "never").check() is False


def test_a_folder_that_went_is_named(tmp_path: Path) -> None:
    home = Mounted(tmp_path / "stick")
    (tmp_path / "stick").mkdir()
    assert home.check() is False  # it was not there when its pictures were listed
    home = Mounted(tmp_path / "stick")
    (tmp_path / "stick").rmdir()
    with pytest.raises(UserError, match=r"stick: was there a moment ago.*resume=true goes on"):
        home.check()


def test_what_a_drive_was_mounted_on_is_not_the_drive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Mounted(tmp_path)
    status = os.stat_result((*tmp_path.stat()[:2], tmp_path.stat().st_dev + 1, *([0] * 7)))
    monkeypatch.setattr(Path, "stat", lambda *_, **__: status)
    with pytest.raises(UserError, match="was there a moment ago"):
        home.check()
