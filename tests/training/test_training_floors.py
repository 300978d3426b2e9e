"""Floors fitted and scored on rows of a data module, and what stands beside a run's figures."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from casting_inspect.data.audit import second_look
from casting_inspect.data.decode import read_rgb
from casting_inspect.data.module import CastingDataModule
from casting_inspect.models.floors import SEEN, floor_features
from casting_inspect.training import floor_features as reading
from casting_inspect.training.floors import FloorFitter, floors_beside, group_weights
from casting_inspect.training.leak_note import leak_notes, pooled_notes


@pytest.fixture(scope="module")
def lamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data root: 20 castings, 3 pictures of each, the good ones under a brighter lamp."""
    root = tmp_path_factory.mktemp("lamps")
    generator = np.random.default_rng(0)
    rows = []
    for part in range(20):
        label = ("defective", "normal")[part % 2]
        light = generator.uniform(60, 90) + 70 * (part % 2)
        for copy in range(3):
            picture = np.clip(generator.normal(light, 15, (48, 48)), 0, 255).astype(np.uint8)
            path = f"{part:02d}_{copy}.png"
            cv2.imwrite(str(root / path), picture)
            rows.append({"path": path, "label": label, "group": f"part{part}"})
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    return root


def module(root: Path, **options: Any) -> CastingDataModule:
    data = CastingDataModule(root, image_size=32, **{"split": "file", **options})
    data.setup()
    return data


def fitter(
    data: CastingDataModule,
    name: str = "floor_histogram",
    weights: str = "file",
    cost: float = 10.0,
) -> Any:
    node = {
        "model": {"name": name, "cost": cost, "gamma": "scale"},
        "finetune": {"sample_weights": weights},
        "callbacks": {"progress_bar": False},
    }
    return FloorFitter(OmegaConf.create(node), data)


@pytest.mark.parametrize("name", ["floor_histogram", "floor_pixels", "floor_background"])
def test_a_fitter_scores_any_rows_as_scikit_learn_does(lamps: Path, name: str) -> None:
    data = module(lamps)
    train, test = data.rows("train"), data.rows("test")
    fitted = fitter(data, name).fit(train, None, None, lamps / "nowhere")
    pictures = [read_rgb(lamps / path) for path in data.frame["path"]]
    seen = floor_features(name, pictures).astype(float)
    model = make_pipeline(StandardScaler(), SVC(C=10.0, class_weight="balanced"))
    model.fit(seen[train], data.labels[train])
    scores = fitted.score(test)
    assert list(scores) == test.tolist()
    np.testing.assert_allclose(list(scores.values()), model.decision_function(seen[test]))
    assert (fitted.best_epoch, fitted.epochs) == (1, 1)
    assert not (lamps / "nowhere").exists()
    assert roc_auc_score(data.labels[test], list(scores.values())) == 1.0


