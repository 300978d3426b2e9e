"""Decoded pictures on disk: whole or not there, bounded, and never a reason to fail."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import pickle
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from casting_inspect.data import pixel_cache
from casting_inspect.data.crew import Crew
from casting_inspect.data.feature_store import FeatureStore
from casting_inspect.data.pixel_cache import Kept, PixelCache, cache_name
from casting_inspect.data.row_store import folder_size
from casting_inspect.errors import UserError

SIDE = 24
PICTURES = {f"digest{number}": number for number in range(10)}
GREY, COLOUR = SIDE**2, 3 * SIDE**2


def picture(number: int) -> np.ndarray:
    """Every second one is grey."""
    channels = 3 if number % 2 else 1
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (SIDE, SIDE, channels), dtype=np.uint8)


def no_reading(number: int) -> np.ndarray:
    raise AssertionError(f"picture {number} was decoded again")


def cache_in(root: Path) -> PixelCache:
    return PixelCache(root, SIDE, "pad", None)


def fill(
    cache: PixelCache,
    read: Callable[[int], np.ndarray] = picture,
    pictures: dict[str, int] = PICTURES,
    max_gb: float = 1.0,
) -> Kept:
    return cache.fill(pictures, read, max_gb=max_gb, crew=Crew(2, progress=False))


def assert_whole(cache: PixelCache) -> None:
    for key, number in PICTURES.items():
        kept = cache.get(key)
        assert kept is not None
        assert not kept.flags.writeable
        np.testing.assert_array_equal(kept, picture(number))


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_cache, "SHARD_ROWS", 3)


def test_pictures_come_back_as_they_were_read(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    assert cache.get("digest0") is None
    first = fill(cache)
    assert (first.rows, first.decoded, first.problem) == (10, 10, "")
    assert_whole(cache)
    other_run = cache_in(tmp_path)
    again = fill(other_run, no_reading)
    assert (again.rows, again.decoded, again.problem) == (10, 0, "")
    assert_whole(other_run)
    assert folder_size(tmp_path) < 5 * GREY + 5 * COLOUR + 2500  # grey ones take a third


@pytest.mark.usefixtures("small_shards")
def test_what_is_missing_alone_is_decoded(tmp_path: Path) -> None:
    some = {key: number for key, number in PICTURES.items() if number < 4}
    fill(cache_in(tmp_path), pictures=some)
    cache = cache_in(tmp_path)
    read = []

    def look(number: int) -> np.ndarray:
        read.append(number)
        return picture(number)

    assert fill(cache, look).decoded == 6
    assert sorted(read) == [4, 5, 6, 7, 8, 9]
    assert_whole(cache)


@pytest.mark.usefixtures("small_shards")
def test_an_interrupted_pass_keeps_what_was_whole(tmp_path: Path) -> None:
    def interrupted(number: int) -> np.ndarray:
        if number == 7:
            raise KeyboardInterrupt
        return picture(number)

    with pytest.raises(KeyboardInterrupt):
        fill(cache_in(tmp_path), interrupted)
    folder = cache_in(tmp_path).folder
    (folder / ".half.part.npy").write_bytes(b"left by a killed run")
    next(folder.glob("*.json")).unlink()  # a shard that was killed before its list of keys
    cache = cache_in(tmp_path)
    assert 4 < fill(cache).decoded < 10
    assert_whole(cache)
    assert not list(folder.glob(".*"))
    assert len(list(folder.glob("*.npy"))) == len(list(folder.glob("*.json")))


def test_a_damaged_picture_is_decoded_again(tmp_path: Path) -> None:
    fill(cache_in(tmp_path))
    for rows in cache_in(tmp_path).folder.glob("*.npy"):
        content = bytearray(rows.read_bytes())
        content[-5] ^= 1
        rows.write_bytes(content)
    cache = cache_in(tmp_path)
    assert fill(cache).decoded == 10
    assert_whole(cache)


def test_whatever_changes_pixels_has_its_own_place(monkeypatch: pytest.MonkeyPatch) -> None:
    usual: tuple[Any, ...] = (224, "pad", None)
    others = [(225, "pad", None), (224, "stretch", None), (224, "pad", (0.0, 9.0))]
    names = {cache_name(*each) for each in [usual, *others]}
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "another build")
    names.add(cache_name(*usual))
    monkeypatch.setattr("PIL.__version__", "0")
    names.add(cache_name(*usual))
    assert len(names) == 6


def test_an_unreadable_picture_is_the_users_to_mend(tmp_path: Path) -> None:
    def bad(number: int) -> np.ndarray:
        raise UserError(f"picture {number} is damaged")

    with pytest.raises(UserError, match="is damaged"):
        fill(cache_in(tmp_path), bad)


# ---- where nothing can be kept, the run goes on


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = cache_in(tmp_path / "file" / "pixels")
    kept = fill(cache, no_reading)
    assert kept.problem == os.strerror(errno.ENOTDIR).lower()
    assert kept.decoded == 0
    assert cache.get("digest0") is None


def test_a_folder_that_can_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(cache_in(tmp_path))

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    for name in ("mkdir", "touch", "write_bytes", "unlink"):
        monkeypatch.setattr(Path, name, refused)
    monkeypatch.setattr("filelock.FileLock.acquire", refused)
    cache = cache_in(tmp_path)
    assert fill(cache, no_reading).problem == ""
    assert_whole(cache)
    more = fill(cache, pictures={**PICTURES, "new": 10})
    assert more.problem == os.strerror(errno.EACCES).lower()
    assert_whole(cache)
    assert cache.get("new") is None


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("filelock.FileLock.acquire", unknown)
    assert "flock" in fill(cache_in(tmp_path)).problem


@pytest.mark.usefixtures("small_shards")
def test_a_disk_that_fills_up_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = np.save, []

    def full(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(*arguments)

    monkeypatch.setattr(np, "save", full)
    cache = cache_in(tmp_path)
    kept = fill(cache)
    assert kept.problem == os.strerror(errno.ENOSPC).lower()
    assert not list(cache.folder.glob("*.npy"))
    assert not list(cache.folder.glob("*.json"))
    assert all(cache.get(key) is None for key in PICTURES)


def test_a_nearly_full_disk_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    little = SimpleNamespace(free=5 * GREY + 5 * COLOUR - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: little)
    cache = cache_in(tmp_path)
    assert "more than is free on the disk" in fill(cache).problem
    assert not list(cache.folder.glob("*.npy"))
    little.free += 1
    assert fill(cache).problem == ""


def test_the_bound_holds_for_pictures_and_features_together(tmp_path: Path) -> None:
    old = FeatureStore(tmp_path / "features" / "old")
    old.add([str(number) for number in range(2000)], np.zeros((2000, 3)))
    old.load()
    stamp = time.time() - 1000
    os.utime(old.folder / "last_used", (stamp, stamp))
    needed = 5 * GREY + 5 * COLOUR
    cache = cache_in(tmp_path / "pixels")
    assert "too much for cache.max_gb=" in fill(cache, max_gb=(needed - 1) / 1e9).problem
    assert old.folder.exists()
    assert fill(cache, max_gb=(needed + 100) / 1e9).problem == ""
    assert not old.folder.exists()
    assert_whole(cache)


# ---- several processes


def test_another_process_maps_the_same_files(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    fill(cache)
    sent = pickle.dumps(cache)
    assert len(sent) < 2000  # no picture travels
    assert_whole(pickle.loads(sent))
    shutil.rmtree(cache.folder)  # evicted by another run meanwhile
    assert pickle.loads(sent).get("digest0") is None
    with contextlib.suppress(OSError):
        assert_whole(cache)  # what is mapped stays, where files can be removed at all


def fill_slowly(root: Path) -> int:
    def slow(number: int) -> np.ndarray:
        time.sleep(0.05)
        return picture(number)

    cache = cache_in(root)
    decoded = fill(cache, slow).decoded
    assert_whole(cache)
    return decoded


def test_two_runs_at_once_decode_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        jobs = [pool.apply_async(fill_slowly, (tmp_path,)) for _ in range(2)]
        assert sorted(job.get(60) for job in jobs) == [0, 10]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_reading_takes_no_memory_of_the_process(tmp_path: Path) -> None:
    def own_kilobytes() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    side, count = 256, 400
    cache = PixelCache(tmp_path, side, "pad", None)
    plain = np.full((side, side, 3), 7, dtype=np.uint8)
    names = {str(number): number for number in range(count)}
    cache.fill(names, lambda _: plain, max_gb=1.0, crew=Crew(1, progress=False))
    before = own_kilobytes()
    rows = [cache.get(name) for name in names]
    assert sum(int(row[0, 0, 0]) for row in rows if row is not None) == 7 * count
    assert sum(row.sum() for row in rows if row is not None) == 7 * count * plain.size
    assert own_kilobytes() - before < 0.1 * count * plain.nbytes / 1024
