"""Pictures on the device: the same bits as loading them, and the place is chosen by its size."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from casting_inspect import train
from casting_inspect.data.augment import STRENGTHS
from casting_inspect.data.device_augment import DeviceAugmenter
from casting_inspect.data.module import CastingDataModule
from casting_inspect.errors import UserError
from casting_inspect.training import loaders
from casting_inspect.training.device_loader import DeviceLoader, DevicePixels, fits_device
from casting_inspect.training.precision import NVML_CHECK, allow_tf32, cheap_device_checks

CPU = torch.device("cpu")
SIDE = 32


def module(root: Path, **options: Any) -> CastingDataModule:
    small: dict[str, Any] = {"image_size": SIDE, "batch_size": 5, "augment": "none", "seed": 4}
    data = CastingDataModule(root, split="file", **{**small, **options})
    data.setup()
    return data


def every(data: CastingDataModule) -> np.ndarray:
    return np.arange(len(data.frame))


@pytest.fixture(scope="module")
def mixed(castings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey castings and a few in colour."""
    root = tmp_path_factory.mktemp("mixed")
    for number, path in enumerate(sorted(castings.rglob("*.png"))[:20]):
        folder = root / ("normal" if number % 2 else "defective")
        folder.mkdir(exist_ok=True)
        pixels = np.array(Image.open(path).convert("RGB"))
        if number in (3, 8):
            pixels[..., 0] //= 2
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return root


def assert_same(ours: Any, theirs: Any) -> None:
    ours, theirs = list(ours), list(theirs)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            assert torch.equal(one[key], other[key]), key
        assert one["image"].is_contiguous()


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("colour", [True, False])
def test_plain_batches_are_those_of_the_data_module(
    castings: Path, mixed: Path, tmp_path: Path, kept: bool, colour: bool
) -> None:
    data = module(mixed if colour else castings, cache_dir=tmp_path if kept else None)
    data.keep_pixels(every(data))
    pixels = DevicePixels(data, every(data), CPU)
    assert pixels.values.shape[1] == (1 if kept and not colour else 3)
    assert pixels.values.nbytes == DevicePixels.size(data, every(data))
    for part in ("val", "test"):
        rows = data.rows(part)
        assert_same(DeviceLoader(pixels, data.labels[rows], rows, 5), data.loader(rows))
    rows = data.rows("train")
    ours = DeviceLoader(pixels, data.labels[rows], rows, 5, shuffle=True, seed=4)
    theirs = data.train_dataloader()
    assert len(ours) == len(theirs)
    for epoch in (0, 3):
        ours.sampler.set_epoch(epoch)
        theirs.sampler.set_epoch(epoch)  # type: ignore[union-attr]
        assert_same(ours, theirs)


def test_a_part_of_the_pictures_will_do(castings: Path) -> None:
    data = module(castings)
    rows = data.rows("val")
    pixels = DevicePixels(data, rows, CPU)
    assert len(pixels.values) == len(rows)
    assert_same(
        DeviceLoader(pixels, data.labels[rows], rows, 3),
        data.loader(rows[:]).__class__(
            data.dataset("val", augmented=False), batch_size=3, sampler=rows.tolist()
        ),
    )


def test_changes_follow_seed_epoch_and_row_alone(castings: Path) -> None:
    data = module(castings)
    pixels = DevicePixels(data, every(data), CPU)

    def by_row(rows: np.ndarray, batch: int, epoch: int) -> dict[int, torch.Tensor]:
        augmenter = DeviceAugmenter(STRENGTHS["light"], 4, len(data.frame))
        loader = DeviceLoader(
            pixels, data.labels[rows], rows, batch, augmenter=augmenter, shuffle=True, seed=batch
        )
        loader.sampler.set_epoch(epoch)
        return {
            int(row): image
            for found in loader
            for row, image in zip(found["index"], found["image"], strict=True)
        }

    whole, part = by_row(every(data), 7, 2), by_row(data.rows("train"), 4, 2)
    assert all(torch.equal(part[row], whole[row]) for row in part)
    other = by_row(every(data), 7, 3)
    assert all(not torch.equal(other[row], whole[row]) for row in whole)
    plain = {row: data.picture(row) for row in whole}
    assert all(not torch.equal(plain[row], whole[row]) for row in whole)


# ---- where pictures lie


def test_the_place_is_chosen_by_the_size_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda", 0)
    total = SimpleNamespace(total_memory=4 * 10**9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: total)
    assert fits_device("auto", device, 10**9)
    assert not fits_device("auto", device, 10**9 + 1)
    assert fits_device("cuda", device, 10**9)
    assert not fits_device("cpu", device, 1)
    for device_without in (CPU, torch.device("mps")):
        assert not fits_device("auto", device_without, 1)
        assert not fits_device("cpu", device_without, 1)
    with pytest.raises(UserError, match=r"take 2\.00 GB and may take 1\.00 GB"):
        fits_device("cuda", device, 2 * 10**9)
    with pytest.raises(UserError, match=r"augment\.device=cuda needs trainer=gpu"):
        fits_device("cuda", CPU, 1)


def test_tf32_is_let_in() -> None:
    before = torch.get_float32_matmul_precision()
    try:
        allow_tf32()
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("there", [True, False])
def test_devices_are_asked_for_cheaply_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setenv(NVML_CHECK, "1")
    with cheap_device_checks():
        assert os.environ[NVML_CHECK] == ("1" if there else "0")
    assert os.environ[NVML_CHECK] == "1"


# ---- whole runs, the CPU as the device


WORDS = [
    *("model=cnn", "model.image_size=64", "trainer=cpu", "trainer.precision=32-true"),
    *("trainer.max_epochs=2", "data.batch_size=8", "data.folds=2", "data.inner_folds=2"),
]


def run(castings: Path, folder: Path, *words: str) -> dict[str, Any]:
    given = [*WORDS, *words, f"data.root={castings}", f"hydra.run.dir={folder}"]
    assert train.main(given) == 0
    record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return record


def test_a_run_on_the_device_without_changes_gives_the_same_bits(
    castings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run(castings, tmp_path / "plain", "augment=none", "logger=none")
    assert plain["paths_taken"]["pixels"] == "decoded once, mapped"
    assert plain["paths_taken"]["augmentation"] == "cpu"
    assert plain["paths_taken"]["tf32"] is False
    monkeypatch.setattr(loaders, "fits_device", lambda *_: True)
    there = run(castings, tmp_path / "there", "augment=none", "logger=none")
    assert there["paths_taken"]["pixels"] == "on the device"
    for file in ("predictions.csv", "metrics.json", "history.csv"):
        assert (tmp_path / "there" / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()


def test_a_run_on_the_device_repeats_itself_and_shows_what_it_sees(
    castings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaders, "fits_device", lambda *_: True)
    for name in ("one", "two"):
        record = run(castings, tmp_path / name, "augment=strong")
        assert record["paths_taken"]["augmentation"] == "on the device"
    for file in ("predictions.csv", "history.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_gpu_that_is_not_there_is_one_line(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["augment.device=cuda", f"data.root={castings}", f"hydra.run.dir={tmp_path / 'run'}"]
    assert train.main([*WORDS, *words]) == 2
    said = capsys.readouterr().err.strip()
    assert "augment.device=cuda needs trainer=gpu" in said
    assert "\n" not in said
