"""The command `audit`: exit codes, what it says, and what it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from casting_inspect import audit
from casting_inspect.shell import typed


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_says_the_verdict_and_where_the_page_is(clean, engine, capsys) -> None:
    assert audit.main([f"data.root={clean}", "out=a b"]) == 0
    out = capsys.readouterr().out
    assert "Every file shows a photograph of its own" in out
    assert f"page: {Path('a b') / 'audit.html'}" in out
    words = [f"data.root={clean}", f"data.manifest={Path('a b') / 'manifest.csv'}"]
    assert f"next: casting-inspect train {typed(words)}" in out
    assert Path("a b/manifest.csv").is_file()


@pytest.mark.parametrize("asked", ["fail_on=leak", "fail_on=[leak]", "fail_on=[conflict,leak]"])
def test_a_pipeline_stops_at_what_it_asked_for_with_all_files_written(
    faulty, engine, capsys, asked
) -> None:
    assert audit.main([f"data.root={faulty}", "out=o", asked]) == 1
    said = capsys.readouterr()
    assert "failed, as fail_on asks:" in said.out
    assert "Traceback" not in said.err
    assert sorted(path.name for path in Path("o").iterdir()) == [
        "audit.html",
        "audit.json",
        "manifest.csv",
    ]


def test_what_is_not_there_does_not_fail(clean, engine) -> None:
    assert audit.main([f"data.root={clean}", "out=o", "fail_on=[leak,conflict,undecodable]"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["out=o"], "data.root is needed"),
        (["data.root=nowhere", "out=o"], "data.root=nowhere"),
        (["data.root=.", "out=o", "fail_on=leek"], "leak, conflict or undecodable"),
        (["data.root=.", "out=o", "group_from=x"], "Did you mean 'data.group_from'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, message, capsys) -> None:
    assert audit.main(words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not Path("o").exists()


def test_group_from_and_aliases_are_handed_over(clean, engine, capsys) -> None:
    for old, new in (("normal", "gutteil"), ("defective", "schrott")):
        (clean / old).rename(clean / new)
    words = ["aliases={gutteil: normal, schrott: defective}", "group_from=path:p([0-9])"]
    words = [f"data.{word}" for word in words]
    assert audit.main([f"data.root={clean}", "out=o", *words]) == 0
    table = Path("o/manifest.csv").read_text(encoding="utf-8")
    assert "gutteil/p00_0.png,normal,0," in table


def test_no_learning_library_is_imported() -> None:
    code = (
        "import sys, casting_inspect.auditing.run;"
        "print([name for name in ('torch', 'lightning') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
