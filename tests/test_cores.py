"""The cores of this process, and that nothing needs what only Unix has."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import casting_inspect
from casting_inspect import cores

UNIX_ALONE = {
    "os": {"fork", "geteuid", "getuid", "mkfifo", "nice", "sched_getaffinity", "statvfs", "sync",
           "sysconf", "uname"},
    "signal": {"SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "alarm", "pthread_sigmask"},
}  # fmt: skip
UNIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios"}


@pytest.mark.parametrize("knows_affinity", [True, False])
def test_the_cores_of_this_process_are_counted(
    monkeypatch: pytest.MonkeyPatch, knows_affinity: bool
) -> None:
    if knows_affinity:
        monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    else:
        monkeypatch.delattr(cores.os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(cores.os, "cpu_count", lambda: 3)
    assert cores.usable_cores() == 3


def unix_names(source: str) -> set[str]:
    """Return what a module takes that Windows lacks."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in UNIX_ALONE.get(node.value.id, set()):
                found.add(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names} & UNIX_MODULES
        elif isinstance(node, ast.ImportFrom) and node.module in UNIX_MODULES:
            found.add(node.module)
    return found


def test_nothing_needs_what_windows_lacks() -> None:
    package = Path(casting_inspect.__file__).parent
    taken = {
        path.relative_to(package).as_posix(): names
        for path in package.rglob("*.py")
        if (names := unix_names(path.read_text(encoding="utf-8")))
    }
    # each is asked for before it is called, or Windows has another way; tests do without them
    assert taken == {"cores.py": {"os.sched_getaffinity"}, "memory.py": {"os.sysconf"}}


def at_import(source: str) -> str:
    """Return a module without what stands in its functions."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = [ast.Pass()]
    return ast.unparse(tree)


def test_the_tests_can_be_collected_on_windows() -> None:
    folder = Path(__file__).parent
    taken = {
        path.relative_to(folder).as_posix(): names
        for path in folder.rglob("*.py")
        if (names := unix_names(at_import(path.read_text(encoding="utf-8"))))
    }
    assert taken == {}
