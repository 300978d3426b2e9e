"""The command `compare`: what it takes, prints and refuses."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from casting_inspect import compare
from casting_inspect.errors import UserError


def write_table(path: Path, flip: int = 0) -> Path:
    rows = [
        (f"{label}_{number}.png", label, abs(float(label == "normal") - 0.2))
        for label in ("normal", "defective")
        for number in range(12)
    ]
    table = pd.DataFrame(rows, columns=["path", "label", "p_normal"])
    table.loc[: flip - 1, "p_normal"] = 0.1
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "first, one.csv")
    write_table(tmp_path / "second.csv", flip=9)
    return tmp_path


def test_tables_are_compared_from_a_list(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["runs=['first, one.csv',second.csv]", "out=a b", "reference=second"]
    assert compare.main(words) == 0
    out = capsys.readouterr().out
    assert "Against second" in out
    assert "comparison: " in out
    text = (tables / "a b" / "table.md").read_text(encoding="utf-8")
    assert "| first, one | overkills | sign-flip over groups (9 of 12 groups differ) |" in text
    assert "-75.0 points | 0.004 |" in text  # 2 / 2**9


def test_a_single_table_with_a_comma_in_its_name(tables: Path) -> None:
    assert compare.main(["runs=first, one.csv", "out=o"]) == 0
    assert (tables / "o" / "comparison.html").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs=nowhere", "out=o"], "nowhere: no such folder or file"),
        (["runs=[]", "out=o"], "runs=[]: names nothing"),
        (["runs=second.csv", "out=second.csv"], "second.csv: is a file; name a folder"),
        (["runs=second.csv", "out=o", "reference=secnd"], "Did you mean 'second'?"),
        (["runs=.", "out=o"], "no finished run with test predictions found"),
        (["out=o"], "runs is needed"),
    ],
)
def test_mistakes_are_one_line(
    tables: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main(words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tables / "o").exists()


def test_sources_take_text_lists_and_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert compare.sources("a b") == [Path("a b")]
    assert compare.sources("[a,'b, c']") == [Path("a"), Path("b, c")]
    assert compare.sources(OmegaConf.create(["a", "b"])) == [Path("a"), Path("b")]
    Path("[odd]").mkdir()
    assert compare.sources("[odd]") == [Path("[odd]")]
    with pytest.raises(UserError, match="not a list"):
        compare.sources("[a,")
