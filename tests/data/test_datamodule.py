"""The data module: from a folder to batches, the same however they are loaded."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from quiet_trainer import quiet_trainer

from casting_inspect.data.intake import prepare
from casting_inspect.data.manifest import write_manifest
from casting_inspect.data.module import CastingDataModule, limited
from casting_inspect.data.splits import assign_splits
from casting_inspect.errors import UserError

SIDE = 32
FILES = 36


def casting(seed: int) -> np.ndarray:
    """A grey disc on a plain background, each a little different."""
    image = np.full((SIDE, SIDE + 6, 3), 200, dtype=np.uint8)
    cv2.circle(image, (SIDE // 2 + 3, SIDE // 2), 12, (90 + seed,) * 3, -1)
    cv2.circle(image, (SIDE // 2 + 3 + seed % 5, SIDE // 2), 2, (20,) * 3, -1)
    return image


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders as they are, no manifest: 18 pictures of each class."""
    root = tmp_path_factory.mktemp("folders")
    for k in range(FILES):
        folder = root / ("normal" if k % 2 else "defective")
        folder.mkdir(exist_ok=True)
        Image.fromarray(casting(k)).save(folder / f"{k:02}.png")
    return root


def manifest_of(folders: Path) -> pd.DataFrame:
    """Their manifest: groups of three files of one class."""
    rows = [
        {"path": path.relative_to(folders).as_posix(), "label": path.parent.name}
        for path in sorted(folders.rglob("*.png"))
    ]
    frame = pd.DataFrame(rows)
    frame["group"] = [f"{label}-{k // 3}" for k, label in enumerate(frame["label"])]
    return frame


