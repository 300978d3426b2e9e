"""Which test files have a copy in training, by hand and against plain loops."""

from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from casting_inspect.data.audit.leak import copies_in_training


def frame(rows: list[tuple[str, str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["split", "group", "group_wide", "sha256"])


def test_a_copy_by_a_sure_link_a_possible_one_or_the_same_bytes_counts() -> None:
    table = frame(
        [
            ("train", "g1", "w1", "a"),
            ("val", "g2", "w2", "b"),
            ("", "g3", "w3", "c"),  # in no part: nobody learns from it
            ("test", "g1", "", "d"),
            ("test", "g9", "w2", "e"),  # a possible link to a validation file
            ("test", "", "", "a"),  # the same bytes
            ("test", "g3", "w3", "f"),
            ("test", "g4", "w4", "g"),
            ("test", "g4", "w4", "h"),  # a copy within the test part is none in training
            ("test", "", "", "i"),  # nothing is known of it
        ]
    )
    found = copies_in_training(table)
    assert found.to_dict() == {3: True, 4: True, 5: True, 6: False, 7: False, 8: False, 9: False}


def test_a_table_without_groups_knows_equal_bytes_only() -> None:
    table = pd.DataFrame({"split": ["train", "test", "test"], "sha256": ["a", "a", "b"]})
    assert copies_in_training(table).tolist() == [True, False]


def test_no_test_part_no_answer() -> None:
    assert copies_in_training(frame([("train", "g", "w", "a")])).empty


WORDS = st.sampled_from(["", "a", "b", "c"])


def by_hand(rows: list[tuple[str, str, str, str]], start: int) -> bool:
    """Walk along the links of group and group_wide; equal bytes count for the file itself."""
    learnt = [at for at, row in enumerate(rows) if row[0] in ("train", "val")]
    if any(rows[start][3] and rows[start][3] == rows[at][3] for at in learnt):
        return True
    reached, ahead = {start}, [start]
    while ahead:
        one = rows[ahead.pop()]
        for at, other in enumerate(rows):
            linked = any(a and a == b for a, b in zip(one[1:3], other[1:3], strict=True))
            if linked and at not in reached:
                reached.add(at)
                ahead.append(at)
    return bool(reached & set(learnt))


@given(
    st.lists(
        st.tuples(st.sampled_from(["train", "val", "test", ""]), WORDS, WORDS, WORDS), max_size=12
    ),
    st.randoms(use_true_random=False),
)
def test_it_is_what_loops_say_and_order_changes_nothing(
    rows: list[tuple[str, str, str, str]], random: object
) -> None:
    table = frame(rows)
    found = copies_in_training(table)
    expected = {at: by_hand(rows, at) for at, one in enumerate(rows) if one[0] == "test"}
    assert found.to_dict() == expected
    shuffled = list(table.index)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = copies_in_training(table.loc[shuffled])
    assert again.sort_index().to_dict() == expected
