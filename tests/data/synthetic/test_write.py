from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from casting_inspect.data.manifest import read_manifest
from casting_inspect.data.synthetic import (
    KINDS,
    SyntheticConfig,
    ensure_castings,
    is_complete,
    write,
    write_castings,
)
from casting_inspect.errors import UserError
from casting_inspect.files import sha256_of_file

CONFIG = SyntheticConfig(parts=10, photographs=2, size=64, seed=9)


@pytest.fixture(scope="module")
def castings_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_castings(CONFIG, tmp_path_factory.mktemp("synthetic") / "set")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CASTING_INSPECT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def contents(root: Path) -> dict[str, bytes]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_bytes_on_any_number_of_workers(
    castings_folder: Path, tmp_path: Path, workers: int
) -> None:
    again = write_castings(CONFIG, tmp_path / "again", workers)
    assert contents(again) == contents(castings_folder)


def test_another_seed_gives_other_pictures(castings_folder: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, parts=3, seed=10)
    other = read_manifest(write_castings(config, tmp_path / "other") / "manifest.csv")
    assert not set(other["sha256"]) & set(read_manifest(castings_folder / "manifest.csv")["sha256"])


def test_a_larger_set_begins_with_the_smaller(castings_folder: Path, tmp_path: Path) -> None:
    few = write_castings(dataclasses.replace(CONFIG, parts=3), tmp_path / "few")
    all_of_them = contents(castings_folder)
    pictures = {name: data for name, data in contents(few).items() if name.endswith(".png")}
    assert pictures
    assert all(all_of_them[name] == data for name, data in pictures.items())


def test_the_manifest_tells_what_is_there(castings_folder: Path) -> None:
    manifest = read_manifest(castings_folder / "manifest.csv")
    assert len(manifest) == 20
    assert manifest["label"].value_counts().to_dict() == {"normal": 10, "defective": 10}
    assert set(manifest["path"]) == {
        name for name in contents(castings_folder) if name.startswith(("normal/", "defective/"))
    }
    for row in manifest.itertuples():
        path = castings_folder / row.path
        assert sha256_of_file(path) == row.sha256
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image.shape == (row.height, row.width) == (64, 64)


def test_photographs_of_a_part_share_class_kind_and_group(castings_folder: Path) -> None:
    manifest = read_manifest(castings_folder / "manifest.csv")
    by_group = manifest.groupby("group")
    assert set(by_group.size()) == {2}
    assert set(by_group["label"].nunique()) == {1}
    assert set(by_group["kind"].nunique()) == {1}
    assert manifest["part"].equals(manifest["group"])
    assert set(manifest["kind"]) == {"", *KINDS}
    assert ((manifest["kind"] == "") == (manifest["label"] == "normal")).all()


def test_the_side_table_tells_of_every_defect(castings_folder: Path) -> None:
    defects = pd.read_csv(castings_folder / "defects.csv")
    manifest = pd.read_csv(castings_folder / "manifest.csv", index_col="path")
    assert set(defects["path"]) == set(manifest.index[manifest["label"] == "defective"])
    assert defects["size"].between(0.02, 0.2).all()
    for row in defects.itertuples():
        mask = cv2.imread(str(castings_folder / row.mask), cv2.IMREAD_UNCHANGED)
        rows, columns = np.nonzero(mask)
        assert len(rows) == row.area_px > 0
        assert (row.x, row.y) == pytest.approx((columns.mean(), rows.mean()), abs=0.06)
        assert manifest.loc[row.path, "kind"] == row.kind
        assert manifest.loc[row.path, "defect_size"] == pytest.approx(row.size_px)


def test_progress_is_told_after_each_part(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    config = dataclasses.replace(CONFIG, parts=3)
    write_castings(config, tmp_path / "set", progress=lambda done, of: told.append((done, of)))
    assert told == [(2, 6), (4, 6), (6, 6)]


def test_a_set_without_defects_has_an_empty_side_table(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, parts=2, defective_share=0.0)
    root = write_castings(config, tmp_path / "good")
    assert len(pd.read_csv(root / "defects.csv")) == 0
    assert set(read_manifest(root / "manifest.csv")["label"]) == {"normal"}


def test_the_same_set_again_changes_nothing(castings_folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in castings_folder.rglob("*")}
    assert write_castings(CONFIG, castings_folder) == castings_folder
    assert before == {path: path.stat().st_mtime_ns for path in castings_folder.rglob("*")}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    config = dataclasses.replace(CONFIG, parts=1)
    assert is_complete(config, write_castings(config, tmp_path / "empty"))


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        write_castings(CONFIG, tmp_path)
    assert contents(tmp_path) == {"mine.txt": b"mine"}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_write_leaves_no_target(tmp_path: Path, workers: int) -> None:
    def interrupt(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_castings(CONFIG, tmp_path / "set", workers, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_is_made_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(CONFIG, parts=2)
    root = ensure_castings(config)
    assert root.is_relative_to(cache)
    monkeypatch.setattr(write, "render_part", lambda *_: pytest.fail("rendered again"))
    assert ensure_castings(config) == root


@pytest.mark.parametrize("damage", ["no seal", "no picture", "short picture", "bad seal", "empty"])
def test_a_half_written_cache_is_made_anew(cache: Path, damage: str) -> None:
    config = dataclasses.replace(CONFIG, parts=1)
    root = ensure_castings(config)
    whole = contents(root)
    picture = next(root.glob("*/*.png"))
    if damage == "no seal":
        (root / write.SEAL).unlink()
    elif damage == "no picture":
        picture.unlink()
    elif damage == "short picture":
        picture.write_bytes(picture.read_bytes()[:-10])
    elif damage == "bad seal":
        (root / write.SEAL).write_text('{"digest": [], "bytes": null}')
    else:
        shutil.rmtree(root)
        root.mkdir()
    assert not is_complete(config, root)
    assert contents(ensure_castings(config)) == whole
    assert [path.name for path in root.parent.iterdir()] == [root.name]


def test_two_at_once_agree(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(CONFIG, parts=1)
    honest = write.render_part

    def while_another_is_quicker(some: SyntheticConfig, part: int) -> list[write.Picture]:
        monkeypatch.setattr(write, "render_part", honest)
        ensure_castings(config)
        return honest(some, part)

    monkeypatch.setattr(write, "render_part", while_another_is_quicker)
    root = ensure_castings(config)
    assert is_complete(config, root)
    assert [path.name for path in root.parent.iterdir()] == [root.name]


def test_a_full_disk_is_not_hidden(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "png_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        ensure_castings(dataclasses.replace(CONFIG, parts=1))
    assert list((cache / "synthetic").iterdir()) == []


def test_many_pictures_get_a_pool(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def fake(config: SyntheticConfig, out: Path, workers: int, progress: object) -> Path:
        asked.append(workers)
        return out

    monkeypatch.setattr(write, "write_castings", fake)
    monkeypatch.setattr(write, "usable_cores", lambda: 7)
    ensure_castings(CONFIG)
    ensure_castings(dataclasses.replace(CONFIG, parts=500))
    assert asked == [0, 7]


def test_the_asked_number_of_workers_is_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "usable_cores", lambda: pytest.fail("cores were counted"))
    assert ensure_castings(dataclasses.replace(CONFIG, parts=1), workers=1).is_dir()
