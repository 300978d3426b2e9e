"""A printed command gives the same words when it is typed."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import casting_inspect
from casting_inspect.shell import typed

WORDS = st.text(st.sampled_from("aä =:\\/\"'[]()^&|<>,;$%{}\t"), max_size=12)


@given(st.lists(WORDS))
def test_a_posix_shell_reads_what_was_meant(words: list[str]) -> None:
    assert shlex.split(typed(words, windows=False)) == words


@given(WORDS)
def test_windows_quotes_are_those_of_its_programs(word: str) -> None:
    shown = typed([word], windows=True)
    spaced = subprocess.list2cmdline([word])
    assert shown in (spaced, f'"{spaced}"') or word.endswith("\\")
    if spaced.startswith('"') and spaced.endswith('"') and re.search(r"[ \t]", word):
        assert shown == spaced
    if not shown.startswith('"'):
        assert not set(word) & set(" \t^&|<>,;()%{}$'\"")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([r"data.root=C:\Bilder\out"], r"data.root=C:\Bilder\out"),
        (["audit", "out=D:\\my parts\\"], 'audit "out=D:\\my parts\\\\"'),
        (["data.group_from=path:^([^/]+)_"], '"data.group_from=path:^([^/]+)_"'),
        (["aliases={Lunker: defective}"], '"aliases={Lunker: defective}"'),
        (["data.normal=[gut,io]"], '"data.normal=[gut,io]"'),
        (["data.normal=[gut]", "Gußteile"], "data.normal=[gut] Gußteile"),
        ([""], '""'),
    ],
)
def test_windows_has_no_single_quotes(words: list[str], line: str) -> None:
    assert typed(words, windows=True) == line


def test_commands_are_quoted_in_one_place() -> None:
    package = Path(casting_inspect.__file__).parent
    texts = {path.name: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    quoting = re.compile(r"^import shlex|list2cmdline", re.MULTILINE)
    assert [name for name, text in texts.items() if quoting.search(text)] == ["shell.py"]
