from __future__ import annotations

import re
from typing import Any

import pytest
from scipy import stats

from casting_inspect.evaluation.sampling_plan import smallest_plan
from casting_inspect.starting import enough
from casting_inspect.starting.enough import Bounds, Limits, headline_figures, too_few


def figures(escapes: int, defective: int, rejects: int, good: int) -> dict[str, Any]:
    def rate(errors: int, castings: int) -> dict[str, float]:
        return {"value": errors / castings}

    return {
        "n_groups_defective": defective,
        "n_groups_normal": good,
        "escape_rate_by_group": rate(escapes, defective),
        "overkill_rate_by_group": rate(rejects, good),
        "headline": {"grouping": "group"},
    }


FIVE = Limits(0.05, 0.05)


def answer(test: dict[str, Any], limits: Limits, *, strict: bool = False) -> list[str]:
    """Return the sentences, with the exact one-sided bounds of one picture a casting."""
    shown = headline_figures(test)
    castings = shown["n_groups_defective"], shown["n_groups_normal"]
    rates = (shown[f"{key}_rate_by_group"]["value"] for key in ("escape", "overkill"))
    bounds = [
        stats.beta.ppf(0.95, rate * n + 1, n - rate * n)
        for rate, n in zip(rates, castings, strict=True)
    ]
    return enough.answer(test, limits, Bounds(*bounds), strict=strict)


def test_the_first_sentence_has_both_rates_of_a_hundred_with_their_bounds() -> None:
    first, _ = answer(figures(4, 100, 12, 100), FIVE)
    # Clopper-Pearson, one-sided 95 %: 4 of 100 is 8.92 % at most, 12 of 100 is 18.72 %
    assert "Of 100 defective castings about 4.0 (at most 9) would pass" in first
    assert "of 100 good castings about 12 (at most 18.8) would be rejected" in first
    assert "100 defective and 100 good castings" in first
    assert "each 'at most' holds with 95 % confidence" in first


@pytest.mark.parametrize("castings", [58, 59, 60])
def test_the_numbers_that_are_shown_agree_with_the_verdict(castings: int) -> None:
    first, second = answer(figures(0, castings, 0, castings), FIVE)
    shown = [float(number) for number in re.findall(r"at most ([\d.]+)\)", first)]
    assert len(shown) == 2
    assert ("That is enough" in second) == all(number <= 5.0 for number in shown)


@pytest.mark.parametrize(
    ("bound", "shown"),
    [
        (0.0495, "5"),
        (0.05, "5"),
        (0.0501, "5.1"),
        (0.0023, "0.23"),
        (0.07, "7"),
        (0.123, "12.3"),
        (0.2001, "20.1"),
        (1.0, "100"),
    ],
)
def test_a_bound_is_rounded_up(bound: float, shown: str) -> None:
    two = enough.answer(figures(0, 9, 0, 9), FIVE, Bounds(bound, bound))[0]
    assert two.count(f"(at most {shown})") == 2


def test_it_is_shownwhen_both_limits_are_shown() -> None:
    shown = answer(figures(0, 59, 0, 59), FIVE)[1]
    assert "That is enough" in shown
    assert "with castings that it has not learnt from" in shown
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
    assert "about 10 (at most 19.9) would pass" in answer(both, FIVE)[0]


def test_too_few_castings_say_how_many_would_do() -> None:
    assert too_few(10, 10, 10) is None
    words = too_few(6, 40, 10)
    assert words is not None
    assert words.startswith("6 defective and 40 good castings are too few")
    assert "without any error up to 39.4 of 100 defective castings" in words  # 1 - 0.05 ** (1 / 6)
    assert "at least 10 different castings" in words
    assert "59 of each show 5 of 100, 299 show 1 of 100" in words


@pytest.mark.parametrize("none", [(0, 5), (5, 0)])
def test_no_casting_at_all_is_too_few(none: tuple[int, int]) -> None:
    assert too_few(*none, 10) is not None
