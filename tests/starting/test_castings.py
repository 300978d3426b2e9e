from __future__ import annotations

import pytest

from casting_inspect.starting.castings import casting_column, lot_column, proposed_rule


def shots(pattern: str, castings: int = 20, each: int = 3) -> list[tuple[str, str]]:
    """Return (path, label) of some pictures of each of some castings, half of them good."""
    return [
        (
            pattern.format(
                folder="nio" if part % 2 else "io", part=part, shot=shot, n=part * each + shot
            ),
            "defective" if part % 2 else "normal",
        )
        for part in range(castings)
        for shot in range(each)
    ]


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        ("{folder}/T{part:04d}_{shot}.jpg", r"path:([^/]+)[_ -][^/_ -]*$"),
        ("{folder}/part_{part:05d}_{shot}.png", r"path:([^/]+)[_ -][^/_ -]*$"),
        ("HSG-{part:04d}_cam{shot}.jpg", r"path:([^/]+)[_ -][^/_ -]*$"),
        ("{folder}/T{part:04d} cam{shot} {n}.jpg", r"path:([^/_ -]+)[_ -][^/]*$"),
        ("{folder}/T{part:04d}/{shot}.jpg", "folder:-1"),
        ("{folder}/T{part:04d}/cam{shot}/IMG_{n:04d}.jpg", "folder:-2"),
        ("{folder}/IMG_{n:04d}.jpg", None),
        ("{folder}/{n}.png", None),
        ("{folder}/T{n:04d}_1.jpg", None),
    ],
)
def test_the_rule_is_read_off_the_names(pattern: str, rule: str | None) -> None:
    paths, labels = zip(*shots(pattern), strict=True)
    assert proposed_rule(paths, labels) == rule


def test_days_and_lots_are_no_castings() -> None:
    days = [
        (f"2026-01-{day:02d}_{n:04d}.jpg", "normal" if n % 2 else "defective")
        for day in range(1, 20)
        for n in range(6)
    ]
    assert proposed_rule(*zip(*days, strict=True)) is None  # good and defective on every day
    lots = [(f"io/L{lot:02d}_{n:03d}.jpg", "normal") for lot in range(10) for n in range(30)]
    assert proposed_rule(*zip(*lots, strict=True)) is None  # thirty pictures of each


@pytest.mark.parametrize("pattern", ["{name}/{n:03d}.png", "{name}_{n:03d}.png"])
@pytest.mark.parametrize(
    ("good", "kinds"),
    [
        (282, [10, 10, 11, 12, 12, 13, 13, 14]),  # MVTec's cable
        (100, [9] * 7),
        (100, [3] * 40),
        (9, [9] * 7),
    ],
)
def test_kinds_of_defect_are_no_castings(pattern: str, good: int, kinds: list[int]) -> None:
    of_name = {"good": good, **{f"kind{kind}": number for kind, number in enumerate(kinds)}}
    paths = [pattern.format(name=name, n=n) for name in of_name for n in range(of_name[name])]
    labels = ["normal"] * good + ["defective"] * sum(kinds)
    assert proposed_rule(paths, labels) is None


@pytest.mark.parametrize(("good", "rule"), [(3, None), (4, "folder:-1")])
def test_each_class_has_several_castings(good: int, rule: str | None) -> None:
    pictures = [
        (f"{'io' if part < good else 'nio'}/T{part}/{shot}.jpg",
         "normal" if part < good else "defective")
        for part in range(good + 12)
        for shot in range(3)
    ]  # fmt: skip
    assert proposed_rule(*zip(*pictures, strict=True)) == rule


def test_a_class_of_large_folders_has_no_castings() -> None:
    days = [(f"io/day{day}/{n}.jpg", "normal") for day in range(5) for n in range(60)]
    castings = [(f"nio/T{part}/{n}.jpg", "defective") for part in range(20) for n in range(3)]
    assert proposed_rule(*zip(*days, *castings, strict=True)) is None


def test_columns_are_known_by_their_names() -> None:
    header = ["Größe", "Gußteil", "Charge", "Teil-Nr."]
    assert casting_column(header) == "Gußteil"
    assert lot_column(header) == "Charge"
    assert casting_column(["kind"]) is lot_column([]) is None
