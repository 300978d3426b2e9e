"""The screen: headline by group first, the paper's figures second, orientation written on it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from casting_inspect.evaluation.evaluate import evaluate_predictions
from casting_inspect.evaluation.metrics import all_metrics
from casting_inspect.evaluation.tables import (
    floor_sentence,
    leak_sentences,
    print_metrics,
    reported_split,
)
from casting_inspect.percent import percent


def screen(frame: pd.DataFrame, note: str = "", width: int = 80) -> str:
    stream = io.StringIO()
    print_metrics(all_metrics(frame), Console(file=stream, width=width), note=note)
    return stream.getvalue()


def squeezed(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def paper() -> pd.DataFrame:
    normal = [0.9] * 1350 + [0.2] * 10
    scores = [*normal, *([0.8] * 14), *([0.1] * 1831)]
    labels = ["normal"] * 1360 + ["defective"] * 1845
    return pd.DataFrame({"path": np.arange(3205).astype(str), "label": labels, "p_normal": scores})


def test_the_papers_table_reads_as_printed(paper: pd.DataFrame) -> None:
    text = squeezed(screen(paper))
    for row in (
        "Escape rate (defective that pass) 0.8 % 0.4 to 1.3 % 1,845",
        "Overkill rate (normal rejected) 0.7 % 0.4 to 1.3 % 1,360",
        "Accuracy 99.251 % 3,181 of 3,205",
        "Precision 98.974 % 1,350 of 1,364",
        "Recall 99.265 % 1,350 of 1,360",
        "F1 99.119 %",
        "Escape rate (defective that pass) 0.759 % 14 of 1,845",
        "By file, as in the paper (positive = normal)",
        "Confusion table, files (rows = truth, columns = verdict)",
        "passed as normal rejected as defective",
        "truly normal 1,350 10 overkill",
        "truly defective 14 escape 1,831",
        "p_normal is above 0.5.",
        "every file is taken as its own group",
    ):
        assert row in text
    assert text.index("by group") < text.index("By file") < text.index("Confusion")
    assert "approximate" not in text


def test_nothing_is_cut_on_a_narrow_screen(paper: pd.DataFrame) -> None:
    text = screen(paper, note="n" * 60)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_the_note_stands_under_the_headline(paper: pd.DataFrame) -> None:
    text = squeezed(screen(paper, note="Split by file: 99.7 % [of] the test files leak."))
    note = text.index("Split by file: 99.7 % [of] the test files leak.")
    assert text.index("Area under") < note < text.index("By file, as in")


def test_few_groups_are_marked_and_counted() -> None:
    frame = pd.DataFrame(
        {
            **{"path": list("abcdef"), "label": ["normal", "defective"] * 3},
            **{"p_normal": [0.9, 0.1, 0.4, 0.2, 0.8, 0.3], "group": list("ppqqrr")},
            "threshold": [0.5, 0.4] * 3,
        }
    )
    text = squeezed(screen(frame))
    assert "~ approximate" in text
    assert "6 files of 3 groups; they count like 3 groups of equal size." in text
    assert "above its row's threshold" in text


def test_where_a_person_looks_the_table_has_three_verdicts(tmp_path: Path) -> None:
    scores = [0.9, 0.8, 0.5, 0.1, 0.7, 0.4, 0.5, 0.2, 0.1, 0.1]
    frame = pd.DataFrame(
        {
            **{"path": [f"{at}.png" for at in range(10)], "p_normal": scores},
            "label": ["normal"] * 4 + ["defective"] * 6,
            **{"threshold": 0.6, "threshold_low": 0.3},
        }
    )
    stream = io.StringIO()
    print_metrics(evaluate_predictions(frame, tmp_path), Console(file=stream, width=80))
    text = squeezed(stream.getvalue())
    assert "passed to a person rejected" in text
    assert "truly normal 2 1 1 overkill" in text
    assert "truly defective 1 escape 2 3" in text
    assert "A person looks between a p_normal of 0.3 and 0.6; above, a file passes." in text


def test_the_other_splits_follow_in_a_line_each(paper: pd.DataFrame) -> None:
    splits = np.where(np.arange(3205) % 3 == 0, "train", "val")
    text = squeezed(screen(paper.assign(split=splits)))
    assert text.startswith("Validation: by group")
    assert "The other parts, by file" in text
    assert "training 1,069 1,069 99." in text


def test_one_class_alone_shows_dashes() -> None:
    frame = pd.DataFrame({"path": ["a"], "label": ["normal"], "p_normal": [0.9]})
    text = squeezed(screen(frame))
    assert "Escape rate (defective that pass) - - 0" in text
    assert "Area under the ROC curve - - 1" in text


def test_without_a_console_it_prints(paper: pd.DataFrame, capsys: pytest.CaptureFixture) -> None:
    print_metrics(all_metrics(paper))
    assert "99.251 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("share", "decimals", "text"),
    [
        (None, 2, "-"),
        (0.0, 2, "0.00 %"),
        (1.0, 1, "100.0 %"),
        (0.00001, 2, "< 0.01 %"),
        (0.99999, 1, "> 99.9 %"),
        (0.123456, 3, "12.346 %"),
    ],
)
def test_percent_never_rounds_to_certainty(share: float | None, decimals: int, text: str) -> None:
    assert percent(share, decimals) == text


def test_the_test_split_is_reported_first() -> None:
    assert reported_split({"train": 1, "val": 2, "test": 3}) == "test"
    assert reported_split({"train": 1, "val": 2}) == "val"
    assert reported_split({"train": 1}) == "train"


LEAK = {"part": "test", "share": 3195 / 3205, "files": 3195, "of": 3205, "groups": "audit"}
FLOORS = {
    "floor_histogram": {
        **{"n": 3205, "accuracy": 3202 / 3205, "escape_rate": 2 / 1845},
        **{"overkill_rate": 1 / 1360, "auroc": 0.99981},
    },
    "floor_background": {
        **{"n": 3205, "accuracy": 0.9, "escape_rate": 0.1, "overkill_rate": 0.1, "auroc": None}
    },
}


def shown_with(frame: pd.DataFrame, width: int = 80, **beside: object) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    print_metrics({**all_metrics(frame), **beside}, console)  # type: ignore[dict-item]
    return stream.getvalue()


def test_the_leak_and_the_floors_stand_right_under_the_headline(paper: pd.DataFrame) -> None:
    text = squeezed(shown_with(paper, leak=LEAK, floors=FLOORS))
    for words in (
        "99.7 % of the 3,205 test files have a copy of their photograph or casting in training",
        "by the audit",
        "say little about a new casting; data.split=group does.",
        "This model 99.25 % 0.76 % 0.74 %",
        "Floor: grey histogram 99.91 % 0.11 % 0.07 % 0.9998",
        "Floor: background alone 90.00 % 10.00 % 10.00 % -",
    ):
        assert words in text
    assert text.index("Balanced accuracy") < text.index("99.7 %") < text.index("This model")
    assert text.index("Floor: background") < text.index("By file")


def test_nothing_of_a_leak_is_cut_on_a_narrow_screen(paper: pd.DataFrame) -> None:
    text = shown_with(paper, 80, leak=LEAK, floors=FLOORS)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_a_split_that_keeps_castings_together_is_said_to() -> None:
    none = {"part": "val", "share": 0.0, "files": 0, "of": 12, "groups": "manifest"}
    (sentence,) = leak_sentences({"leak": none})
    assert sentence.startswith("0.0 % of the 12 validation files")
    assert "by the manifest's groups" in sentence
    assert "little" not in sentence


def test_one_file_of_many_is_not_rounded_away() -> None:
    one = {"part": "test", "share": 1 / 30_000, "files": 1, "of": 30_000, "groups": "audit"}
    (sentence,) = leak_sentences({"leak": one})
    assert sentence.startswith("< 0.1 % of the 30,000")
    assert "say little" in sentence


def test_the_second_look_stands_beside_any_headline(paper: pd.DataFrame) -> None:
    look = {"part": "test", "share": 12 / 1730, "files": 12, "of": 1730}
    text = squeezed(shown_with(paper, second_look=look))
    assert "suspects a copy in training of 12 of 1,730 test files (0.7 %)." in text
    assert "photograph or casting in training" not in text
    assert leak_sentences({}) == []


def test_floors_in_one_line() -> None:
    assert floor_sentence(FLOORS) == (
        "Accuracy of floors on the same files: grey histogram 99.91 %, background alone 90.00 %."
    )
