from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from casting_inspect import start
from casting_inspect.errors import UserError
from casting_inspect.starting.agreement import agreed
from casting_inspect.starting.encoding import require_unicode, require_unicode_places
from casting_inspect.starting.enough import Limits
from casting_inspect.starting.proposal import Words
from casting_inspect.starting.questions import Person
from casting_inspect.starting.wish import Wish

LATIN = os.fsdecode(b"Geh\xe4use")
SHOWN = r"the name 'Geh\xe4use' is in an old encoding, not UTF-8"


def pictures(root: Path, *folders: str) -> None:
    for folder in folders:
        try:
            (root / folder).mkdir(parents=True)
        except (OSError, UnicodeError):
            pytest.skip("this file system takes UTF-8 alone")
        for number in range(12):
            (root / folder / f"{folder[0]}{number}.png").write_bytes(b"")


@pytest.mark.parametrize(("source", "out"), [(LATIN, "out"), (f"{LATIN}/in", "out"), ("in", LATIN)])
def test_a_place_that_cannot_be_written_down_is_refused_in_one_line(
    source: str,
    out: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(Path(source), "io", "nio")
    before = sorted(tmp_path.iterdir())
    assert start.main([source, "yes=true", "model.weights=none", f"out={out}"]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert SHOWN in said.err
    assert "rename that folder or file" in said.err
    assert sorted(tmp_path.iterdir()) == before


def test_names_that_are_found_can_be_written_down(tmp_path: Path) -> None:
    wish = Wish(tmp_path / "in", tmp_path / "out", Words(), "none", None, Limits(0.05, 0.05), 5.0)
    someone = Person(lambda _: None, yes=True, hears=False)
    pictures(wish.source, LATIN, "Lunker")
    with pytest.raises(UserError, match=r"data\.normal: the name"):
        agreed(replace(wish, words=Words(normal=(LATIN,))), someone)
    words = (("G", "io"), ("L", "nio"))
    rows = [f"{letter}{n}.png,{label}" for letter, label in words for n in range(12)]
    (wish.source / f"{LATIN}.csv").write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    with pytest.raises(UserError, match=r"data\.manifest: the name"):
        agreed(wish, someone)
    assert not wish.out.exists()


@pytest.mark.parametrize("key", ["data.manifest", "model.weights", "cache.dir"])
def test_every_file_that_is_named_counts(key: str, tmp_path: Path) -> None:
    odd = "x/Geh\udce4use/y"
    wish = Wish(tmp_path, tmp_path / "Größe", Words(), "none", None, Limits(0.05, 0.05), 5.0)
    require_unicode_places(wish)
    given = {
        "data.manifest": replace(wish, words=Words(manifest=odd)),
        "model.weights": replace(wish, weights=odd),
        "cache.dir": replace(wish, cache=odd),
    }
    with pytest.raises(UserError, match=rf"^{key}: the name 'Geh"):
        require_unicode_places(given[key])
    require_unicode(key, ["x/Gehäuse", "写真"])
