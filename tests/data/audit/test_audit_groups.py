from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from casting_inspect.data.audit.groups import find_all_groups, with_groups
from casting_inspect.data.manifest import make_frame


@dataclass(frozen=True)
class StandIn:
    group: Any
    group_wide: Any
    links: pd.DataFrame
    embedding: Any
    facts: dict[str, Any]


@pytest.fixture
def calls(monkeypatch):
    """Replace the search: ``a1.png`` and ``a2.png`` are one photograph, ``ab`` possibly too."""
    calls: list[dict[str, Any]] = []

    def find_groups(paths, digests, **options):
        calls.append({"paths": paths, "digests": digests, **options})
        stems = pd.Series([path.stem for path in paths])
        group = pd.factorize(stems.str[0])[0]
        wide = pd.factorize(stems.str[0].replace({"b": "a"}))[0]
        rows = [
            (int(np.flatnonzero(group == number)[0]), at, 1.0, True)
            for at, number in enumerate(group)
        ]
        links = pd.DataFrame(rows, columns=["first", "second", "score", "sure"])
        links = links[links["first"] != links["second"]]
        numbers = np.array([[int(digest[:4], 16)] for digest in digests], np.float32) % 100
        return StandIn(group, wide, links, numbers, {"seconds": 1.5})

    fake: Any = ModuleType("casting_inspect.data.grouping")
    fake.find_groups, fake.Grouping, fake.VERSION = find_groups, StandIn, 1
    monkeypatch.setitem(sys.modules, "casting_inspect.data.grouping", fake)
    return calls


def digest(name):
    return hashlib.sha256(name.encode()).hexdigest()


def frame_of(*names, **groups):
    return make_frame(
        [
            {
                "path": f"{name}.png",
                "label": "normal",
                "sha256": digest(name),
                "group": groups.get(name, ""),
            }
            for name in names
        ]
    )


def groups_of(frame):
    return dict(zip([path[:-4] for path in frame["path"]], frame["group"], strict=True))


def test_groups_are_named_by_their_smallest_digest(calls, tmp_path):
    frame, facts = with_groups(frame_of("a1", "a2", "b1", "c1"), tmp_path, cache=tmp_path)
    groups = groups_of(frame)
    assert groups["a1"] == groups["a2"] == "g" + min(digest("a1"), digest("a2"))[:12]
    assert groups["b1"] == "g" + digest("b1")[:12]
    wide = frame["group_wide"].to_list()
    assert wide[0] == wide[1] == wide[2] != wide[3]
    assert wide[0] == "w" + min(map(digest, ("a1", "a2", "b1")))[:12]
    assert (facts["groups"], facts["groups_wide"], facts["given"]) == (3, 2, 0)


def test_the_order_of_rows_changes_nothing(calls, tmp_path):
    frame = frame_of("a1", "b1", "a2", "c1", "c2")
    one = with_groups(frame, tmp_path, cache=tmp_path / "one")[0]
    two = with_groups(frame.iloc[::-1], tmp_path, cache=tmp_path / "two")[0]
    pd.testing.assert_frame_equal(one, two.iloc[::-1])
    assert calls[0]["digests"] == calls[1]["digests"] == sorted(map(digest, groups_of(one)))


def test_rows_links_and_embedding_are_those_of_the_table(calls, tmp_path):
    frame = frame_of("c1", "a1", "b1", "a2")
    found = find_all_groups(frame, tmp_path, cache=tmp_path)
    names = [path[0] for path in found.frame["path"]]
    assert len(found.links) == 1
    for first, second in zip(found.links["first"], found.links["second"], strict=True):
        assert names[first] == names[second] == "a"
    expected = [int(digest[:4], 16) % 100 for digest in found.frame["sha256"]]
    np.testing.assert_allclose(found.embedding[:, 0], expected)


def test_given_groups_are_kept_and_files_without_one_join(calls, tmp_path):
    frame, facts = with_groups(frame_of("a1", "a2", "c1", a1="mine"), tmp_path, cache=tmp_path)
    assert groups_of(frame) == {"a1": "mine", "a2": "mine", "c1": "g" + digest("c1")[:12]}
    assert (facts["given"], facts["added"]) == (1, 1)
    assert sorted(calls[0]["given"]) == ["", "", "mine"]


def test_given_groups_that_pictures_say_are_one_keep_their_names(calls, tmp_path):
    frame, facts = with_groups(
        frame_of("a1", "a2", "c1", a1="mine", a2="yours"), tmp_path, cache=tmp_path
    )
    assert groups_of(frame)["a1"] == "mine"
    assert groups_of(frame)["a2"] == "yours"
    assert frame["group_wide"].nunique() == 2
    (joined,) = facts["joined"]
    assert (joined["groups"], joined["files"]) == (["mine", "yours"], 2)


def test_a_given_group_that_looks_unlike_is_only_reported(calls, tmp_path):
    frame, facts = with_groups(
        frame_of("a1", "c1", "d1", "d2", a1="x", c1="x", d1="y", d2="y"), tmp_path, cache=tmp_path
    )
    assert facts["unlike"] == ["x"]
    assert groups_of(frame) == {"a1": "x", "c1": "x", "d1": "y", "d2": "y"}
    assert frame["group_wide"].nunique() == 2


def test_a_given_wide_group_stays_whole(calls, tmp_path):
    table = frame_of("a1", "c1").assign(group_wide=["both", "both"])
    frame = with_groups(table, tmp_path, cache=tmp_path)[0]
    assert frame["group_wide"].nunique() == 1
    assert frame["group"].nunique() == 2


def test_its_own_answer_is_given_back_unchanged(calls, tmp_path):
    once = with_groups(frame_of("a1", "a2", "b1", "c1"), tmp_path, cache=tmp_path)[0]
    twice, facts = with_groups(once, tmp_path, cache=tmp_path)
    pd.testing.assert_frame_equal(once, twice)
    assert facts["added"] == 0


def test_an_answer_is_kept_by_content(calls, tmp_path):
    frame = frame_of("a1", "a2", "b1")
    one, first = with_groups(frame, tmp_path, cache=tmp_path)
    two, second = with_groups(frame.iloc[[2, 0, 1]], tmp_path, cache=tmp_path)
    assert len(calls) == 1
    assert (first.pop("from_cache"), second.pop("from_cache")) == (False, True)
    assert first == second
    pd.testing.assert_frame_equal(one.iloc[[2, 0, 1]], two)
    with_groups(frame_of("a1", "a2", "b1", a1="new"), tmp_path, cache=tmp_path)
    assert len(calls) == 2


def test_a_damaged_answer_is_found_anew(calls, tmp_path):
    frame = frame_of("a1", "a2")
    one = with_groups(frame, tmp_path, cache=tmp_path)[0]
    (kept,) = (tmp_path / "audit" / "groups").glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:40])
    pd.testing.assert_frame_equal(one, with_groups(frame, tmp_path, cache=tmp_path)[0])
    assert len(calls) == 2


def test_missing_digests_are_filled_in(calls, tmp_path):
    for name in ("a1", "c1"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    table = frame_of("a1", "c1").assign(sha256=["", ""])
    frame = with_groups(table, tmp_path, cache=tmp_path / "cache")[0]
    assert frame["sha256"].to_list() == [digest("a1"), digest("c1")]
