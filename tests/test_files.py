"""Files are written whole or not at all, and an error says which one."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from casting_inspect.files import naming, replacing


def test_a_full_disk_is_told_with_the_file_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("before", encoding="utf-8")

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise OSError(errno.ENOSPC, "No space left")

    with pytest.raises(OSError, match="No space") as caught:
        write()
    assert caught.value.filename == str(path)
    assert [one.name for one in tmp_path.iterdir()] == ["metrics.json"]
    assert path.read_text(encoding="utf-8") == "before"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (OSError(errno.ENOENT, "none", "other"), "other"),
        (OSError("not of the system"), None),
        (BrokenPipeError(errno.EPIPE, "nobody reads"), None),
    ],
)
def test_other_errors_keep_what_they_say(error: OSError, name: str | None, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r".") as caught, naming(tmp_path):
        raise error
    assert caught.value.filename == name
