from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from links import link
from PIL import Image

from casting_inspect.data import intake, outcome, recipes
from casting_inspect.data.decode import read_rgb
from casting_inspect.data.header import register_heif
from casting_inspect.data.intake import PrepareResult
from casting_inspect.data.manifest import read_manifest, scan_folder
from casting_inspect.errors import UserError

RNG = np.random.default_rng(4)


def prepare(source: Path | None, out: Path, recipe: str = "folder", **options: object):
    options.setdefault("workers", 2)
    options.setdefault("progress", False)
    return intake.prepare(source, out, recipe, **options)


def picture(path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)).save(path, **options)
    return path


@pytest.fixture
def delivered(tmp_path: Path) -> Path:
    root = tmp_path / "delivered"
    picture(root / "train" / "OK" / "a.png")
    picture(root / "train" / "OK" / "Gußteil #1 [x]=y&z~, 'q'.jpeg", quality=90)
    picture(root / "test" / "NG" / "b.bmp")
    exif = Image.Exif()
    exif[274] = 6
    picture(root / "defekt" / "turned.jpg", exif=exif)
    deep = RNG.integers(0, 4096, (5, 4)).astype(np.uint16)
    Image.fromarray(deep).save(root / "defekt" / "deep.tif")
    (root / "train" / "OK" / "Thumbs.db").write_bytes(b"x")
    (root / "readme.txt").write_text("ok")
    return root


ALIASES = {"defekt": "defective"}


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    return {
        path.relative_to(root).as_posix(): (
            path.stat().st_mtime_ns,
            path.stat().st_ino,
            path.read_bytes() if path.is_file() else None,
        )
        for path in [root, *root.rglob("*")]
    }


