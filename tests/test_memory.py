"""How much memory there is, as each system tells it."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from casting_inspect.memory import memory


@pytest.mark.parametrize("told", [1, 0])
def test_windows_tells_what_is_available(told: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Status(ctypes.Structure):  # as Microsoft documents MEMORYSTATUSEX
        _fields_ = [("length", ctypes.c_uint32), ("load", ctypes.c_uint32),
                    ("total", ctypes.c_uint64), ("available", ctypes.c_uint64),
                    ("others", ctypes.c_uint64 * 5)]  # fmt: skip

    def status_of(pointer: object) -> int:
        status = ctypes.cast(pointer, ctypes.POINTER(Status)).contents  # type: ignore[arg-type]
        assert status.length == ctypes.sizeof(Status)
        status.load, status.total, status.available = 50, 8 * 10**9, 4 * 10**9
        return told

    library = SimpleNamespace(kernel32=SimpleNamespace(GlobalMemoryStatusEx=status_of))
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "windll", library, raising=False)
    assert memory() == ((4 * 10**9, "available") if told else None)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has a way of its own")
@pytest.mark.parametrize("known", [True, False])
def test_without_proc_there_is_all_of_it_or_nothing(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(self: Path, **how: object) -> str:
        raise FileNotFoundError(self)

    def sysconf(name: str) -> int:
        if not known:
            raise ValueError(name)
        return {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 16384}[name]

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(os, "sysconf", sysconf)
    assert memory() == ((16384000, "in all") if known else None)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="needs /proc")
def test_linux_tells_what_is_available() -> None:
    found = memory()
    assert found is not None
    assert 0 < found[0] <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found[1] == "available"
