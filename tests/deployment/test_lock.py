from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from casting_inspect.deployment.lock import held
from casting_inspect.errors import UserError

HOLDS = """
import sys, time
from pathlib import Path
from casting_inspect.deployment.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_table_is_held_by_one_process_until_that_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "v.csv"
    other = subprocess.Popen([sys.executable, "-c", HOLDS, str(out)], stdout=subprocess.PIPE)
    assert other.stdout is not None
    with other.stdout:
        other.stdout.readline()
        with pytest.raises(UserError, match=r"v\.csv: another process is writing it"), held(out):
            pass
        with held(tmp_path / "w.csv"):  # a table of its own
            pass
        other.kill()
        other.wait()
    with held(out):  # whatever the kill has left
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be written"), held(tmp_path / "file" / "v.csv"):
        pass


@pytest.mark.parametrize("error", [NotImplementedError(), OSError(errno.ENOLCK, "No locks")])
def test_a_drive_without_locks_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with held(tmp_path / "v.csv"):
        pass
