from __future__ import annotations

import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest

from casting_inspect.data.feature_store import FeatureStore
from casting_inspect.data.row_store import folder_size, make_room
from casting_inspect.errors import UserError


def filled(folder: Path, keys: list[str], start: int = 0) -> FeatureStore:
    store = FeatureStore(folder)
    store.add(keys, np.arange(start, start + 3 * len(keys), dtype=np.float32).reshape(-1, 3))
    return store


def test_rows_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    filled(tmp_path / "s", ["a", "b"])
    filled(tmp_path / "s", ["c"], start=100)
    store = FeatureStore(tmp_path / "s")
    store.load()
    expected = [[100, 101, 102], [0, 1, 2], [3, 4, 5], [0, 1, 2]]
    np.testing.assert_array_equal(store.take(["c", "a", "b", "a"]), expected)
    assert store.row_shape() == (3,)
    assert store.missing(["a", "x", "c", "x", "y"]) == ["x", "y"]


def test_unknown_key_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        filled(tmp_path / "s", ["a"]).take(["b"])


@pytest.mark.parametrize("damage", ["truncate", "flip", "no rows", "no index", "bad index"])
def test_a_damaged_shard_is_dropped_and_its_rows_are_missing(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "s"
    filled(folder, ["a", "b"])
    rows, index = next(folder.glob("*.npy")), next(folder.glob("*.json"))
    content = rows.read_bytes()
    if damage == "truncate":
        rows.write_bytes(content[:-2])
    elif damage == "flip":
        rows.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "no rows":
        rows.unlink()
    elif damage == "no index":
        index.unlink()
    else:
        index.write_text(json.dumps({"keys": ["a"]}))
    filled(folder, ["whole"])
    (folder / ".half.part.npy").write_bytes(b"left by a killed run")
    store = FeatureStore(folder)
    store.load()
    assert store.missing(["a", "b", "whole"]) == ["a", "b"]
    assert (folder / ".half.part.npy").exists()  # perhaps another run is writing it
    store.load(mend=True)
    assert len(list(folder.iterdir())) == 3  # the whole shard's two files and the stamp
    assert store.missing(["a", "b", "whole"]) == ["a", "b"]


def test_values_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "s")
    with pytest.raises(UserError, match="float16"):
        store.add(["a"], np.array([[1e6]]))
    assert not list(tmp_path.rglob("*.npy"))


def test_nothing_is_left_behind_when_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match=r"No space left.*cache\.dir"):
        FeatureStore(tmp_path / "s").add(["a"], np.zeros((1, 2)))
    assert not [path for path in (tmp_path / "s").iterdir() if path.is_file()]


def test_the_store_used_longest_ago_makes_room(tmp_path: Path) -> None:
    for age, name in enumerate(["new", "middle", "old"]):
        store = filled(tmp_path / name, [str(i) for i in range(2000)])
        store.load()
        stamp = time.time() - 1000 * age
        os.utime(tmp_path / name / "last_used", (stamp, stamp))
    size = folder_size(tmp_path / "old")
    gigabytes = 3.5 * size / 10**9
    removed = make_room(tmp_path / "mine", size, gigabytes)
    assert removed == [tmp_path / "old"]
    assert (tmp_path / "middle").exists()
    assert (tmp_path / "new").exists()
    assert make_room(tmp_path / "mine", size, gigabytes) == []


def test_a_set_larger_than_the_bound_is_refused_and_nothing_removed(tmp_path: Path) -> None:
    filled(tmp_path / "other", ["a"])
    with pytest.raises(UserError, match=r"cache\.max_gb"):
        make_room(tmp_path / "mine", 2 * 10**9, 1.0)
    assert (tmp_path / "other").exists()


def test_a_store_in_use_is_not_removed(tmp_path: Path) -> None:
    store = filled(tmp_path / "busy", [str(i) for i in range(2000)])
    size = folder_size(tmp_path / "busy")
    context = multiprocessing.get_context("spawn")
    with store.locked(), context.Pool(1) as pool:
        arguments = (tmp_path / "mine", size, 1.5 * size / 10**9)
        assert pool.apply(make_room, arguments) == []
    assert (tmp_path / "busy").exists()


def extract(folder: Path, keys: list[str]) -> int:
    """Extract as a run does: under the lock, only what is missing."""
    store = FeatureStore(folder)
    with store.locked(on_wait="waiting"):
        store.load()
        missing = store.missing(keys)
        for key in missing:
            store.add([key], np.full((1, 2), float(key)))
    return len(missing)


def test_two_runs_at_once_do_the_work_once(tmp_path: Path) -> None:
    keys = [str(i) for i in range(40)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        jobs = [pool.apply_async(extract, (tmp_path / "s", keys)) for _ in range(2)]
        counts = [job.get(60) for job in jobs]
    assert sorted(counts) == [0, 40]
    store = FeatureStore(tmp_path / "s")
    store.load()
    np.testing.assert_array_equal(store.take(keys)[:, 0], np.arange(40))
