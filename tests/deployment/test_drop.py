from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from stubs import grey_png, write_grey

from casting_inspect.deployment.drop import Drop, watch
from casting_inspect.deployment.marks import mark_of
from casting_inspect.deployment.sources import Item
from casting_inspect.errors import UserError

PATIENT = 20.0  # seconds after which a test gives up


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    timer = threading.Timer(PATIENT, event.set)
    timer.start()
    yield event
    event.set()
    timer.cancel()


def drop_at(folder: Path, **more: object) -> Drop:
    return Drop(folder, **{"poll": 0.02, "settle": 60.0, "patience": 0.2, **more})  # type: ignore[arg-type]


def later(action: Callable[[], object], seconds: float = 0.15) -> None:
    threading.Timer(seconds, action).start()


def test_pictures_come_out_as_they_came_in(tmp_path: Path, stop: threading.Event) -> None:
    for number, name in enumerate(["c.png", "a.png", "x/b.png"]):
        os.utime(write_grey(tmp_path / name, number), (1000 + number, 1000 + number))
    each = iter(watch(drop_at(tmp_path), stop, print).each)
    assert [next(each).name for _ in range(3)] == ["c.png", "a.png", "x/b.png"]
    later(lambda: write_grey(tmp_path / "a.png", 77))  # a name that comes again
    again = next(each)
    assert again.name == "a.png"
    assert again.mark
    later(stop.set)
    assert next(each, None) is None


def test_a_file_is_taken_when_its_last_byte_is_there(tmp_path: Path, stop: threading.Event) -> None:
    data = grey_png(9, 64)
    part = tmp_path / "slow.png"
    part.write_bytes(data[:-6])
    items = watch(drop_at(tmp_path), stop, print)
    taken: list[Item] = []
    thread = threading.Thread(target=lambda: taken.extend(itertools.islice(items.each, 1)))
    thread.start()
    time.sleep(0.3)  # a dozen looks at the same size
    assert taken == []
    part.write_bytes(data)
    thread.join()
    assert [item.name for item in taken] == ["slow.png"]