def test_a_fit_takes_no_notice_of_the_fits_before_it(lamps: Path) -> None:
    data = module(lamps)
    one = fitter(data)
    rows = data.rows("train")
    first = one.fit(rows, None, None, lamps).score(data.rows("test"))
    one.fit(rows[: len(rows) // 2], rows[len(rows) // 2 :], 3, lamps)
    assert one.fit(rows, data.rows("val"), 7, lamps).score(data.rows("test")) == first


def test_it_describes_itself_in_one_line(lamps: Path) -> None:
    one = fitter(module(lamps), "floor_background")
    assert "\n" not in one.describe()
    assert one.describe().startswith("floor_background: RBF-SVM on 72 numbers")
    assert one.facts["weights"] == "none"


def test_weights_by_group_give_castings_the_same_say_and_leave_classes_to_the_svm(
    lamps: Path,
) -> None:
    data = module(lamps)
    rows = np.arange(60)[np.r_[0:4, 6:12, 15:17]]  # castings with 3, 1, 3, 3 and 2 pictures
    weights = group_weights(data, rows)
    labels, groups = data.labels[rows], data.frame["group"].to_numpy()[rows]
    for label in (0, 1):
        here = labels == label
        assert weights[here].mean() == pytest.approx(1)
        sums = pd.Series(weights[here]).groupby(groups[here]).sum()
        np.testing.assert_allclose(sums, sums.iloc[0])


def test_weights_by_group_change_the_fit(lamps: Path) -> None:
    data = module(lamps)
    rows = data.rows("train")
    uneven = np.setdiff1d(rows, rows[:20:3])  # castings with one, two and three pictures
    plain, by_group = (  # a weak cost, so that what a file may weigh is used up
        fitter(data, "floor_pixels", by, cost=0.01).fit(uneven, None, None, lamps)
        for by in ("file", "group")
    )
    assert plain.score(data.rows("test")) != by_group.score(data.rows("test"))


def test_pictures_are_read_once_and_a_damaged_table_is_made_anew(
    lamps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = module(lamps).frame
    first = reading.seen_of_pictures(frame, lamps, cache=tmp_path)
    assert {what: table.shape for what, table in first.items()} == {
        "mean_grey": (60, 1),
        "histogram": (60, 64),
        "pixels": (60, 1024),
        "background": (60, 72),
    }
    monkeypatch.setattr(reading, "read_rgb", lambda *_: pytest.fail("read again"))
    mixed = frame.sample(frac=1, random_state=0)
    again = reading.seen_of_pictures(mixed, lamps, cache=tmp_path)
    for what in SEEN:
        np.testing.assert_array_equal(again[what], first[what][mixed.index])
    (stored,) = tmp_path.glob("*.npz")
    stored.write_bytes(stored.read_bytes()[:-50])
    monkeypatch.undo()
    anew = reading.seen_of_pictures(frame, lamps, cache=tmp_path)
    np.testing.assert_array_equal(anew["pixels"], first["pixels"])


def test_another_window_is_another_table_and_old_tables_go(lamps: Path, tmp_path: Path) -> None:
    frame = module(lamps).frame
    for low in range(reading.KEPT + 3):
        reading.seen_of_pictures(frame[:2], lamps, window=(low, 300.0), cache=tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == reading.KEPT


def test_floors_beside_are_fitted_to_the_training_rows_and_measured_on_the_test_rows(
    lamps: Path,
) -> None:
    data = module(lamps)
    train, test = data.rows("train"), data.rows("test")
    beside = floors_beside(data, train, test)
    assert list(beside) == ["floor_histogram", "floor_background"]
    scores = fitter(data).fit(train, None, None, lamps).score(test)
    passes = np.array(list(scores.values())) > 0
    figures = beside["floor_histogram"]
    assert figures["n"] == len(test)
    assert figures["accuracy"] == accuracy_score(data.labels[test], passes)
    assert figures["auroc"] == roc_auc_score(data.labels[test], list(scores.values()))
    assert figures["accuracy"] == 1.0  # the lamp gives the class away


def test_a_split_by_file_carries_its_leak_notes(lamps: Path) -> None:
    data = module(lamps, val_fraction=0.0)
    found = leak_notes(data, "file")
    frame = data.frame
    training = set(frame["group"][frame["split"] == "train"])
    copies = frame["group"][frame["split"] == "test"].isin(training)
    assert found["leak"] == {
        "part": "test",
        "share": copies.mean(),
        "files": copies.sum(),
        "of": len(copies),
        "groups": "manifest",
    }
    assert found["leak"]["share"] > 0.5
    assert found["floors"]["floor_background"]["n"] == len(copies)


def test_a_manifests_own_split_can_be_clean_and_needs_no_test_part(lamps: Path) -> None:
    table = pd.read_csv(lamps / "manifest.csv", dtype=str)
    number = table["group"].str.removeprefix("part").astype(int)
    table["split"] = np.where(number < 14, "train", "val")
    table.to_csv(lamps / "by_hand.csv", index=False)
    data = module(lamps, split="manifest", manifest=lamps / "by_hand.csv")
    found = leak_notes(data, "manifest")["leak"]
    assert (found["part"], found["files"], found["of"]) == ("val", 0, 18)


def test_a_split_by_group_has_a_second_look_alone(lamps: Path) -> None:
    data = module(lamps, split="group")
    notes = leak_notes(data, "group")
    assert set(notes) == {"second_look"}
    assert notes["second_look"]["of"] == len(data.rows("test"))


def test_a_run_without_test_figures_has_no_note_of_the_test_part(lamps: Path) -> None:
    data = module(lamps)
    found = leak_notes(data, "file", tested=False)
    assert (found["leak"]["part"], found["leak"]["of"]) == ("val", len(data.rows("val")))
    assert leak_notes(module(lamps, val_fraction=0.0), "file", tested=False) == {}


def test_a_second_look_suspects_equal_files_and_is_kept(
    castings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.read_csv(castings / "manifest.csv", dtype=str, keep_default_na=False)
    normal, defective = (list(table["path"][table["label"] == c]) for c in ("normal", "defective"))
    names = [*normal[:6], *defective[:6]]
    rows = [{"path": name, "split": "train"} for name in names]
    for number, name in enumerate((normal[0], defective[0])):
        picture = cv2.imread(str(castings / name))
        turned = cv2.flip(cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE), 1)
        cv2.imwrite(str(tmp_path / f"turned{number}.png"), turned)
        rows.append({"path": f"turned{number}.png", "split": "test"})
    for name in names:
        picture = cv2.imread(str(castings / name))
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), picture)
    labels = [*["normal"] * 6, *["defective"] * 6, "normal", "defective"]
    made = pd.DataFrame(rows).assign(label=labels, group=[str(n) for n in range(14)])
    made.to_csv(tmp_path / "manifest.csv", index=False)
    data = module(tmp_path, split="manifest")
    first = leak_notes(data, "manifest")
    assert first["leak"]["files"] == 0  # the groups know nothing of it
    assert first["second_look"]["files"] == 2
    monkeypatch.setattr(second_look, "suspected_copies", lambda *_, **__: pytest.fail("again"))
    assert leak_notes(data, "manifest") == first


def test_second_looks_of_folds_are_added_up(tmp_path: Path) -> None:
    for fold, (files, of) in enumerate([(1, 10), (0, 30)]):
        (tmp_path / f"fold_{fold}").mkdir()
        look = {"part": "test", "share": files / of, "files": files, "of": of}
        words = json.dumps({"second_look": look})
        (tmp_path / f"fold_{fold}" / "metrics.json").write_text(words, encoding="utf-8")
    found = pooled_notes(sorted(tmp_path.iterdir()))
    assert found["second_look"] == {"part": "test", "share": 1 / 40, "files": 1, "of": 40}
    assert pooled_notes([]) == {}


def test_pictures_without_groups_are_grouped_by_the_audit(
    lamps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = module(lamps)
    truth = data.frame["group"].copy()
    data.frame["group"] = ""
    asked = []

    def with_groups(frame: pd.DataFrame, root: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
        asked.append(root)
        return frame.assign(group=truth, group_wide=truth), {}

    stand_in = SimpleNamespace(with_groups=with_groups)
    monkeypatch.setitem(__import__("sys").modules, "casting_inspect.data.audit.groups", stand_in)
    found = leak_notes(data, "file")["leak"]
    assert asked == [lamps]
    assert found["groups"] == "audit"
    assert found["share"] > 0.5
