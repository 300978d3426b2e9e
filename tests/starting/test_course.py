from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casting_inspect.starting import course, estimate
from casting_inspect.starting.enough import Limits
from casting_inspect.starting.estimate import cnn_seconds, duration, vgg19_course
from casting_inspect.starting.proposal import Words
from casting_inspect.starting.wish import Wish


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{n}.png" for n in range(4)]
    for path in paths:
        Image.fromarray(np.full((30, 40), 90, np.uint8)).save(path)
    return paths


@pytest.mark.parametrize(
    ("seconds", "longest", "budget", "size"),
    [
        (0.01, 1000, 100.0, 448),  # (568 + 432) x 0.01 x 4 = 40 s
        (0.01, 1000, 30.0, 320),  # 20.4 s at 320
        (0.01, 1000, 15.0, 224),
        (9.0, 1000, 1.0, 224),  # nothing fits
        (0.01, 300, 100.0, 224),  # larger than the pictures brings nothing
        (0.01, 100, 100.0, 224),
    ],
)
def test_the_largest_size_that_fits_the_time(
    seconds: float, longest: int, budget: float, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "Vgg19", lambda **_: None)
    monkeypatch.setattr(estimate, "_seconds_a_picture", lambda *_: seconds)
    found = vgg19_course([], 568, "none", longest, budget)
    assert found.image_size == size
    assert found.seconds == pytest.approx(1000 * seconds * (size / 224) ** 2)
    assert vgg19_course([], 568, "none", longest, budget, size=96).image_size == 96


def test_a_few_pictures_are_timed_through_the_backbone(pictures: list[Path]) -> None:
    found = vgg19_course(pictures[:1], 10, "none", 40, 1e9, size=64)
    assert found.seconds > 0.0


def test_the_small_networks_time_goes_with_pictures_epochs_and_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: float(next(ticks)))
    assert cnn_seconds(320, 64, epochs=3, fits=2) == 320 / 32 * 3 * 2  # a step takes one tick


def test_without_weights_the_small_network_learns_and_it_is_said(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = Wish(tmp_path, tmp_path, Words(), "imagenet", None, Limits(0.05, 0.05), 5.0)
    monkeypatch.setattr(course, "why_no_weights", lambda _: "not cached.")
    monkeypatch.setattr(course, "cnn_seconds", lambda *_: 100.0)
    said: list[str] = []
    found = course.chosen_course(wish, pictures, 40, said.append)
    assert found["words"][:2] == ["model=cnn", "model.image_size=128"]
    assert found["time"] == "2 minutes"
    assert "VGG-19 cannot be used: not cached." in said[0]
    monkeypatch.setattr(course, "why_no_weights", lambda _: None)
    monkeypatch.setattr(course, "vgg19_course", lambda *_, **__: estimate.Course(320, 30.0))
    found = course.chosen_course(wish, pictures, 40, said.append)
    assert {"model.head=pyramid", "model.image_size=320", "finetune=probe"} < {*found["words"]}
    assert len(said) == 1


@pytest.mark.parametrize(
    ("weights", "words", "reason", "said"),
    [
        ("imagenet", ["model=cnn"], None, True),
        ("imagenet", ["model=cnn"], "not cached.", False),
        ("imagenet", ["model=vgg19"], None, False),
        ("none", ["model=cnn"], None, False),
    ],
)
def test_weights_that_came_later_are_said_with_the_command(
    weights: str,
    words: list[str],
    reason: str | None,
    said: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wish = Wish(
        tmp_path, Path("in_inspected"), Words(), weights, None, Limits(0.05, 0.05), 5.0,
        typed=("source=in", "yes=true"),
    )  # fmt: skip
    monkeypatch.setattr(course, "why_no_weights", lambda *_, **__: reason)
    found = course.outdated(wish, {"words": words})
    assert (found is not None) is said
    anew = "type casting-inspect start source=in yes=true out=in_inspected_2"
    assert found is None or found.endswith(anew)


def test_another_time_is_said_to_change_nothing(tmp_path: Path) -> None:
    wish = Wish(tmp_path, tmp_path / "out", Words(), "none", None, Limits(0.05, 0.05), 9.0)
    before = {"words": ["model=vgg19"], "minutes": 5.0}
    found = course.outdated(wish, before)
    assert found is not None
    assert "minutes=9 changes nothing here" in found
    assert "out_2" in found
    assert course.outdated(replace(wish, minutes=5.0), before) is None
    assert course.outdated(replace(wish, image_size=224), before) is None


def test_no_weights_may_be_asked_for(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = Wish(tmp_path, tmp_path, Words(), "none", None, Limits(0.05, 0.05), 5.0)
    monkeypatch.setattr(course, "cnn_seconds", lambda *_: 100.0)
    said: list[str] = []
    assert "model=cnn" in course.chosen_course(wish, pictures, 40, said.append)["words"]
    assert "VGG-19 is not used: no weights were asked for." in said[0]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(2.0, "10 seconds"), (44.0, "40 seconds"), (150.0, "2 minutes"), (8000.0, "2.2 hours")],
)
def test_durations_are_as_coarse_as_estimates_are(seconds: float, words: str) -> None:
    assert duration(seconds) == words