def picture_as(ending: str) -> bytes:
    """Return a picture whose format has neither an end marker nor a checksum."""
    import cv2

    done, data = cv2.imencode(ending, np.arange(64 * 64).astype(np.uint8).reshape(64, 64) // 3)
    assert done
    return bytes(data.tobytes())


@pytest.mark.parametrize("ending", [".bmp", ".tif", ".webp"])
def test_half_a_picture_is_not_taken_however_quiet_it_is(
    tmp_path: Path, stop: threading.Event, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr("casting_inspect.deployment.drop.QUIET", 0.1)
    data = picture_as(ending)
    part = tmp_path / f"half{ending}"
    part.write_bytes(data[: len(data) // 2])
    each = iter(watch(drop_at(tmp_path), stop, print).each)
    began = time.monotonic()
    later(lambda: part.write_bytes(data), 0.5)
    assert next(each).name == part.name
    assert time.monotonic() - began > 0.5


@pytest.mark.parametrize("ending", [".bmp", ".tif", ".webp"])
def test_a_picture_that_had_its_length_before_its_pixels_is_taken_when_it_is_quiet(
    tmp_path: Path, stop: threading.Event, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr("casting_inspect.deployment.drop.QUIET", 0.4)
    data = picture_as(ending)
    part = tmp_path / f"slow{ending}"
    kept = len(data) // 2
    part.write_bytes(data[:kept] + bytes(len(data) - kept))
    each = iter(watch(drop_at(tmp_path), stop, print).each)
    later(lambda: part.write_bytes(data), 0.2)  # ten looks at the full length
    item = next(each)
    assert part.read_bytes() == data
    assert item.mark == mark_of(part.stat())


def test_a_file_that_stays_incomplete_is_taken_at_last(
    tmp_path: Path, stop: threading.Event
) -> None:
    (tmp_path / "cut.png").write_bytes(grey_png(9)[:-6])
    each = iter(watch(drop_at(tmp_path, settle=0.1), stop, print).each)
    assert next(each).name == "cut.png"


def test_temporary_names_wait_for_their_renaming(tmp_path: Path, stop: threading.Event) -> None:
    for name in ("a.png.tmp", ".b.png", "c.png.part", "~d.png"):
        write_grey(tmp_path / name, 1)
    (tmp_path / "log.txt").write_text("x", encoding="utf-8")
    items = watch(drop_at(tmp_path), stop, print)
    later(lambda: (tmp_path / "a.png.tmp").rename(tmp_path / "a.png"))
    each = iter(items.each)
    assert next(each).name == "a.png"
    later(stop.set)
    assert next(each, None) is None
    assert items.left_out == ["log.txt"]


def test_folders_of_results_are_not_watched(tmp_path: Path, stop: threading.Event) -> None:
    write_grey(tmp_path / "done" / "old.png", 1)
    write_grey(tmp_path / "new.png", 1)
    drop = drop_at(tmp_path, outputs=(tmp_path / "done",))
    each = iter(watch(drop, stop, print).each)
    assert next(each).name == "new.png"
    later(stop.set)
    assert next(each, None) is None


def test_folders_of_results_are_known_by_any_name(tmp_path: Path, stop: threading.Event) -> None:
    """A drop folder through a link, and results in the folder that it leads to."""
    real, link = tmp_path / "real", tmp_path / "link"
    write_grey(real / "done" / "old.png", 1)
    write_grey(real / "new.png", 1)
    try:
        link.symlink_to(real, target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    for folder, done in ((link, real / "done"), (real, link / "done")):
        each = iter(watch(drop_at(folder, outputs=(done,)), stop, print).each)
        assert next(each).name == "new.png"
        later(stop.set)
        assert next(each, None) is None
        stop.clear()


@pytest.mark.parametrize("around", [".", "drop", "drop/../drop"])
def test_results_around_the_drop_folder_are_refused(
    tmp_path: Path, stop: threading.Event, around: str
) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    with pytest.raises(UserError, match="must not go to the folder that is inspected"):
        watch(drop_at(folder, outputs=(tmp_path / around,)), stop, print)


def test_a_folder_that_is_gone_is_waited_for(tmp_path: Path, stop: threading.Event) -> None:
    folder, said = tmp_path / "drop", list[str]()
    folder.mkdir()
    each = iter(watch(drop_at(folder, patience=PATIENT), stop, said.append).each)
    later(lambda: shutil.rmtree(folder))
    later(lambda: write_grey(folder / "a.png", 1), 0.4)
    assert next(each).name == "a.png"
    assert len(said) == 2
    assert "is gone" in said[0]
    assert "there again" in said[1]


def test_a_folder_that_stays_away_ends_it(tmp_path: Path, stop: threading.Event) -> None:
    folder = tmp_path / "drop"
    folder.mkdir()
    each = iter(watch(drop_at(folder), stop, print).each)
    later(folder.rmdir)
    with pytest.raises(UserError, match="the drop folder cannot be read"):
        next(each)
    with pytest.raises(UserError, match="no such folder to watch"):
        watch(drop_at(folder), stop, print)


def test_without_watchdog_it_polls_and_says_so(
    tmp_path: Path, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "watchdog.events", None)
    write_grey(tmp_path / "a.png", 1)
    said = list[str]()
    each = iter(watch(drop_at(tmp_path, events=True), stop, said.append).each)
    assert next(each).name == "a.png"
    assert "polling alone" in said[0]


def test_the_systems_word_wakes_it(tmp_path: Path, stop: threading.Event) -> None:
    pytest.importorskip("watchdog", reason="the extra 'watch' is not installed")
    each = iter(watch(drop_at(tmp_path, poll=10 * PATIENT, events=True), stop, print).each)
    later(lambda: write_grey(tmp_path / "a.png", 1))
    assert next(each).name == "a.png"  # the next look of its own would come too late
    each.close()  # type: ignore[attr-defined]
