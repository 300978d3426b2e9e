from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from casting_inspect.deployment.ledger import UNDER_WAY, Ledger
from casting_inspect.deployment.sources import Item
from casting_inspect.errors import UserError

ITEMS = [Item(f"{n}.png", lambda: b"", mark=f"5:{n}") for n in range(4)]


def test_a_line_without_its_row_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "v.csv.seen"
    ledger = Ledger(path)
    ledger.go_on()
    ledger.write(ITEMS, ["normal"] * 4)
    ledger.close()
    path.write_bytes(path.read_bytes() + b'["cut')
    again = Ledger(path, verdicts=["normal", "error"])
    again.go_on()
    assert [again.verdict_of(item) for item in ITEMS] == ["normal", "error", None, None]
    again.write(ITEMS[2:3], ["review"])
    again.close()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)[0] for line in lines] == ["0.png", "1.png", "2.png"]


def test_a_new_picture_of_an_old_name_is_another_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "seen", verdicts=[])
    ledger.write(ITEMS[:1], ["normal"])
    ledger.close()
    again = Ledger(tmp_path / "seen", verdicts=["normal"])
    again.go_on()
    assert again.verdict_of(ITEMS[0]) == "normal"
    assert again.verdict_of(Item("0.png", lambda: b"", mark="5:9")) is None


def test_a_picture_is_taken_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "seen")
    ledger.go_on()
    assert ledger.take(ITEMS[0]) is None
    assert ledger.take(ITEMS[0]) == UNDER_WAY
    assert ledger.verdict_of(ITEMS[0]) is None  # it has no row yet
    ledger.write(ITEMS[:1], ["review"])
    ledger.close()
    assert ledger.take(ITEMS[0]) == ledger.verdict_of(ITEMS[0]) == "review"


def test_a_hundred_thousand_pictures_are_remembered_in_little_memory(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "seen")
    tracemalloc.start()
    for n in range(0, 100_000, 1000):
        items = [Item(f"lot/{k:09d}.png", bytes, mark="5:9") for k in range(n, n + 1000)]
        for item in items:
            ledger.take(item)
        ledger.write(items, ["".join(["nor", "mal"]) for _ in items])
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    ledger.close()
    assert kept < 14 * 2**20


def test_a_ledger_that_does_not_fit_its_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.csv.seen"
    with pytest.raises(UserError, match="lacks 1 of the 1 pictures that have rows"):
        Ledger(path, verdicts=["normal"]).go_on()
    path.write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(UserError, match="no ledger"):
        Ledger(path, verdicts=["normal"]).go_on()
    assert path.read_text(encoding="utf-8") == "nonsense\n"
