from __future__ import annotations

import errno
import io
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from links import link

from casting_inspect.data import archive
from casting_inspect.data.archive import FolderSource, check_room, is_within, open_source
from casting_inspect.data.header import DecodeError
from casting_inspect.errors import UserError

LIMIT = 2**20


def zipped(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return path


def test_zip_and_folder_give_the_same(tmp_path: Path) -> None:
    files = {"a/ü [1] #=&~,.png": b"one", "b.png": b"two", "a/b/c.png": b"x" * 40}
    for name, data in files.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    packed = zipped(tmp_path / "in.zip", {**files, "empty/": b""}, zipfile.ZIP_DEFLATED)
    for source in (open_source(tmp_path / "in"), open_source(packed)):
        assert [entry.path for entry in source.entries] == sorted(files)
        assert [entry.size for entry in source.entries] == [len(files[p]) for p in sorted(files)]
        assert not any(entry.problem for entry in source.entries)
        for name, data in files.items():
            assert source.read(name, LIMIT) == data
            assert source.start(name) == data[:16]
        with pytest.raises(DecodeError, match="absurdly large"):
            source.read("a/b/c.png", 39)
        assert source.read("a/b/c.png", 40) == b"x" * 40
        source.close()


def test_many_threads_read_one_zip(tmp_path: Path) -> None:
    files = {f"{number}.png": bytes([number]) * 9_000 for number in range(60)}
    source = open_source(zipped(tmp_path / "in.zip", files, zipfile.ZIP_DEFLATED))
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda name: source.read(name, LIMIT), files))
    source.close()
    assert got == list(files.values())


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda _: None, "no such file or folder"),
        (lambda path: path.mkdir(), "is empty"),
        (lambda path: zipped(path, {}), "is empty"),
        (lambda path: path.write_bytes(b""), "not a complete zip file"),
        (lambda path: path.write_bytes(b"Rar!" + bytes(100)), "not a complete zip file"),
    ],
)
def test_sources_that_are_none(
    prepare: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    prepare(tmp_path / "source")
    with pytest.raises(UserError, match=message) as caught:
        open_source(tmp_path / "source")
    assert str(tmp_path / "source") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_source_must_be_given() -> None:
    with pytest.raises(UserError, match="source is not given"):
        open_source(None)


def test_a_truncated_zip_is_refused_whole(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "a.zip", {"ok/a.png": os.urandom(5_000), "ok/b.png": b"b"})
    cut = tmp_path / "cut.zip"
    for length in (30, 4_000, whole.stat().st_size - 1):
        cut.write_bytes(whole.read_bytes()[:length])
        with pytest.raises(UserError, match="not a complete zip file"):
            open_source(cut)


OUTWARD = """../evil.png ok/../../evil.png /etc/evil.png //x/y.png ../ C:/evil.png C:evil.png
..\\evil.png ok\\..\\..\\evil.png \\\\server\\share\\evil.png"""


@pytest.mark.parametrize("name", OUTWARD.split())
def test_a_zip_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    packed = zipped(tmp_path / "a.zip", {"ok/a.png": b"fine", name: b"evil"})
    with pytest.raises(UserError, match="leads out of the target"):
        open_source(packed)


def test_names_from_windows_tools(tmp_path: Path) -> None:
    source = open_source(zipped(tmp_path / "a.zip", {"ok\\sub\\a.png": b"x", "./ok//b.png": b"y"}))
    assert [entry.path for entry in source.entries] == ["ok/b.png", "ok/sub/a.png"]
    assert source.read("ok/sub/a.png", LIMIT) == b"x"
    source.close()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"ok/Gu\xe1teil \x81.png", "ok/Gußteil ü.png"),  # code page 437
        ("ok/Gußteil ü.png".encode(), "ok/Gußteil ü.png"),  # UTF-8 that does not say so
    ],
)
def test_names_without_the_utf8_mark(raw: bytes, expected: str, tmp_path: Path) -> None:
    stand_in = "ok/" + "x" * (len(raw) - 3)
    data = zipped(tmp_path / "a.zip", {stand_in: b"x"}).read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace(stand_in.encode(), raw))
    source = open_source(tmp_path / "a.zip")
    assert [entry.path for entry in source.entries] == [expected]
    assert source.read(expected, LIMIT) == b"x"
    source.close()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(kind: int, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("ok/a.png")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match=r"'ok/a\.png' is a link or a device"):
        open_source(tmp_path / "a.zip")


