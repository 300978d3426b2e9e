"""The screen: headline by group first, the paper's figures second, orientation written on it."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from casting_inspect.evaluation.metrics import all_metrics
from casting_inspect.evaluation.tables import percent, print_metrics, reported_split


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