def zip_of(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                out.write(file, file.relative_to(folder.parent))
    return path


def test_pictures_are_copied_as_they_are_and_listed(
    delivered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    result = prepare(delivered, out, aliases=ALIASES)
    assert result == PrepareResult(out, out / "manifest.csv", 2, 3, [], False)
    frame = read_manifest(result.manifest)
    assert frame[["path", "label", "split", "source"]].values.tolist() == [
        ["defekt/deep.tif", "defective", "", "defekt"],
        ["defekt/turned.jpg", "defective", "", "defekt"],
        ["test/NG/b.bmp", "defective", "test", "test/NG"],
        ["train/OK/Gußteil #1 [x]=y&z~, 'q'.jpeg", "normal", "train", "train/OK"],
        ["train/OK/a.png", "normal", "train", "train/OK"],
    ]
    assert frame[["width", "height"]].values.tolist() == [[4, 5], [6, 9], [9, 6], [9, 6], [9, 6]]
    for path, digest in zip(frame["path"], frame["sha256"], strict=True):
        assert (out / path).read_bytes() == (delivered / path).read_bytes()
        assert digest == hashlib.sha256((out / path).read_bytes()).hexdigest()
    assert (out / "rejected.csv").read_text() == "path,reason\n"
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {*frame["path"], "manifest.csv", "rejected.csv", "prepare.json"}
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    shown = capsys.readouterr()
    assert "2 files that are no pictures were ignored: Thumbs.db, readme.txt" in shown.out
    assert "3 defective and 2 normal pictures, 0 rejected" in shown.out
    assert shown.err == ""


def test_the_result_is_what_scanning_it_finds(delivered: Path, tmp_path: Path) -> None:
    prepare(delivered, tmp_path / "out", aliases=ALIASES)
    written = read_manifest(tmp_path / "out" / "manifest.csv")
    pd.testing.assert_frame_equal(scan_folder(tmp_path / "out", ALIASES), written)


def test_again_changes_nothing_and_says_so(
    delivered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    first = prepare(delivered, out, aliases=ALIASES)
    before = snapshot(out)
    moved = shutil.copytree(delivered, tmp_path / "moved" / "copy")
    (moved / "Thumbs.db").write_bytes(b"new")
    for source in (delivered, moved):
        capsys.readouterr()
        again = prepare(source, out, aliases=ALIASES)
        assert again.unchanged
        assert (again.n_normal, again.n_defective) == (first.n_normal, first.n_defective)
        assert "nothing to do" in capsys.readouterr().out
        assert snapshot(out) == before


def test_a_zip_gives_what_its_folder_gives(delivered: Path, tmp_path: Path) -> None:
    packed = zip_of(delivered, tmp_path / "in.zip")
    prepare(delivered.parent / "delivered", tmp_path / "a", aliases=ALIASES)
    prepare(packed, tmp_path / "b", aliases=ALIASES)
    one, two = (read_manifest(tmp_path / name / "manifest.csv") for name in "ab")
    assert list(two["path"]) == [f"delivered/{path}" for path in one["path"]]
    for column in ("label", "split", "sha256", "width", "height"):
        assert list(one[column]) == list(two[column])
    record = json.loads((tmp_path / "b" / "prepare.json").read_text())
    assert record["archive_sha256"] == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert record["source"] == "in.zip"
    assert (record["n_normal"], record["n_defective"], record["n_rejected"]) == (2, 3, 0)


@pytest.fixture
def damaged(delivered: Path) -> Path:
    whole = (delivered / "train" / "OK" / "a.png").read_bytes()
    (delivered / "train" / "OK" / "cut.png").write_bytes(whole[:-20])
    (delivered / "test" / "NG" / "empty.jpg").write_bytes(b"")
    (delivered / "test" / "NG" / "text.png").write_bytes(b"not a picture at all")
    (delivered / "test" / "NG" / "moving.gif").write_bytes(b"GIF89a")
    link(delivered / "test" / "NG" / "link, gone.png", "nowhere")
    picture(delivered / "unsorted" / "c.png")
    return delivered


BAD = {
    "test/NG/empty.jpg": "empty file (0 bytes)",
    "test/NG/link, gone.png": "a link to nothing",
    "test/NG/moving.gif": "not a picture that can be read (JPEG, PNG, TIFF, BMP or WebP)",
    "test/NG/text.png": "not a picture that can be read (JPEG, PNG, TIFF, BMP or WebP)",
    "train/OK/cut.png": "truncated (the end of the PNG is missing)",
    "unsorted/c.png": "not in a class folder",
}


def test_bad_files_stop_it_and_are_all_listed(damaged: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"6 rejected: test/NG/empty\.jpg: empty file") as caught:
        prepare(damaged, out, aliases=ALIASES)
    assert "\n" not in str(caught.value)
    assert "on_bad=skip" in str(caught.value)
    assert str(tmp_path / "out.rejected.csv") in str(caught.value)
    assert "and 1 more" in str(caught.value)
    assert dict(outcome.read_rejected(tmp_path / "out.rejected.csv")) == BAD
    assert {path.name for path in tmp_path.iterdir()} == {"delivered", "out.rejected.csv"}


def test_bad_files_can_be_left_out(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    result = prepare(damaged, out, aliases=ALIASES, on_bad="skip")
    assert dict(result.rejected) == BAD
    assert (result.n_normal, result.n_defective) == (2, 3)
    assert dict(outcome.read_rejected(out / "rejected.csv")) == BAD
    assert "6 rejected: test/NG/empty.jpg" in capsys.readouterr().out
    before = snapshot(out)
    again = prepare(damaged, out, aliases=ALIASES, on_bad="skip")
    assert again.unchanged
    assert again.rejected == result.rejected
    with pytest.raises(UserError, match="6 rejected"):
        prepare(damaged, out, aliases=ALIASES)
    assert snapshot(out) == before


def test_his_own_folders_castings_and_lots(delivered: Path, tmp_path: Path) -> None:
    picture(delivered / "Riß" / "T7_a.png")
    words = {"normal": ["ok"], "lot_from": "folder:1", "group_from": "path:(T[0-9]+)_"}
    frame = read_manifest(prepare(delivered, tmp_path / "out", **words).manifest)
    assert dict(zip(frame["path"], frame["kind"], strict=True)) == {
        "Riß/T7_a.png": "Riß",
        "defekt/deep.tif": "defekt",
        "defekt/turned.jpg": "defekt",
        "test/NG/b.bmp": "NG",
        "train/OK/Gußteil #1 [x]=y&z~, 'q'.jpeg": "",
        "train/OK/a.png": "",
    }
    assert frame["group"].to_list() == ["T7", "", "", "", "", ""]
    assert frame["lot"].to_list() == ["Riß", "defekt", "defekt", "test", "train", "train"]
    assert prepare(delivered, tmp_path / "out", **words).unchanged
    with pytest.raises(UserError, match="other pictures"):
        prepare(delivered, tmp_path / "out", **{**words, "lot_from": "folder:-1"})


def test_a_table_in_place_of_folders(delivered: Path, tmp_path: Path) -> None:
    table = tmp_path / "Liste.csv"
    rows = "Datei;Befund;Charge\ntest\\NG\\b.bmp;n.i.O.;L1\na.png;i.O.;L2\nfehlt.png;i.O.;L2\n"
    table.write_bytes(rows.encode("cp1252"))
    with pytest.raises(UserError, match=r"4 rejected: .*deep\.tif: not in the table"):
        prepare(delivered, tmp_path / "out", manifest=table)
    result = prepare(delivered, tmp_path / "out", manifest=table, on_bad="skip", lot_from="Charge")
    frame = read_manifest(result.manifest)
    assert frame[["path", "label", "Charge", "lot"]].values.tolist() == [
        ["test/NG/b.bmp", "defective", "L1", "L1"],
        ["train/OK/a.png", "normal", "L2", "L2"],
    ]
    assert ("fehlt.png", "in the table, but there is no such picture") in result.rejected
    with pytest.raises(UserError, match="goes with recipe=folder"):
        prepare(delivered, tmp_path / "new", "all", manifest=table)


def test_folders_with_unknown_names_are_counted_with_what_to_type(
    delivered: Path, tmp_path: Path
) -> None:
    picture(delivered / "Lunker" / "c.png")
    with pytest.raises(UserError, match=r"'Lunker' \(1\).*add data\.normal=\[OK\]"):
        prepare(delivered, tmp_path / "out")


def test_a_stick_that_is_pulled_out_is_no_damaged_picture(
    delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pulled(*_: object) -> object:
        shutil.rmtree(delivered, ignore_errors=True)
        return (6, 9, 3), None

    whole = intake.decode
    monkeypatch.setattr(intake, "decode", lambda *words: (whole(*words), pulled())[0])
    with pytest.raises(UserError, match="Was a stick pulled out") as caught:
        prepare(delivered, tmp_path / "out", on_bad="skip", workers=1)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_phones_picture_without_the_extra_says_how_to_get_it(
    delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    register_heif.cache_clear()
    (delivered / "train" / "OK" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1")
    result = prepare(delivered, tmp_path / "out", aliases=ALIASES, on_bad="skip")
    assert [path for path, _ in result.rejected] == ["train/OK/IMG_1.HEIC"]
    assert 'pip install "casting-inspect[phone]"' in result.rejected[0][1]
    register_heif.cache_clear()


def test_too_large_is_rejected_by_the_header(delivered: Path, tmp_path: Path) -> None:
    result = prepare(delivered, tmp_path / "out", aliases=ALIASES, on_bad="skip", max_pixels=53)
    assert {path for path, _ in result.rejected} == {
        "defekt/turned.jpg",
        "test/NG/b.bmp",
        "train/OK/Gußteil #1 [x]=y&z~, 'q'.jpeg",
        "train/OK/a.png",
    }
    assert all("absurdly large" in reason for _, reason in result.rejected)


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in" / "ok").mkdir(parents=True)
    (tmp_path / "in" / "ok" / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match="not one picture in it can be read"):
        prepare(tmp_path / "in", tmp_path / "out", on_bad="skip")
    assert not (tmp_path / "out").exists()


def test_a_target_with_something_else_is_not_touched(delivered: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    prepare(delivered, out, aliases=ALIASES)  # empty is fine
    before = snapshot(out)
    for options, message in (
        ({"window": [0, 4095]}, r"window None there, \[0\.0, 4095\.0\] now"),
        ({"max_pixels": 10_000}, "max_pixels 100000000 there, 10000 now"),
        ({"aliases": {"defekt": "normal"}}, "other pictures"),
    ):
        with pytest.raises(UserError, match=message):
            prepare(delivered, out, **{"aliases": ALIASES, **options})
    picture(delivered / "ok" / "one more.png")
    with pytest.raises(UserError, match=r"result of another prepare \(other pictures\)"):
        prepare(delivered, out, aliases=ALIASES)
    assert snapshot(out) == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious.txt").write_text("keep")
    with pytest.raises(UserError, match=r"holds something else \(precious\.txt\)"):
        prepare(delivered, other, aliases=ALIASES)
    with pytest.raises(UserError, match=r"holds something else \(a file\)"):
        prepare(delivered, other / "precious.txt", aliases=ALIASES)
    with pytest.raises(UserError, match="cannot be written"):
        prepare(delivered, other / "precious.txt" / "below", aliases=ALIASES)
    assert [path.name for path in other.iterdir()] == ["precious.txt"]


def spoil(out: Path, what: str) -> None:
    if what == "picture gone":
        (out / "train" / "OK" / "a.png").unlink()
    elif what == "picture changed":
        data = bytearray((out / "test" / "NG" / "b.bmp").read_bytes())
        data[-1] ^= 1
        (out / "test" / "NG" / "b.bmp").write_bytes(data)
    elif what == "list gone":
        (out / "rejected.csv").unlink()
    else:
        text = (out / "manifest.csv").read_text(encoding="utf-8")
        text = text.replace(",normal,", ",defective,", 1)
        (out / "manifest.csv").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("picture gone", r"damaged, 1 files are missing or changed, first 'train/OK/a\.png'"),
        ("picture changed", r"damaged, 1 files are missing or changed, first 'test/NG/b\.bmp'"),
        ("list gone", r"damaged, no rejected\.csv"),
        ("label changed", "manifest of an earlier prepare there was changed"),
    ],
)
def test_a_damaged_result_is_recognised(
    what: str, message: str, delivered: Path, tmp_path: Path
) -> None:
    prepare(delivered, tmp_path / "out", aliases=ALIASES)
    spoil(tmp_path / "out", what)
    before = snapshot(tmp_path / "out")
    with pytest.raises(UserError, match=message):
        prepare(delivered, tmp_path / "out", aliases=ALIASES)
    assert snapshot(tmp_path / "out") == before


def test_groups_added_to_the_manifest_are_no_damage(delivered: Path, tmp_path: Path) -> None:
    prepare(delivered, tmp_path / "out", aliases=ALIASES)
    manifest = tmp_path / "out" / "manifest.csv"
    frame = read_manifest(manifest)
    frame["group"] = "g"
    frame.to_csv(manifest, index=False)
    assert prepare(delivered, tmp_path / "out", aliases=ALIASES).unchanged
    assert set(read_manifest(manifest)["group"]) == {"g"}


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
        (OSError(errno.ENOSPC, "No space left on device"), UserError),
    ],
)
def test_interrupted_there_is_nothing(
    raised: BaseException,
    expected: type[BaseException],
    delivered: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = Path.write_bytes

    def write_bytes(path: Path, data: bytes) -> int:
        if path.name == "b.bmp":
            raise raised
        return plain(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(expected):
        prepare(delivered, tmp_path / "out", aliases=ALIASES)
    assert [path.name for path in tmp_path.iterdir()] == ["delivered"]


KILLED = """
import os, sys
from pathlib import Path
from threading import Event
from casting_inspect.data import intake

def decode(*_):
    os.write(1, b"busy\\n")  # print writes the line's end apart, and two threads do this at once
    Event().wait()

intake.decode = decode
intake.prepare(Path(sys.argv[1]), Path(sys.argv[2]), "folder", on_bad="skip", progress=False)
"""


@pytest.mark.slow
def test_killed_there_is_nothing_and_the_next_run_does_it_all(
    delivered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", KILLED, str(delivered), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line == "busy\n" for line in iter(process.stdout.readline, ""))
        process.kill()
    assert not (tmp_path / "out").exists()
    prepare(delivered, tmp_path / "out", aliases=ALIASES)
    assert "interrupted run has left" in capsys.readouterr().out


def test_what_a_killed_run_left_is_pointed_out(
    delivered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with outcome.building(tmp_path / "out") as temporary:
        name = temporary.name
    (tmp_path / "out").rmdir()
    (tmp_path / name).mkdir()
    prepare(delivered, tmp_path / "out", aliases=ALIASES)
    assert f"{name} is what an interrupted run has left" in capsys.readouterr().out
    prepare(delivered, tmp_path / "elsewhere", aliases=ALIASES)
    assert "interrupted" not in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="Windows has other limits")
def test_names_that_the_file_system_cannot_hold(tmp_path: Path) -> None:
    good = picture(tmp_path / "a.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as out:
        out.writestr("ok/" + "x" * 251 + ".png", good)
        out.writestr("ok/" + "y" * 252 + ".png", good)
        out.writestr("ok/line\nbreak.png", good)
    result = prepare(tmp_path / "in.zip", tmp_path / "out", on_bad="skip")
    assert result.n_normal == 1
    assert [reason for _, reason in result.rejected] == [
        "its name has a control character",
        "its name is not possible on this file system",
    ]
    assert outcome.read_rejected(tmp_path / "out" / "rejected.csv")[0][0] == "ok/line\\nbreak.png"


@pytest.mark.parametrize("name", ["Güte & Maß, #1=[x] ~'q'", "z" * 200, " blank "])
def test_any_name_for_out(name: str, delivered: Path, tmp_path: Path) -> None:
    prepare(delivered, tmp_path / name, aliases=ALIASES)
    assert prepare(delivered, tmp_path / name, aliases=ALIASES).unchanged


def test_the_working_folder_as_out(
    delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    prepare(delivered, Path(), aliases=ALIASES)
    assert (tmp_path / "here" / "manifest.csv").is_file()


def test_out_may_not_lie_in_source(delivered: Path) -> None:
    for out in (delivered, delivered / "out", delivered / "x" / ".." / "out"):
        with pytest.raises(UserError, match="lies in source"):
            prepare(delivered, out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "papre"}, r"recipe=papre.*Did you mean 'paper'"),
        ({"on_bad": "ignore"}, "must be fail or skip"),
        ({"window": [5, 5]}, "low below high"),
        ({"window": [1]}, "low below high"),
        ({"window": [0, float("nan")]}, "low below high"),
        ({"aliases": {"x": "y"}}, r"aliases\.x=y"),
    ],
)
def test_choices_are_checked(
    options: dict[str, object], message: str, delivered: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        prepare(delivered, tmp_path / "out", **{"recipe": "folder", **options})


def test_a_window_is_kept_for_the_readers(delivered: Path, tmp_path: Path) -> None:
    prepare(delivered, tmp_path / "out", aliases=ALIASES, window=(100, 4000))
    window = outcome.recorded_window(tmp_path / "out")
    assert window == (100.0, 4000.0)
    assert read_rgb(tmp_path / "out" / "defekt" / "deep.tif", window).shape == (5, 4, 3)
    assert outcome.recorded_window(delivered) is None


def test_the_public_sets_numbers_hold_after_rejection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"paper": {"defective": 2, "normal": 1}}
    monkeypatch.setattr(recipes, "EXPECTED", counts)
    root = tmp_path / "casting"
    for folder, name in (
        ("train/def_front", "a"),
        ("test/def_front", "b"),
        ("train/ok_front", "a"),
    ):
        picture(root / "casting_data" / folder / f"{name}.jpeg")
    last = picture(root / "casting_512x512" / "def_front" / "b.jpeg")
    result = prepare(root, tmp_path / "out", "paper")
    assert (result.n_normal, result.n_defective) == (1, 2)
    assert (tmp_path / "out" / "defective" / "b.jpeg").read_bytes() == last.read_bytes()
    assert list(read_manifest(result.manifest)["source"]) == ["train", "512", "train"]
    last.write_bytes(last.read_bytes()[:-9])
    with pytest.raises(UserError, match="1 defective instead of 2 after 1 rejected"):
        prepare(root, tmp_path / "again", "paper", on_bad="skip")
    assert not (tmp_path / "again").exists()


def test_a_bar_on_the_error_stream(
    delivered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(delivered, tmp_path / "out", aliases=ALIASES, progress=True, workers=0)
    shown = capsys.readouterr()
    assert "checking, copying" in shown.err
    assert "5/5" in shown.err
    assert "checking" not in shown.out
