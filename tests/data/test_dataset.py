"""The data set, the order of an epoch, and the cache of decoded pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from casting_inspect.data.augment import Augmenter
from casting_inspect.data.dataset import CastingDataset, EpochSampler, UnreadablePictureError
from casting_inspect.errors import UserError

SIDE = 24


def picture(seed: int, grey: bool = False) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return np.repeat(pixels[..., :1], 3, axis=2) if grey else pixels


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for k in range(6):
        Image.fromarray(picture(k, grey=k % 2 == 0)).save(folder / f"{k}.png")
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:200])
    return folder


@pytest.fixture
def frame() -> pd.DataFrame:
    labels = ["normal", "defective"] * 3
    return pd.DataFrame({"path": [f"{k}.png" for k in range(6)], "label": labels})


def test_a_sample_is_the_pictures_pixels_channels_first(root: Path, frame: pd.DataFrame) -> None:
    dataset = CastingDataset(frame, root, SIDE)
    for index in range(6):
        sample = dataset[index]
        expected = np.asarray(Image.open(root / f"{index}.png")).transpose(2, 0, 1)
        assert np.array_equal(sample["image"].numpy(), expected)
        assert sample["image"].dtype == torch.uint8
        assert sample["image"].is_contiguous()
        assert sample["label"] == (1 if index % 2 == 0 else 0)
        assert sample["index"] == index


def test_pictures_take_the_size_asked_for(root: Path, frame: pd.DataFrame) -> None:
    image = CastingDataset(frame, root, 10, fit="stretch")[0]["image"]
    assert image.shape == (3, 10, 10)


def test_keys_are_places_in_the_whole_manifest(root: Path, frame: pd.DataFrame) -> None:
    part = CastingDataset(frame.iloc[[4, 1]], root, SIDE)
    whole = CastingDataset(frame, root, SIDE)
    assert len(part) == 2
    assert part.rows.tolist() == [4, 1]
    assert [sample["index"] for sample in part] == [4, 1]
    assert torch.equal(part[4]["image"], whole[4]["image"])
    with pytest.raises(IndexError, match="place 0 of the manifest is not among the 2 rows"):
        part[0]


def test_the_key_carries_the_epoch_to_the_augmenter(root: Path, frame: pd.DataFrame) -> None:
    augmenter = Augmenter("light", seed=3)
    dataset = CastingDataset(frame, root, SIDE, augmenter=augmenter)
    for epoch in (0, 5):
        expected = augmenter(picture(1), epoch, 1).transpose(2, 0, 1)
        assert np.array_equal(dataset[epoch, 1]["image"].numpy(), expected)
    assert torch.equal(dataset[1]["image"], dataset[0, 1]["image"])
    assert not torch.equal(dataset[0, 1]["image"], dataset[5, 1]["image"])


def test_a_bad_picture_is_one_line_with_its_name(root: Path) -> None:
    frame = pd.DataFrame({"path": ["cut.png"], "label": ["normal"]})
    with pytest.raises(UserError) as caught:
        CastingDataset(frame, root, SIDE)[0]
    assert str(root / "cut.png") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_picture_is_one_line_from_a_worker_too(root: Path) -> None:
    frame = pd.DataFrame({"path": ["cut.png"], "label": ["normal"]})
    dataset = CastingDataset(frame, root, SIDE)
    with pytest.raises(UnreadablePictureError) as here:
        dataset[0]
    with pytest.raises(UnreadablePictureError) as there:
        next(iter(DataLoader(dataset, num_workers=1)))
    assert str(there.value) == str(here.value)


@settings(deadline=None, max_examples=30)
@given(
    count=st.integers(0, 60),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 10**4),
)
def test_an_epoch_takes_every_index_once_in_its_own_order(
    count: int, seed: int, epoch: int
) -> None:
    indices = [7 * k % 101 for k in range(count)]
    sampler = EpochSampler(indices, shuffle=True, seed=seed)
    list(sampler)
    sampler.set_epoch(epoch)
    order = list(sampler)
    assert sorted(index for _, index in order) == sorted(indices)
    assert {number for number, _ in order} <= {epoch}
    assert len(sampler) == len(indices)
    again = EpochSampler(indices, shuffle=True, seed=seed)
    again.set_epoch(epoch)
    assert list(again) == order
    sampler.shuffle = False
    assert [index for _, index in sampler] == indices


def test_seeds_and_epochs_have_different_orders() -> None:
    orders = set()
    for seed in (0, 1):
        for epoch in (0, 1, 2):
            sampler = EpochSampler(range(50), shuffle=True, seed=seed)
            sampler.set_epoch(epoch)
            orders.add(tuple(index for _, index in sampler))
    assert len(orders) == 6