@pytest.fixture(scope="module")
def root(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures with a manifest."""
    root = tmp_path_factory.mktemp("with_manifest") / "root"
    shutil.copytree(folders, root)
    write_manifest(manifest_of(root), root / "manifest.csv")
    return root


def module(root: Path, manifest: Path | None = None, **options: Any) -> CastingDataModule:
    small = {"image_size": 24, "batch_size": 5, "augment": "light", "seed": 4}
    data = CastingDataModule(root, manifest, **{**small, **options})
    data.setup()
    return data


def batches(data: CastingDataModule, epochs: int = 2) -> list[dict[str, torch.Tensor]]:
    """Training batches of some epochs, then validation and test."""
    training = data.train_dataloader()
    found = []
    for epoch in range(epochs):
        training.sampler.set_epoch(epoch)  # type: ignore[union-attr]
        found += list(training)
    return [*found, *data.val_dataloader(), *data.test_dataloader()]  # type: ignore[list-item]


def assert_equal(one: list[dict[str, torch.Tensor]], other: list[dict[str, torch.Tensor]]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            assert torch.equal(a[key], b[key]), key


def test_a_batch_is_what_the_network_expects(root: Path) -> None:
    data = module(root)
    sizes = []
    for batch in data.train_dataloader():
        size = len(batch["index"])
        assert batch["image"].dtype == torch.uint8
        assert batch["image"].shape == (size, 3, 24, 24)
        assert batch["label"].dtype == batch["index"].dtype == torch.int64
        words = data.frame["label"].iloc[batch["index"].numpy()]
        assert batch["label"].tolist() == [1 if word == "normal" else 0 for word in words]
        sizes.append(size)
    assert sum(sizes) == len(data.rows("train"))
    assert sizes[-1] < 5  # the last, smaller one is not dropped


def test_the_frame_is_the_manifest_as_used(root: Path) -> None:
    data = module(root)
    frame = data.frame
    assert list(frame.index) == list(range(FILES))
    assert list(frame["path"]) == sorted(frame["path"])
    for path, digest in zip(frame["path"], frame["sha256"], strict=True):
        assert digest == hashlib.sha256((root / path).read_bytes()).hexdigest()
    expected = assign_splits(frame.drop(columns="split"), split="group")
    assert list(frame["split"]) == list(expected)
    rows = [data.rows(part) for part in ("train", "val", "test")]
    assert sorted(np.concatenate(rows).tolist()) == list(range(FILES))
    assert all(part.dtype == np.int64 for part in rows)
    assert data.labels.tolist() == [0] * 18 + [1] * 18
    data.setup("fit")
    assert data.frame is frame


def test_the_order_of_the_manifest_plays_no_part(root: Path, tmp_path: Path) -> None:
    shuffled = manifest_of(root).sample(frac=1, random_state=1)
    write_manifest(shuffled, tmp_path / "other.csv")
    one, other = module(root), module(root, tmp_path / "other.csv")
    pd.testing.assert_frame_equal(one.frame, other.frame)
    assert_equal(batches(one), batches(other))


def test_folders_without_a_manifest(folders: Path) -> None:
    data = module(folders, split="file")
    assert data.frame["split"].value_counts().to_dict() == {"train": 18, "test": 14, "val": 4}


def test_groups_are_looked_for_where_there_are_none_and_only_there(
    folders: Path, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[Path] = []

    def with_groups(frame: pd.DataFrame, where: Path) -> tuple[pd.DataFrame, dict[str, int]]:
        asked.append(where)
        assert (frame["sha256"].str.len() == 64).all()
        names = [f"g{label[0]}{k // 2}" for k, label in enumerate(frame["label"])]
        wide = [f"w{name[1]}{k // 4}" for k, name in enumerate(names)]
        return frame.assign(group=names, group_wide=wide), {}

    monkeypatch.setitem(
        sys.modules, "casting_inspect.data.audit.groups", SimpleNamespace(with_groups=with_groups)
    )
    with caplog.at_level("INFO"):
        data = module(folders, folds=3)
    assert asked == [folders]
    assert "36 of 36 pictures have no group" in caplog.text
    assert (data.frame.groupby("group_wide")["split"].nunique() == 1).all()
    assert data.frame["split"].nunique() == 3
    module(root)
    module(folders, split="file")
    assert asked == [folders]  # groups that are there, or not used, cost nothing


def test_further_names_of_folders(folders: Path, tmp_path: Path) -> None:
    shutil.copytree(folders / "normal", tmp_path / "gutteil")
    shutil.copytree(folders / "defective", tmp_path / "schrott")
    aliases = {"gutteil": "normal", "schrott": "defective"}
    data = module(tmp_path, split="file", aliases=aliases)
    assert data.labels.tolist() == [1] * 18 + [0] * 18


def test_evaluation_is_plain_and_in_the_order_of_the_frame(root: Path) -> None:
    data = module(root)
    plain = module(root, augment="none")
    for one, other, part in [
        (data.val_dataloader(), plain.val_dataloader(), "val"),
        (data.test_dataloader(), plain.test_dataloader(), "test"),
    ]:
        found = list(one)
        assert_equal(found, list(other))
        assert torch.cat([b["index"] for b in found]).tolist() == data.rows(part).tolist()
    everything = torch.cat([batch["index"] for batch in data.predict_dataloader()])
    assert everything.tolist() == list(range(FILES))


def test_without_validation_its_loader_is_an_empty_list(root: Path) -> None:
    data = module(root, val_fraction=0.0)
    assert data.val_dataloader() == []
    assert len(data.rows("val")) == 0


def test_without_a_test_part_its_loader_is_an_empty_list(root: Path, tmp_path: Path) -> None:
    frame = manifest_of(root)
    frame["split"] = ["val" if k % 6 == 0 else "train" for k in range(FILES)]
    write_manifest(frame, tmp_path / "train_and_val.csv")
    data = module(root, tmp_path / "train_and_val.csv", split="manifest")
    assert data.test_dataloader() == []
    assert len(data.rows("val")) == 6


def test_rows_left_out_by_the_vendor_are_not_predicted(root: Path, tmp_path: Path) -> None:
    frame = manifest_of(root)
    frame["split"] = [("train", "train", "test", "")[k % 4] for k in range(FILES)]
    write_manifest(frame, tmp_path / "vendor.csv")
    data = module(root, tmp_path / "vendor.csv", split="vendor")
    found = torch.cat([batch["index"] for batch in data.predict_dataloader()])
    assert found.tolist() == [k for k in range(FILES) if k % 4 != 3]


def test_a_second_epoch_has_another_order_and_other_pictures(root: Path) -> None:
    loader = module(root).train_dataloader()
    first = {int(i): x for b in loader for i, x in zip(b["index"], b["image"], strict=True)}
    loader.sampler.set_epoch(1)  # type: ignore[union-attr]
    second = {int(i): x for b in loader for i, x in zip(b["index"], b["image"], strict=True)}
    assert list(first) != list(second)
    assert sorted(first) == sorted(second)
    assert all(not torch.equal(first[row], second[row]) for row in first)


def test_picture_agrees_with_the_loaders(root: Path) -> None:
    data = module(root)
    loader = data.train_dataloader()
    loader.sampler.set_epoch(3)  # type: ignore[union-attr]
    for batch in loader:
        for row, image in zip(batch["index"].tolist(), batch["image"], strict=True):
            assert torch.equal(data.picture(row, 3), image)
    for batch in data.plain_dataloader("train"):
        for row, image in zip(batch["index"].tolist(), batch["image"], strict=True):
            assert torch.equal(data.picture(row), image)
    for sample in data.dataset("test", augmented=True):
        assert torch.equal(data.picture(sample["index"], 0), sample["image"])


def test_making_loaders_leaves_the_global_generator_alone(root: Path) -> None:
    data = module(root)
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    next(iter(data.train_dataloader()))
    assert torch.equal(torch.rand(3), expected)


def used(data: CastingDataModule) -> np.ndarray:
    return np.flatnonzero(data.frame["split"] != "")


def test_kept_pictures_are_the_same_as_decoded_ones(root: Path, tmp_path: Path) -> None:
    reference = batches(module(root))
    data = module(root, cache_dir=tmp_path / "pixels")
    assert_equal(batches(data), reference)  # nothing is kept yet
    kept = data.keep_pixels(used(data))
    assert kept is not None
    assert (kept.rows, kept.decoded, kept.problem) == (FILES, FILES, "")
    assert_equal(batches(data), reference)
    nothing = tmp_path / "no_pictures"
    shutil.copytree(root, nothing)
    later = module(nothing, cache_dir=tmp_path / "pixels")
    for path in nothing.rglob("*.png"):
        path.write_bytes(b"no picture")  # nobody looks
    again = later.keep_pixels(used(later))
    assert again is not None
    assert again.decoded == 0
    assert_equal(batches(later), reference)


def test_without_a_cache_nothing_is_kept(root: Path) -> None:
    data = module(root)
    assert data.keep_pixels(used(data)) is None


def test_folds_share_what_is_kept_and_windows_do_not(root: Path, tmp_path: Path) -> None:
    data = module(root, cache_dir=tmp_path)
    data.keep_pixels(used(data))
    other = data.with_fold(1)
    kept = other.keep_pixels(used(other))
    assert kept is not None
    assert kept.decoded == 0
    assert_equal(batches(other), batches(module(root, fold=1)))
    windowed = module(root, cache_dir=tmp_path, window=[0, 300])
    assert windowed.keep_pixels(used(windowed)).folder != kept.folder  # type: ignore[union-attr]


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_map_what_is_kept(root: Path, tmp_path: Path, method: str) -> None:
    if os.name == "nt" and method == "fork":
        pytest.skip("Windows cannot fork")
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    data = module(copy, cache_dir=tmp_path / "pixels", workers=1, start_method=method)
    data.keep_pixels(used(data))
    for path in copy.rglob("*.png"):
        path.unlink()
    assert_equal(batches(data), batches(module(root)))


def test_one_worker_gives_the_same_batches(root: Path) -> None:
    assert_equal(batches(module(root, workers=1)), batches(module(root)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_four_workers_give_the_same_batches(root: Path, method: str) -> None:
    if os.name == "nt" and method == "fork":
        pytest.skip("Windows cannot fork")
    cv2.GaussianBlur(np.zeros((2000, 2000), np.uint8), (31, 31), 5)  # OpenCV's threads are awake
    loaders = [
        module(root, workers=workers, start_method=method).train_dataloader() for workers in (4, 0)
    ]
    for epoch in range(3):
        for loader in loaders:
            loader.sampler.set_epoch(epoch)  # type: ignore[union-attr]
        assert_equal(*(list(loader) for loader in loaders))


class Recorder(L.LightningModule):
    """Keeps which rows it was given, and a sum over their pixels, epoch by epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[int, list[tuple[int, int]]] = {}
        self.validated: list[int] = []

    def training_step(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        sums = batch["image"].sum(dim=(1, 2, 3)).tolist()
        epoch = self.seen.setdefault(self.current_epoch, [])
        epoch += zip(batch["index"].tolist(), sums, strict=True)
        return self.weight * 1.0

    def validation_step(self, batch: Mapping[str, torch.Tensor]) -> None:
        self.validated += batch["index"].tolist()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize(("workers", "val_fraction"), [(0, 0.0), (1, 0.2)])
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*number of training batches")
@pytest.mark.filterwarnings("ignore:Total length of `list` across ranks is zero")
def test_lightning_tells_the_epoch(
    root: Path, tmp_path: Path, workers: int, val_fraction: float
) -> None:
    data = module(root, workers=workers, val_fraction=val_fraction)
    recorder = Recorder()
    trainer = quiet_trainer(tmp_path, 3, enable_checkpointing=False)
    trainer.fit(recorder, datamodule=data)
    assert sorted(recorder.seen) == [0, 1, 2]
    for epoch, seen in recorder.seen.items():
        expected = [(row, int(data.picture(row, epoch).sum())) for row, _ in seen]
        assert seen == expected
        assert sorted(row for row, _ in seen) == data.rows("train").tolist()
    assert recorder.validated == 3 * data.rows("val").tolist()
    assert len({tuple(row for row, _ in seen) for seen in recorder.seen.values()}) == 3


def test_the_module_travels_to_another_process(root: Path) -> None:
    data = module(root)
    batches(data)
    copy = pickle.loads(pickle.dumps(data))
    assert_equal(batches(copy), batches(data))


def test_the_digest_of_augmentation_follows_all_that_decides_a_view(
    root: Path, tmp_path: Path
) -> None:
    fewer = manifest_of(root).iloc[1:]
    write_manifest(fewer, tmp_path / "fewer.csv")
    others = [
        module(root, seed=5),
        module(root, augment="strong"),
        module(root, augment_options={"blur": 0.1}),
        module(root, tmp_path / "fewer.csv"),
    ]
    digests = {data.augmentation_digest() for data in [module(root), *others]}
    assert len(digests) == 5
    assert module(root, fold=1, workers=1).augmentation_digest() in digests


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of 12 bits in 16-bit files; those of the test part are brighter."""
    root = tmp_path_factory.mktemp("deep")
    rows = []
    for k in range(12):
        split = ("train", "train", "test")[k // 2 % 3]
        low, high = (100, 2000) if split == "train" else (100, 4000)
        values = np.linspace(low, high, 900).reshape(30, 30).astype(np.uint16)
        Image.fromarray(values).save(root / f"{k:02}.png")
        label = "normal" if k % 2 else "defective"
        rows.append({"path": f"{k:02}.png", "label": label, "split": split})
    write_manifest(pd.DataFrame(rows), root / "manifest.csv")
    return root


def test_the_window_comes_from_the_training_pictures(deep: Path) -> None:
    data = module(deep, split="manifest", augment="none", image_size=30)
    assert data.window is not None
    assert data.window == pytest.approx((100, 2000), abs=5)
    test = next(iter(data.test_dataloader()))["image"]  # type: ignore[call-overload]
    assert test.max() == 255
    training = next(iter(data.train_dataloader()))["image"]
    assert len(torch.unique(training)) > 200


def test_a_given_window_is_taken(deep: Path) -> None:
    data = module(deep, split="manifest", window=[0, 4000], augment="none", image_size=30)
    assert data.window == (0.0, 4000.0)
    training = next(iter(data.train_dataloader()))["image"]
    assert training.max() == round(2000 / 4000 * 255)


def test_auto_takes_the_window_that_prepare_was_given(deep: Path, tmp_path: Path) -> None:
    for k in range(12):
        folder = tmp_path / "in" / ("ok" if k % 2 else "def")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(deep / f"{k:02}.png", folder)
    prepared = prepare(
        tmp_path / "in", tmp_path / "out", "folder", window=[50, 3000], progress=False
    ).out
    data = module(prepared, split="file", augment="none", image_size=30)
    assert data.window == (50.0, 3000.0)


def test_pictures_of_8_bits_have_no_window(root: Path) -> None:
    assert module(root).window is None


def test_workers_auto_is_one_a_core_and_eight_at_most(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cores, expected in [(3, 3), (64, 8), (1, 1)]:
        monkeypatch.setattr("casting_inspect.data.module.usable_cores", lambda cores=cores: cores)
        assert CastingDataModule(root, workers="auto").workers == expected


def test_before_setup_there_is_no_frame(root: Path) -> None:
    with pytest.raises(RuntimeError, match="call setup"):
        _ = CastingDataModule(root).frame


def test_an_unknown_part_is_our_own_mistake(root: Path) -> None:
    with pytest.raises(ValueError, match="split 'trian' must be one of"):
        module(root).rows("trian")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_size": 0}, "model.image_size=0: must be 1 or more"),
        ({"batch_size": 0}, "data.batch_size=0: must be 1 or more"),
        ({"workers": -1}, "data.workers=-1: must be 0 or more"),
        ({"workers": "atuo"}, "Did you mean 'auto'?"),
        ({"seed": -1}, "seed=-1: must be 0 or more"),
        ({"fit": "crop"}, "data.fit=crop: must be one of pad, stretch"),
        ({"window": [5, 5]}, "data.window=[5, 5]: must be auto or [low, high]"),
        ({"window": "wide"}, "data.window=wide: must be auto or [low, high]"),
        ({"start_method": "thread"}, "start_method=thread: must be one of"),
        ({"augment": "ligth"}, "Did you mean 'light'?"),
        ({"split": "grp"}, "data.split=grp"),
    ],
)
def test_mistakes_are_one_line(root: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        module(root, **options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_are_named_before_anything_is_trained(root: Path, tmp_path: Path) -> None:
    frame = manifest_of(root)
    frame.loc[3, "path"] = "normal/gone.png"
    write_manifest(frame, tmp_path / "manifest.csv")
    with pytest.raises(UserError, match=r"normal/gone\.png"):
        module(root, tmp_path / "manifest.csv")


@pytest.mark.parametrize("limit", [2, 5, 12, 1000])
def test_a_limit_leaves_a_spread_of_both_classes(limit: int) -> None:
    frame = pd.DataFrame(
        {
            "split": ["train"] * 60 + ["test"] * 20 + [""] * 3,
            "label": (["defective"] * 2 + ["normal"]) * 27 + ["normal", "defective"],
        }
    )
    before = frame["split"].copy()
    after = limited(frame, limit)
    assert (frame["split"] == before).all()
    assert ((after == before) | (after == "")).all()
    for part in ("train", "test"):
        kept = frame["label"][after == part]
        assert len(kept) <= max(limit, 2)
        assert len(kept) >= min(limit, (before == part).sum()) - 2
        assert set(kept) == {"defective", "normal"}
        places = np.flatnonzero(after == part) - np.flatnonzero(before == part)[0]
        if limit == 12:
            assert places.max() > 0.7 * (before == part).sum()  # not only the first ones
