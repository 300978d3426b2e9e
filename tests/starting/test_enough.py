from __future__ import annotations

import pytest

from casting_inspect.evaluation.intervals import clopper_pearson
from casting_inspect.evaluation.sampling_plan import smallest_plan
from casting_inspect.starting.enough import Limits, answer, too_few


def figures(escapes: int, defective: int, rejects: int, good: int) -> dict[str, object]:
    def rate(errors: int, castings: int) -> dict[str, float]:
        low, high = clopper_pearson(errors, castings)
        return {"value": errors / castings, "low": low, "high": high}

    return {
        "n_groups_defective": defective,
        "n_groups_normal": good,
        "escape_rate_by_group": rate(escapes, defective),
        "overkill_rate_by_group": rate(rejects, good),
        "headline": {"grouping": "group"},
    }


FIVE = Limits(0.05, 0.05)


def test_the_first_sentence_has_both_rates_of_a_hundred_with_intervals() -> None:
    first, _ = answer(figures(4, 100, 12, 100), FIVE)
    # Clopper-Pearson: 4 of 100 is 1.1 to 9.9 %, 12 of 100 is 6.4 to 20 %
    assert "Of 100 defective castings about 4.0 (1.1 to 9.9) would pass" in first
    assert "of 100 good castings about 12 (6.4 to 20) would be rejected" in first
    assert "100 defective and 100 good castings" in first


def test_it_is_enough_when_both_limits_are_shown() -> None:
    assert "That is enough" in answer(figures(0, 59, 0, 59), FIVE)[1]
    short = answer(figures(0, 58, 0, 59), FIVE)[1]
    assert "That is not enough" in short
    assert "58 defective castings are too few to know" in short
    assert "it takes 59 with no such error" in short
    assert "at most 5 of 100 defective castings may pass" in short
    assert "good castings are" not in short


def test_too_many_errors_are_not_cured_by_counting() -> None:
    found = answer(figures(10, 100, 20, 100), FIVE)[1]
    assert "too many defective castings pass" in found
    assert "59 defective castings of which none passes, 93 with one" in found
    assert "too many good castings are rejected" in found


def test_a_strict_threshold_is_named_as_the_reason() -> None:
    test = figures(0, 20, 14, 20)
    assert "the inspector has to be strict" in answer(test, FIVE, strict=True)[1]
    assert "strict" not in answer(test, FIVE)[1]


def test_few_errors_ask_for_more_castings_at_the_same_rate() -> None:
    found = answer(figures(2, 50, 0, 100), FIVE)[1]
    plan = smallest_plan(0.05, 0.04)
    assert plan is not None
    number = f"about {plan.castings:,} if errors stay as frequent as here"
    assert f"it takes 59 with no such error or {number}" in found
    many = answer(figures(4, 100, 0, 100), FIVE)[1]  # 100 castings, and it is not 59 that lack
    assert "no such error" not in many
    assert f"it takes {number}" in many
    close = answer(figures(499, 10_000, 0, 100), FIVE)[1]
    assert "close to what is asked for" in close


def test_the_lower_headline_counts() -> None:
    wide = figures(5, 50, 0, 50)
    both = {**figures(0, 60, 0, 60), "by_group_wide": wide, "headline": {"grouping": "group_wide"}}
    assert "about 10 (" in answer(both, FIVE)[0]


def test_too_few_castings_say_how_many_would_do() -> None:
    assert too_few(10, 10, 10) is None
    words = too_few(6, 40, 10)
    assert words is not None
    assert words.startswith("6 defective and 40 good castings are too few")
    assert "at least 10 different castings" in words
    assert "59 of each show 5 of 100, 299 show 1 of 100" in words


@pytest.mark.parametrize("none", [(0, 5), (5, 0)])
def test_no_casting_at_all_is_too_few(none: tuple[int, int]) -> None:
    assert too_few(*none, 10) is not None
