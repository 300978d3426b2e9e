"""Maps of a run on disk: peaks in the picture's own fractions, overlays, pointing figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from casting_inspect.data.decode import read_rgb, resize_square
from casting_inspect.errors import UserError
from casting_inspect.evaluation.heatmaps import (
    Inspector,
    masks_of,
    pointing_figures,
    write_heatmaps,
)
from casting_inspect.evaluation.predictions import complete_predictions

SIDE = 64
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Darkness:
    """Stands for a network that sees evidence where a picture is dark."""

    log_odds: float = 1.0
    fit: str = "pad"

    def square(self, path: Path) -> tuple[Pixels, Pixels]:
        picture = read_rgb(path)
        return picture, resize_square(picture, SIDE, self.fit)

    def look(self, pictures: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        heats = 100 - pictures.mean(axis=3, dtype=np.float32)
        return np.full(len(pictures), self.log_odds), heats


@dataclass(frozen=True)
class Folder:
    root: Path
    inspector: Inspector

    def inspectors(self, table: pd.DataFrame) -> Iterator[tuple[NDArray[np.intp], Inspector]]:
        for fold in (1, 0):  # in any order
            yield np.flatnonzero(table["fold"] == fold), self.inspector

    def path_of(self, name: str) -> Path:
        return self.root / name


@pytest.fixture
def run(tmp_path: Path) -> Folder:
    """Eight wide pictures with a dark spot at a quarter of the width, three quarters down."""
    root = tmp_path / "pictures"
    (root / "masks").mkdir(parents=True)
    for number in range(8):
        picture = np.full((80, 200), 200, np.uint8)
        picture[56:64, 46:54] = 10
        mask = np.zeros((80, 200), np.uint8)
        # in odd ones it is not the defect
        mask[(slice(56, 64), slice(46, 54)) if number % 2 == 0 else (slice(0, 8), slice(0, 8))] = (
            255
        )
        cv2.imwrite(str(root / f"{number}.png"), picture)
        cv2.imwrite(str(root / "masks" / f"{number}.png"), mask)
    return Folder(root, Darkness())


@pytest.fixture
def table() -> pd.DataFrame:
    return complete_predictions(
        pd.DataFrame(
            {
                "path": [f"{number}.png" for number in range(8)],
                "label": ["defective"] * 6 + ["normal"] * 2,
                "p_normal": [0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.2],
                "fold": [0, 1] * 4,
            }
        )
    )


def masks(run: Folder) -> dict[str, Path]:
    return {f"{number}.png": run.root / "masks" / f"{number}.png" for number in range(8)}


def test_peaks_are_fractions_of_the_picture_itself(
    run: Folder, table: pd.DataFrame, tmp_path: Path
) -> None:
    facts = write_heatmaps(run, table, tmp_path / "out", which="all", most=8)
    found = pd.read_csv(tmp_path / "out" / "heatmaps.csv")
    assert sorted(found["path"]) == sorted(table["path"])
    np.testing.assert_allclose(found["x"], 50 / 200, atol=0.03)
    np.testing.assert_allclose(found["y"], 60 / 80, atol=0.06)
    by_path = found.set_index("path")
    assert by_path["p_normal"].to_dict() == table.set_index("path")["p_normal"].to_dict()
    assert by_path.loc["7.png", "verdict"] == "defective"
    assert by_path.loc["5.png", "verdict"] == "normal"
    assert found["points_at_defect"].isna().all()
    assert facts == json.loads((tmp_path / "out" / "heatmaps.json").read_text())
    assert "pointing" not in facts
    assert facts["pictures"] == {"looked_at": 8, "with_overlay": 8, "wrong": 2, "doubtful": 0}
    assert facts["largest_difference"] == pytest.approx(1 / (1 + np.exp(-1)) - 0.1)


def test_overlays_say_what_they_show_and_old_ones_go(
    run: Folder, table: pd.DataFrame, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_heatmaps(run, table, out, which="all", most=8)
    (out / "heatmaps" / "mine.txt").write_text("kept")
    facts = write_heatmaps(run, table, out, which="errors", most=4)
    found = pd.read_csv(out / "heatmaps.csv")
    names = sorted(path.name for path in (out / "heatmaps").glob("*.jpg"))
    assert names == sorted(found["overlay"])
    assert [name.split("_")[0] for name in names] == ["escape", "overkill", "passed", "rejected"]
    assert facts["left_out"] == 0
    assert (out / "heatmaps" / "mine.txt").exists()
    picture = cv2.imread(str(out / "heatmaps" / names[0]))
    assert picture.shape == (205, 1024, 3)  # the picture and, beside it, the same with heat


def test_all_looks_at_every_picture_and_draws_some(
    run: Folder, table: pd.DataFrame, tmp_path: Path
) -> None:
    facts = write_heatmaps(run, table, tmp_path, which="all", most=4)
    assert facts["pictures"]["looked_at"] == 8
    assert facts["pictures"]["with_overlay"] == 4
    assert pd.read_csv(tmp_path / "heatmaps.csv")["overlay"].notna().sum() == 4


def test_pointing_with_masks(run: Folder, table: pd.DataFrame, tmp_path: Path) -> None:
    facts = write_heatmaps(run, table, tmp_path, which="all", most=8, masks=masks(run))
    figures = facts["pointing"]
    assert (figures["rejected"]["n"], figures["all"]["n"]) == (5, 6)
    assert figures["rejected"]["pointing_game"] == pytest.approx(3 / 5)
    assert figures["all"]["pointing_game"] == pytest.approx(3 / 6)
    assert figures["rejected"]["low"] < 3 / 5 < figures["rejected"]["high"]
    assert figures["all"]["heat_inside"] == pytest.approx(0.5, abs=0.1)
    assert figures["all"]["defect_share"] == pytest.approx(64 / 16000)
    found = pd.read_csv(tmp_path / "heatmaps.csv").set_index("path")
    assert found["points_at_defect"].isna().sum() == 2  # of normal castings


def test_every_casting_weighs_the_same() -> None:
    frame = pd.DataFrame(
        {
            "group": ["a", "a", "a", "b"],
            "verdict": "defective",
            "points_at_defect": [1.0, 1.0, 1.0, 0.0],
            "heat_inside": 0.5,
            "defect_share": 0.1,
        }
    )
    figures = pointing_figures(frame)["rejected"]
    assert (figures["pointing_game"], figures["groups"], figures["n"]) == (0.5, 2, 4)
    empty = pointing_figures(frame.assign(verdict="normal"))["rejected"]
    assert (empty["n"], empty["pointing_game"]) == (0, None)


def test_masks_come_from_synthetic_castings_or_a_manifest(castings: Path, tmp_path: Path) -> None:
    found = masks_of(castings, pd.DataFrame({"path": ["a"]}))
    assert found
    assert all(path.is_file() for path in found.values())
    mine = pd.DataFrame({"path": ["a", "b"], "mask": ["m/a.png", ""]})
    assert masks_of(tmp_path, mine) == {"a": tmp_path / "m" / "a.png"}
    assert masks_of(tmp_path, mine[["path"]]) == {}


@pytest.mark.parametrize("missing", ["3.png", "masks/3.png"])
def test_a_picture_that_cannot_be_read_leaves_nothing_behind(
    run: Folder, table: pd.DataFrame, tmp_path: Path, missing: str
) -> None:
    (run.root / missing).unlink()
    with pytest.raises(UserError, match=r"3\.png: cannot be opened"):
        write_heatmaps(run, table, tmp_path / "out", which="all", masks=masks(run))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(run: Folder, table: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match="heatmaps cannot be written"):
        write_heatmaps(run, table, tmp_path / "out", which="all")


def test_squashed_pictures_too(run: Folder, table: pd.DataFrame, tmp_path: Path) -> None:
    squashing = replace(run, inspector=Darkness(fit="stretch"))
    write_heatmaps(squashing, table, tmp_path, which="all")
    found = pd.read_csv(tmp_path / "heatmaps.csv")
    np.testing.assert_allclose(found["x"], 50 / 200, atol=0.03)
    np.testing.assert_allclose(found["y"], 60 / 80, atol=0.06)
