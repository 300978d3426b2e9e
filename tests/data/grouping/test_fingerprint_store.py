from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from casting_inspect.data.grouping.fingerprint import Fingerprint, fingerprint
from casting_inspect.data.grouping.fingerprint_store import FingerprintStore


@pytest.fixture
def prints(surface: Callable[..., np.ndarray]) -> list[Fingerprint]:
    blank = fingerprint(np.full((64, 64, 3), 80, np.uint8))
    return [fingerprint(surface(1, 96)), blank, fingerprint(surface(2, 64))]


def test_what_is_stored_comes_back(tmp_path: Path, prints: list[Fingerprint]) -> None:
    with FingerprintStore(tmp_path).locked():
        FingerprintStore(tmp_path).add(["a", "b", "c"], prints)
    store = FingerprintStore(tmp_path)
    assert store.missing(["c", "x", "a", "x"]) == ["c", "x", "a"]
    store.load()
    assert store.missing(["c", "x", "a", "x"]) == ["x"]
    for key, one in zip("abc", prints, strict=True):
        kept = store.take(key)
        np.testing.assert_array_equal(kept.descriptors, one.descriptors)
        np.testing.assert_array_equal(kept.picture(), one.picture())
        np.testing.assert_allclose(kept.points, one.points, atol=1 / 128)


@pytest.mark.parametrize("part", ["descriptors", "points", "pictures"])
def test_a_damaged_shard_is_passed_over(
    part: str, tmp_path: Path, prints: list[Fingerprint]
) -> None:
    store = FingerprintStore(tmp_path)
    store.add(["a"], prints[:1])
    store.add(["c"], prints[2:])
    damaged = next(
        path for path in store.folder.glob("*.json") if "a" in json.loads(path.read_text())["keys"]
    )
    file = damaged.with_name(f"{damaged.stem}.{part}.npy")
    data = bytearray(file.read_bytes())
    data[-1] ^= 255
    file.write_bytes(bytes(data))
    again = FingerprintStore(tmp_path)
    again.load()
    assert again.missing(["a", "c"]) == ["a"]


def test_a_shard_without_its_list_does_not_count(tmp_path: Path, prints: list[Fingerprint]) -> None:
    store = FingerprintStore(tmp_path)
    store.add(["a"], prints[:1])
    for index in store.folder.glob("*.json"):
        index.unlink()
    again = FingerprintStore(tmp_path)
    again.load()
    assert again.missing(["a"]) == ["a"]


def test_nothing_to_add_writes_nothing(tmp_path: Path) -> None:
    store = FingerprintStore(tmp_path)
    store.add([], [])
    assert not store.folder.exists()
