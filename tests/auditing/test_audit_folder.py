from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import texture, write

from casting_inspect.auditing.contact_sheets import thumbnail
from casting_inspect.auditing.findings import Finding, hit, share_words
from casting_inspect.auditing.run import audit_folder
from casting_inspect.data.audit import survey as survey_module
from casting_inspect.data.manifest import read_manifest
from casting_inspect.errors import UserError

FILES = ["audit.html", "audit.json", "manifest.csv"]


def run(root: Path, out: Path, tmp_path: Path, **options):
    return audit_folder(root, out, cache=tmp_path / "cache", progress=False, **options)


@pytest.fixture
def left(faulty, engine, tmp_path):
    return run(faulty, tmp_path / "out", tmp_path, fail_on=["leak", "undecodable"])


def test_three_files_are_left_and_nothing_else(left):
    assert sorted(path.name for path in left.out.iterdir()) == FILES
    assert [each.key for each in left.hits] == ["straddling", "undecodable"]


def test_the_manifest_has_groups_and_no_file_that_does_not_decode(left, faulty):
    frame = read_manifest(left.out / "manifest.csv")
    assert len(frame) == 34
    assert (frame["group"] != "").all()
    assert (frame["group_wide"] != "").all()
    assert all((faulty / path).is_file() for path in frame["path"])
    assert not frame["path"].str.contains("broken|empty").any()
    groups = frame.set_index("path")["group"]
    assert groups["test/normal/p00_1.png"] == groups["train/normal/p00_0.png"]
    assert frame["split"].isin(["train", "test"]).all()
    assert frame["width"].notna().all()


def test_the_record_has_every_finding_with_its_files(left):
    record = json.loads((left.out / "audit.json").read_text(encoding="utf-8"))
    assert record["failed"] == ["straddling", "undecodable"]
    assert record["findings"]["straddling"]["share"] == pytest.approx(0.8)
    assert len(record["findings"]["undecodable"]["files"]) == 2
    assert record["verdict"]["level"] == "bad"
    assert record["groups"]["groups"] == 23


