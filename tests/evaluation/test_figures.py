"""Figures: what is written on them and drawn into them, not how they look."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import roc_auc_score

from casting_inspect.evaluation import figures
from casting_inspect.evaluation.predictions import complete_predictions


def words(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(match=lambda one: hasattr(one, "get_text"))]
    return "\n".join(found)


def lines(axes: Axes) -> dict[str, np.ndarray]:
    return {str(line.get_label()): np.array(line.get_data()) for line in axes.get_lines()}


def scores(files: int = 200, folds: int = 1, distance: float = 1.0) -> pd.DataFrame:
    generator = np.random.default_rng(2)
    normal = np.arange(files) % 2 == 0
    logit = generator.normal(size=files) + np.where(normal, distance, -distance)
    return complete_predictions(
        pd.DataFrame(
            {
                **{"path": [f"{at}" for at in range(files)], "fold": np.arange(files) // 2 % folds},
                "label": np.where(normal, "normal", "defective"),
                **{"p_normal": 1 / (1 + np.exp(-logit)), "logit": logit},
            }
        )
    )


def history(epochs: int, splits: tuple[str, ...]) -> pd.DataFrame:
    rows = [(at, split, 1 / at, 1 - 0.5 / at) for split in splits for at in range(1, epochs + 1)]
    return pd.DataFrame(rows, columns=["epoch", "split", "loss", "accuracy"])


def counts(
    passed: tuple[int, int], rejected: tuple[int, int], person: tuple[int, int] = (0, 0)
) -> dict[str, dict[str, int]]:
    """Return files by verdict, normal and defective."""
    named = {"passed": passed, "rejected": rejected, "person": person}
    return {
        name: {"normal": normal, "defective": defective}
        for name, (normal, defective) in named.items()
    }


def test_confusion_is_laid_out_with_the_truth_in_rows() -> None:
    figure = figures.confusion_figure(counts((1350, 14), (10, 1831)))
    axes = figure.axes[0]
    where = {text.get_text(): text.get_position() for text in axes.texts}
    column, row = 0, 1
    assert where["1,350"][column] < where["10"][column]  # verdict to the right
    assert where["1,350"][row] < where["14"][row]  # the axis points down
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert where["14"][row] == where["1,831"][row]
    assert where["0.76 %"][row] > where["14"][row]
    assert {"99.26 %", "0.74 %", "99.24 %", "escape", "overkill"} <= set(where)
    assert where["escape"][column] == where["14"][column]
    assert "rows = truth, columns = verdict" in words(figure)
    assert axes.get_yticklabels()[0].get_text() == "normal\n1,360 files"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("verdict", "truth")


def test_confusion_shows_what_a_person_gets_to_see_as_neither_right_nor_wrong() -> None:
    figure = figures.confusion_figure(counts((80, 2), (5, 90), person=(15, 8)))
    axes = figure.axes[0]
    where = {text.get_text(): text.get_position() for text in axes.texts}
    assert where["80"][0] < where["15"][0] < where["5"][0]
    assert where["15.00 %"][0] == where["15"][0]
    assert where["escape"] == (where["2"][0], where["overkill"][1] + 1)
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "normal\n100 files",
        "defective\n100 files",
    ]
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        *("passed as normal", "sent to a person", "rejected as defective"),
    ]
    nobody = figures.confusion_figure(counts((80, 2), (5, 90)))
    assert len(nobody.axes[0].get_xticklabels()) == 2


def test_confusion_without_a_class_shows_no_percent_of_nothing() -> None:
    text = words(figures.confusion_figure(counts((3, 0), (0, 0))))
    assert "defective\n0 files" in text
    assert "nan" not in text


def test_roc_shows_the_area_and_the_point_in_use() -> None:
    frame = scores()
    figure = figures.roc_figure(frame)
    area = roc_auc_score(frame["label"] == "normal", frame["logit"])
    assert figure.axes[0].get_title(loc="left") == f"ROC curve by file, area {area:.4f}"
    drawn = lines(figure.axes[0])
    assert np.trapezoid(drawn["model"][1], drawn["model"][0]) == pytest.approx(area)
    wrong = (frame["p_normal"] > 0.5) & (frame["label"] == "defective")
    escape, passing = drawn["at the threshold in use"].ravel()
    assert escape == pytest.approx(wrong.sum() / 100)
    normal = frame[frame["label"] == "normal"]
    assert passing == pytest.approx((normal["p_normal"] > 0.5).mean())


def test_scores_of_several_models_have_a_line_each() -> None:
    frame = scores(folds=4)
    for draw in (figures.roc_figure, figures.precision_recall_figure):
        axes = draw(frame).axes[0]
        assert len(axes.get_lines()) == 4 + 2  # and chance, and the point
    assert "mean area of 4 models" in figures.roc_figure(frame).axes[0].get_title(loc="left")


def test_few_errors_have_their_corner_enlarged() -> None:
    assert figures.roc_figure(scores(distance=1.0)).axes[0].child_axes == []
    for draw in (figures.roc_figure, figures.precision_recall_figure):
        (inset,) = draw(scores(distance=3.0)).axes[0].child_axes
        assert np.diff(inset.get_xlim()) == pytest.approx(0.1)
        assert inset.get_ylim() == pytest.approx((0.9, 1.0))


@pytest.mark.parametrize("label", ["normal", "defective"])
def test_one_class_alone_is_said_and_not_drawn(label: str, tmp_path: Path) -> None:
    frame = scores()
    frame = frame[frame["label"] == label]
    for draw in (figures.roc_figure, figures.precision_recall_figure):
        figure = draw(frame)
        assert "undefined: it takes files of both classes" in words(figure)
        assert figure.axes[0].get_lines() == []
    figures.save_figure(figures.score_histogram_figure(frame), tmp_path / "scores.png")


def test_a_fit_with_one_class_leaves_the_others_drawn() -> None:
    frame = scores(folds=2)
    frame = frame[(frame["fold"] == 0) | (frame["label"] == "normal")]
    assert "area 0." in figures.roc_figure(frame).axes[0].get_title(loc="left")


def test_precision_of_everything_passed_is_the_share_of_normal() -> None:
    drawn = lines(figures.precision_recall_figure(scores()).axes[0])
    assert list(drawn["everything passes"][1]) == [0.5, 0.5]
    recall, precision = drawn["model"]
    assert precision[np.argmax(recall)] == pytest.approx(0.5, abs=0.02)


def test_the_histogram_counts_what_errs_and_shows_the_threshold() -> None:
    frame = scores()
    figure = figures.score_histogram_figure(frame)
    upper, lower = figure.axes
    passed = frame["p_normal"] > 0.5
    rejected = int((~passed & (frame["label"] == "normal")).sum())
    assert upper.get_title(loc="left") == f"normal: {rejected} of 100 rejected (overkill)"
    escaped = int((passed & (frame["label"] == "defective")).sum())
    assert lower.get_title(loc="left") == f"defective: {escaped} of 100 pass (escape)"
    assert next(iter(lines(upper).values()))[0] == pytest.approx([0.5, 0.5])
    assert "threshold (0.5)" in lower.get_xlabel()
    ranged = frame.assign(threshold=np.where(passed, 0.4, 0.6))
    figure = figures.score_histogram_figure(ranged)
    assert "threshold (0.4 to 0.6)" in figure.axes[1].get_xlabel()
    assert len(figure.axes[0].get_lines()) == 2


def test_the_histogram_leaves_to_a_person_what_lies_between_two_thresholds() -> None:
    frame = scores().assign(threshold=0.7, threshold_low=0.3)
    upper, lower = figures.score_histogram_figure(frame).axes
    score, normal = frame["p_normal"], frame["label"] == "normal"
    between = (score > 0.3) & (score <= 0.7)
    assert upper.get_title(loc="left") == (
        f"normal: {(normal & (score <= 0.3)).sum()} of 100 rejected (overkill), "
        f"{(normal & between).sum()} left to a person"
    )
    assert lower.get_title(loc="left") == (
        f"defective: {(~normal & (score > 0.7)).sum()} of 100 pass (escape), "
        f"{(~normal & between).sum()} left to a person"
    )
    assert "threshold (0.7) a part passes, up to 0.3 it is rejected" in lower.get_xlabel()
    assert len(lower.get_lines()) == 2


def test_only_high_bars_are_drawn_on_a_logarithmic_scale() -> None:
    assert figures.score_histogram_figure(scores(20)).axes[0].get_yscale() == "linear"
    figure = figures.score_histogram_figure(scores(600, distance=4.0))
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "log"]
    assert figure.axes[0].get_ylim()[0] < 1.0  # one file alone is seen


@pytest.mark.parametrize("epochs", [1, 8, 100])
@pytest.mark.parametrize("splits", [("train",), ("train", "val"), ("train", "val", "test")])
def test_curves_have_a_line_a_split_and_reach_the_last_epoch(
    epochs: int, splits: tuple[str, ...]
) -> None:
    figure = figures.curves_figure(history(epochs, splits))
    accuracy, loss = figure.axes
    for axes, last in ((accuracy, 1 - 0.5 / epochs), (loss, 1 / epochs)):
        drawn = lines(axes)
        assert [name.split()[0] for name in drawn] == [
            {"train": "training", "val": "validation", "test": "test"}[split] for split in splits
        ]
        for points in drawn.values():
            assert list(points[0]) == list(range(1, epochs + 1))
            assert points[1][-1] == pytest.approx(last)
        low, high = axes.get_xlim()
        assert low <= 1 <= epochs <= high
        assert high > low
    markers = {line.get_marker() for line in accuracy.get_lines()}
    assert ("" in markers) == (epochs == 100)
    figure.draw_without_rendering()  # the layout warns where something has no room


def test_curves_leave_out_what_is_not_finite_and_show_the_note() -> None:
    table = history(4, ("train", "test"))
    table.loc[1, "loss"] = np.nan
    table.loc[2, "loss"] = np.inf
    figure = figures.curves_figure(table, note="test seen while training")
    assert [len(points[0]) for points in lines(figure.axes[1]).values()] == [2, 4]
    assert "test seen while training" in words(figure)


def test_curves_without_an_epoch_say_so(tmp_path: Path) -> None:
    figure = figures.curves_figure(history(0, ()))
    assert words(figure).count("no epoch recorded") == 2
    figures.save_figure(figure, tmp_path / "curves.png")


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_figures_are_written_whole_and_with_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    drawn = counts((5, 0), (1, 4))
    paths = [tmp_path / "a" / f"1.{suffix}", tmp_path / "a" / f"2.{suffix}"]
    for path in paths:
        figures.save_figure(figures.confusion_figure(drawn), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if suffix == "png":
        with Image.open(paths[0]) as image:
            assert min(image.size) > 600
    assert sorted(path.name for path in paths[0].parent.iterdir()) == [path.name for path in paths]
