from __future__ import annotations

import threading

import pytest

from casting_inspect.data.crew import Crew


def test_results_come_in_the_order_of_the_items() -> None:
    first = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            first.wait(5)  # the last item is done before the first
        if item == 3:
            first.set()
        return item * item

    assert Crew(2, progress=False).each(work, range(4), "squares") == [0, 1, 4, 9]
    assert Crew(0).workers >= 1


def test_after_an_error_nothing_more_is_begun() -> None:
    begun = []
    never = threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        if item:
            never.wait(0.05)  # long enough for the others to be called off
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        Crew(1, progress=False).each(work, range(1_000), "trouble")
    assert len(begun) < 20