def test_bombs_are_refused_by_their_directory(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "a.zip", {"ok/a.bmp": bytes(2_000_000)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match=r"'ok/a\.bmp' unpacks \d+ bytes to 2000000"):
        open_source(bomb)
    small = zipped(tmp_path / "b.zip", {"ok/a.bmp": bytes(100_000)}, zipfile.ZIP_DEFLATED)
    open_source(small).close()  # a small black picture harms nobody
    many = {f"ok/{n}.bmp": bytes(1_000_000) for n in range(9)}
    with pytest.raises(UserError, match="bytes unpack to 9000000"):
        open_source(zipped(tmp_path / "c.zip", many, zipfile.ZIP_DEFLATED))


def test_a_member_that_lies_about_its_size_is_not_unpacked_further(tmp_path: Path) -> None:
    packed = zipped(tmp_path / "a.zip", {"ok/a.bmp": bytes(900_000)}, zipfile.ZIP_DEFLATED)
    data = bytearray(packed.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(mark) + offset, 100)
    packed.write_bytes(data)
    source = open_source(packed)
    assert source.entries[0].size == 100
    with pytest.raises(DecodeError, match="damaged in the zip file"):
        source.read("ok/a.bmp", LIMIT)
    source.close()


def test_an_encrypted_zip_says_so(tmp_path: Path) -> None:
    packed = zipped(tmp_path / "a.zip", {"ok/a.png": b"secret"})
    data = bytearray(packed.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    packed.write_bytes(data)
    with pytest.raises(UserError, match="encrypted"):
        open_source(packed)


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", {"ok/a.png": b"1", "ok\\a.png": b"2"})
    with pytest.raises(UserError, match=r"holds 'ok/a\.png' twice"):
        open_source(tmp_path / "a.zip")


def test_damage_inside_a_zip_is_that_files_own(tmp_path: Path) -> None:
    members = {"ok/a.png": b"A" * 999, "ok/b.png": b"B" * 999, "ok/c.png": b"C" * 999}
    packed = zipped(tmp_path / "a.zip", members)
    data = bytearray(packed.read_bytes())
    data[data.index(b"AAAA") + 5] ^= 1
    data[data.index(b"PK\x03\x04", data.index(b"AAAA")) + 1] = 0
    where = data.rindex(b"PK\x01\x02")
    struct.pack_into("<H", data, where + 10, 9)  # deflate64, which Python does not know
    packed.write_bytes(data)
    source = open_source(packed)
    for name in members:
        with pytest.raises(DecodeError, match="damaged in the zip file"):
            source.read(name, LIMIT)
    assert source.start("ok/b.png") == b""
    source.close()


@pytest.mark.skipif(os.name == "nt", reason="needs links and odd names")
def test_odd_things_in_a_folder_are_named(tmp_path: Path) -> None:
    root = tmp_path / "in"
    (root / "real").mkdir(parents=True)
    (root / "real" / "a.png").write_bytes(b"a")
    (root / "linked").symlink_to(root / "real")
    (root / "real" / "loop").symlink_to(root)
    (root / "file.png").symlink_to(root / "real" / "a.png")
    (root / "gone.png").symlink_to(root / "nowhere")
    os.mkfifo(root / "pipe")
    (root / "line\nbreak.png").write_bytes(b"n")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.png")).write_bytes(b"f")
    source = open_source(root)
    problems = {entry.path: entry.problem for entry in source.entries}
    assert problems == {
        "file.png": "",
        "gone.png": "a link to nothing",
        "line\nbreak.png": "its name has a control character",
        "linked/a.png": "",
        "pipe": "not a regular file",
        "real/a.png": "",
        os.fsdecode(b"\xff.png"): "its name is not valid UTF-8",
    }
    assert source.read("file.png", LIMIT) == b"a"
    assert source.start("pipe") == b""


def test_files_that_vanish_stop_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    source = FolderSource(tmp_path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(UserError, match=r"No such file.*Was a stick pulled out"):
        source.read("a.png", LIMIT)
    assert source.start("a.png") == b""


@pytest.mark.parametrize(
    ("number", "listable", "expected"),
    [
        ("EACCES", True, DecodeError),
        ("EIO", True, DecodeError),
        ("EIO", False, UserError),
        ("ENODEV", True, UserError),
    ],
)
def test_one_bad_file_is_told_from_a_stick_that_is_gone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: str,
    listable: bool,
    expected: type[Exception],
) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    source = FolderSource(tmp_path)

    def refused(*_: object) -> None:
        raise OSError(getattr(errno, number), "no")

    monkeypatch.setattr(Path, "open", refused)
    if not listable:
        monkeypatch.setattr(archive.os, "scandir", refused)
    with pytest.raises(expected):
        source.read("a.png", LIMIT)


def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    plain = Path.iterdir

    def iterdir(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied: .*closed\)"):
        open_source(tmp_path)


def test_room_and_nesting(tmp_path: Path) -> None:
    check_room(tmp_path, 1)
    with pytest.raises(UserError, match="MB are needed"):
        check_room(tmp_path, 2**62)
    (tmp_path / "a").mkdir()
    link(tmp_path / "b", tmp_path / "a")
    assert is_within(tmp_path / "b" / "new", tmp_path / "a")
    assert is_within(tmp_path, tmp_path)
    assert not is_within(tmp_path / "a", tmp_path / "a" / "x")
    assert not is_within(tmp_path / "ab", tmp_path / "a")


def test_a_bomb_is_far_beyond_the_limit() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("x", bytes(5_000_000))
    found = zipfile.ZipFile(stream).infolist()[0]
    assert found.file_size / found.compress_size > 4 * archive.MAX_RATIO
