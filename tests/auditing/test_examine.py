from __future__ import annotations

import pandas as pd
import pytest

from casting_inspect.auditing.examine import audit
from casting_inspect.data.manifest import find_manifest
from casting_inspect.errors import UserError


def examined(root, cache):
    frame = find_manifest(root, keep_unreadable=True)
    return audit(frame, root, cache=cache, progress=False)


@pytest.fixture
def found(faulty, engine, tmp_path):
    return examined(faulty, tmp_path / "cache")


def test_every_planted_fault_is_found_and_counted(found):
    straddling = found.finding("straddling")
    assert (straddling.count, straddling.details["of"]) == (8, 10)
    assert straddling.share == pytest.approx(0.8)
    assert straddling.severity == "leak"
    assert straddling.files == sorted(
        f"test/{('normal', 'defective')[at % 2]}/p{at:02d}_1.png" for at in range(8)
    )
    conflict = found.finding("conflicts")
    assert (conflict.count, conflict.severity) == (1, "conflict")
    assert sorted(conflict.sets[0]) == [
        "test/normal/p04_1.png",
        "train/defective/p04_2.png",
        "train/normal/p04_0.png",
    ]
    bad = found.finding("undecodable")
    assert bad.files == ["train/normal/broken_0.png", "train/normal/empty_0.jpg"]
    assert bad.severity == "undecodable"
    assert all(bad.details["reasons"].values())
    same = found.finding("identical_bytes")
    assert same.sets == [["train/normal/p00_0.png", "train/normal/p00_2.png"]]
    assert same.count == 2
    pixels = found.finding("identical_pixels")
    assert pixels.sets == [["train/normal/p02_0.png", "train/normal/p02_2.bmp"]]
    odd = found.finding("odd_layouts")
    assert odd.files == ["train/normal/p02_2.bmp", "train/normal/p40_0.png"]
    classes = {row["label"]: row for row in found.finding("balance").details["classes"]}
    # p30 and p40 are normal and p31 is defective besides the ten of each in train
    assert classes["normal"]["groups"] == 12
    assert classes["defective"]["groups"] == 11
    assert classes["normal"]["files"] + classes["defective"]["files"] == len(found.frame) == 34


def test_brightness_that_goes_with_the_class_is_a_shortcut(found):
    shortcut = found.finding("shortcuts")
    assert shortcut.severity == "shortcut"
    grey = shortcut.details["figures"]["mean_grey"]
    assert grey["auroc_by_group"]["value"] > 0.9
    assert grey["brighter"] == "normal"


def test_the_verdict_says_it_with_numbers(found):
    assert found.verdict.level == "bad"
    assert "8 of its 10 test files (80.0 %)" in found.verdict.headline
    assert any("12 normal groups and 11 defective" in reason for reason in found.verdict.reasons)


def test_the_gravest_comes_first_and_what_is_fine_last(found):
    severities = [each.severity for each in found.findings if each.count]
    assert severities[:3] == ["leak", "conflict", "undecodable"]
    assert [each.count > 0 for each in found.findings] == sorted(
        (each.count > 0 for each in found.findings), reverse=True
    )


def test_a_clean_set_gets_a_good_verdict(clean, engine, tmp_path):
    found = examined(clean, tmp_path / "cache")
    assert found.verdict.level == "good"
    assert "24" in found.verdict.headline
    assert found.finding("random_split").share == 0
    assert found.finding("straddling").count == 0
    graver = {each.key for each in found.findings if each.count and each.severity != "note"}
    assert graver == {"balance"}  # fewer than 30 groups of a class
    assert found.frame["group"].nunique() == 24


def test_without_a_split_copies_make_it_a_warning(faulty, engine, tmp_path):
    frame = find_manifest(faulty, keep_unreadable=True).assign(split="")
    found = audit(frame, faulty, cache=tmp_path / "cache", progress=False)
    assert found.verdict.level == "warn"
    assert "by group" in found.verdict.headline
    assert 0 < found.finding("random_split").share < 1


def test_the_second_method_sees_the_copies_by_itself(found):
    details = found.finding("second_opinion").details
    # all eight turned copies; two photographs stand alone
    assert details["delivered"]["files"] == 8
    assert details["group"]["files"] == 0


def test_a_validation_part_is_held_out_where_there_is_no_test_part(faulty, engine, tmp_path):
    frame = find_manifest(faulty, keep_unreadable=True)
    frame["split"] = frame["split"].replace("test", "val")
    found = audit(frame, faulty, cache=tmp_path / "cache", progress=False)
    leak = found.finding("straddling")
    assert (leak.count, leak.unit) == (8, "validation files")


def test_files_changed_since_the_manifest_are_counted(clean, engine, tmp_path):
    frame = find_manifest(clean)
    frame.loc[3, "sha256"] = "0" * 64
    found = audit(frame, clean, cache=tmp_path / "cache", progress=False)
    assert found.finding("changed_files").count == 1
    assert found.frame["sha256"].iloc[3] != "0" * 64


def test_a_second_audit_asks_nothing_anew(faulty, engine, tmp_path):
    first = examined(faulty, tmp_path / "cache")
    again = examined(faulty, tmp_path / "cache")
    assert len(engine) == 1
    assert again.grouped.facts.pop("from_cache")
    assert not first.grouped.facts.pop("from_cache")
    assert [vars(each) for each in first.findings] == [vars(each) for each in again.findings]
    pd.testing.assert_frame_equal(first.frame, again.frame)


def test_no_file_that_decodes_is_a_mistake(tmp_path, engine):
    for label in ("normal", "defective"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match="none of 2 files decodes"):
        examined(tmp_path, tmp_path / "cache")
