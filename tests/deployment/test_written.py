from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from casting_inspect.deployment import written as module
from casting_inspect.deployment.written import written
from casting_inspect.errors import UserError


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "cannot be written: the disk is full"),
        (OSError(errno.EACCES, "Permission denied"), r"cannot be written \(Permission denied\)"),
        (RuntimeError("no range\nmore"), r"cannot be made \(no range\): try another format"),
        (UserError("a line of its own"), "^a line of its own$"),
    ],
)
def test_every_failure_says_what_it_is(tmp_path: Path, error: Exception, says: str) -> None:
    with pytest.raises(UserError, match=says), written(tmp_path / "model.xml"):
        raise error


def test_a_mistake_of_ours_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(TypeError), written(tmp_path / "model.xml"):
        raise TypeError


@pytest.mark.parametrize("error", [RuntimeError("iostream error"), ValueError("corrupt")])
@pytest.mark.parametrize(("free", "full"), [(0, True), (150_000, True), (250_000, False)])
def test_libraries_words_for_a_full_disk_are_known_by_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, free: int, full: bool
) -> None:
    (tmp_path / "graph.onnx").write_bytes(bytes(200_000))
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    kinds = UserError if full else (UserError, ValueError)
    with pytest.raises(kinds) as caught, written(tmp_path / "model.xml"):
        raise error
    assert ("the disk is full" in str(caught.value)) == full