class Page(HTMLParser):
    """Collects what a page would load, its tags, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.ids: set[str] = set()
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.add(value or "")

    def handle_data(self, data):
        self.words += data


def test_the_page_is_one_file_and_says_the_verdict_first(left):
    text = (left.out / "audit.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert all(each.startswith(("data:image/", "#")) for each in page.addresses)
    assert {each[1:] for each in page.addresses if each.startswith("#")} <= page.ids
    assert not re.search(r"url\(|@import|https?://", text)
    words = " ".join(page.words.split())
    verdict = words.index("A score on the delivered split cannot be trusted")
    assert verdict < words.index("What was found") < words.index("Map of the pictures")
    for shown in ("Copies across the split", "Both labels on one photograph", "broken_0.png"):
        assert shown in words
    assert len(text) < 1_000_000


def test_names_of_files_and_groups_are_escaped(clean, engine, tmp_path):
    name = '<b onclick="x">&_1.png'
    for label, level in (("normal", 120.0), ("defective", 122.0)):
        write(clean, f"{label}/{name}", texture(50, level=level))
    result = run(clean, tmp_path / "out", tmp_path)
    text = (result.out / "audit.html").read_text(encoding="utf-8")
    assert "<b onclick" not in text
    assert "&lt;b onclick" in text


def test_the_same_data_give_the_same_page_and_manifest(faulty, engine, tmp_path):
    for name in ("one", "two"):
        run(faulty, tmp_path / name / "out", tmp_path / name)  # caches of their own
    one, two = tmp_path / "one" / "out", tmp_path / "two" / "out"
    assert (one / "manifest.csv").read_bytes() == (two / "manifest.csv").read_bytes()
    pages = [(each / "audit.html").read_text(encoding="utf-8") for each in (one, two)]
    assert pages[0].replace("/one/", "/two/") == pages[1]


def test_the_data_root_itself_may_be_the_out_folder(clean, engine, tmp_path):
    (clean / "manifest.csv").write_text(
        "path,label,group\n"
        + "".join(
            f"{('normal', 'defective')[at % 2]}/p{at:02d}_0.png,{('normal', 'defective')[at % 2]},"
            f"{'mine' if at in (0, 2) else ''}\n"
            for at in range(24)
        ),
        encoding="utf-8",
    )
    before = (clean / "manifest.csv").read_bytes()
    result = run(clean, clean, tmp_path)
    assert result.kept_manifest == clean / "manifest.before.csv"
    assert result.kept_manifest.read_bytes() == before
    frame = read_manifest(clean / "manifest.csv")
    assert frame["group"].to_list().count("mine") == 2
    again = run(clean, clean, tmp_path)  # its own answer is replaced, not kept
    assert again.kept_manifest is None
    assert result.kept_manifest.read_bytes() == before


def test_a_manifest_that_somebody_changed_is_kept_each_time(clean, engine, tmp_path):
    out = tmp_path / "out"
    run(clean, out, tmp_path)
    for number, name in enumerate(("manifest.before.csv", "manifest.before.2.csv")):
        changed = (out / "manifest.csv").read_text(encoding="utf-8") + f"\n{number * ','}"
        (out / "manifest.csv").write_text(changed, encoding="utf-8")
        assert run(clean, out, tmp_path).kept_manifest == out / name
        assert (out / name).read_text(encoding="utf-8") == changed


def test_a_manifest_elsewhere_names_pictures_by_the_data_root(clean, engine, tmp_path):
    table = tmp_path / "tables" / "mine.csv"
    table.parent.mkdir()
    table.write_text("path,label\nnormal/p00_0.png,normal\ndefective/p01_0.png,defective\n")
    result = run(clean, tmp_path / "out", tmp_path, manifest=table)
    assert read_manifest(result.out / "manifest.csv")["path"].to_list() == [
        "normal/p00_0.png",
        "defective/p01_0.png",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fail_on": ["leek"]}, "fail_on=leek: must be among .* Did you mean 'leak'"),
        ({"group_from": "lots"}, "no such column"),
        ({"manifest": Path("nowhere.csv")}, "nowhere.csv"),
    ],
)
def test_a_mistake_leaves_nothing(clean, engine, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        run(clean, tmp_path / "out", tmp_path, **options)
    assert not (tmp_path / "out").exists()


def test_a_missing_picture_or_a_file_as_out_is_a_mistake(clean, engine, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("path,label\nnormal/none.png,normal\n")
    with pytest.raises(UserError, match=r"none\.png"):
        run(clean, tmp_path / "out", tmp_path, manifest=table)
    with pytest.raises(UserError, match="is a file"):
        run(clean, table, tmp_path)


def test_one_class_alone_is_audited_too(clean, engine, tmp_path):
    for path in (clean / "defective").iterdir():
        path.unlink()
    result = run(clean, tmp_path / "out", tmp_path)
    assert "no defective pictures" in result.audit.finding("balance").advice
    assert result.audit.finding("shortcuts").sentence.startswith("Not measured")


def test_only_findings_that_are_there_fail():
    some = Finding("a", "leak", "A", 1, "files", "")
    none = Finding("b", "leak", "B", 0, "files", "")
    other = Finding("c", "note", "C", 3, "files", "")
    assert hit([some, none, other], ["leak"]) == [some]
    assert hit([some, none, other], []) == []


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0.0 %"), (1.0, "100.0 %"), (0.9996, "more than 99.9 %"), (0.0001, "less than 0.1 %")],
)
def test_hardly_all_is_not_all(share, words):
    assert share_words(share) == words


def test_a_thumbnail_is_small_and_broken_files_have_none(tmp_path):
    write(tmp_path, "deep.png", (texture(0, 300).astype(np.uint16) * 200)[:, :100])
    assert thumbnail(tmp_path / "deep.png").startswith("data:image/jpeg;base64,")
    (tmp_path / "bad.png").write_bytes(b"")
    assert thumbnail(tmp_path / "bad.png") == ""


def test_nothing_of_the_users_table_is_lost(clean, engine, tmp_path):
    table = tmp_path / "mine.csv"
    rows = "normal/p00_0.png,normal,day 1,7\ndefective/p01_0.png,defective,day 2,8\n"
    table.write_text("path,label,lot,operator\n" + rows)
    result = run(clean, tmp_path / "out", tmp_path, manifest=table)
    frame = pd.read_csv(result.out / "manifest.csv")
    assert frame["lot"].to_list() == ["day 1", "day 2"]
    assert frame["operator"].to_list() == [7, 8]


def test_pictures_that_vanish_on_the_way_are_one_line(clean, engine, tmp_path, monkeypatch):
    whole = survey_module.decode

    def pulled(path):
        shutil.rmtree(clean)
        return whole(path)

    monkeypatch.setattr(survey_module, "decode", pulled)
    with pytest.raises(UserError, match="Was a stick pulled out"):
        run(clean, tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()
