from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from casting_inspect.data.module import CastingDataModule
from casting_inspect.errors import UserError
from casting_inspect.models.vgg19 import Vgg19
from casting_inspect.training.feature_loader import EpochOrder, FeatureLoader, FeatureRows
from casting_inspect.training.features import CachedFeatures, store_name, view_keys
from casting_inspect.training.precision import (
    autocast,
    cpu_multiplies_bf16,
    device_of,
    resolve_accelerator,
    resolve_precision,
)

SIZE = 64


@pytest.fixture(scope="module")
def network() -> Vgg19:
    torch.manual_seed(0)
    return Vgg19(head="gap", weights="none").eval()


def data_module(root: Path, **options: object) -> CastingDataModule:
    module = CastingDataModule(root, image_size=SIZE, augment="light", **options)  # type: ignore[arg-type]
    module.setup()
    return module


def cached(
    network: Vgg19,
    data: CastingDataModule,
    root: Path,
    *,
    views: int = 0,
    precision: str = "32-true",
) -> CachedFeatures:
    return CachedFeatures(
        network,
        data,
        root=root,
        max_gb=1,
        device=torch.device("cpu"),
        precision=precision,
        views=views,
    )


def rows_of(data: CastingDataModule, *parts: str) -> np.ndarray:
    return np.sort(np.concatenate([data.rows(part) for part in parts]))


def p_normal(logits: torch.Tensor) -> np.ndarray:
    return torch.softmax(logits.double(), dim=1)[:, 1].detach().numpy()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_cached_and_uncached_scores_agree(
    castings: Path, tmp_path: Path, network: Vgg19, precision: str
) -> None:
    data = data_module(castings)
    features = cached(network, data, tmp_path, precision=precision)
    features.compute(data.rows("val"))
    from_cache = [
        network.head_logits(b["features"])
        for b in features.loader(data.rows("val"), 3, shuffle=False, seed=0)
    ]
    rows = data.rows("val")
    images = torch.stack([data.picture(int(row)) for row in rows]).float() / 255
    with torch.no_grad(), autocast(torch.device("cpu"), precision):
        direct = network(images)
    difference = np.abs(p_normal(torch.cat(from_cache)) - p_normal(direct))
    assert difference.max() <= 0.01
    # the head must not be blind to the pictures, or the comparison shows nothing
    assert p_normal(direct).std() > 0


def test_a_picture_is_computed_once(castings: Path, tmp_path: Path, network: Vgg19) -> None:
    data = data_module(castings)
    first = cached(network, data, tmp_path).compute(rows_of(data, "val", "test"))
    assert first.computed == first.rows == len(data.rows("val")) + len(data.rows("test"))
    again = cached(network, data, tmp_path).compute(rows_of(data, "val", "test"))
    assert again.computed == 0
    other_fold = data_module(castings, fold=1)
    more = cached(network, other_fold, tmp_path).compute(
        rows_of(other_fold, "train", "val", "test")
    )
    assert more.computed == more.rows - first.rows


def test_pooled_rows_follow_from_the_grid_without_another_pass(
    castings: Path, tmp_path: Path, network: Vgg19
) -> None:
    data = data_module(castings)
    attention = Vgg19(head="attention", weights="none").eval()
    attention.features.load_state_dict(network.features.state_dict())
    assert cached(attention, data, tmp_path).compute(data.rows("val")).computed == len(
        data.rows("val")
    )
    derived = cached(network, data, tmp_path)
    done = derived.compute(rows_of(data, "val", "test"))
    assert done.derived == len(data.rows("val"))
    assert done.computed == len(data.rows("test"))
    direct = cached(network, data, tmp_path / "other")
    direct.compute(data.rows("val"))
    keys = [key for row in direct.keys(data.rows("val")) for key in row]
    np.testing.assert_array_equal(derived.store.take(keys), direct.store.take(keys))


def test_views_are_augmented_training_pictures_and_the_rest_is_plain(
    castings: Path, tmp_path: Path, network: Vgg19
) -> None:
    data = data_module(castings)
    features = cached(network, data, tmp_path, views=2)
    done = features.compute(data.rows("val"), data.rows("train"))
    assert done.rows == 2 * len(data.rows("train")) + len(data.rows("val"))
    loader = features.loader(data.rows("train"), 100, shuffle=False, seed=0, augmented=True)
    row = int(data.rows("train")[1])
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        batch = next(iter(loader))
        image = data.picture(row, (1 + epoch) % 2)[None].float() / 255
        with torch.no_grad():
            expected = network.backbone_features(image)[0]
        torch.testing.assert_close(batch["features"][1], expected, rtol=2e-3, atol=2e-3)
        assert int(batch["index"][1]) == row
        assert int(batch["label"][1]) == data.labels[row]


def test_large_sets_stay_mapped_and_give_the_same(
    castings: Path, tmp_path: Path, network: Vgg19, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_module(castings)
    features = cached(network, data, tmp_path)
    features.compute(data.rows("val"))
    resident = list(features.loader(data.rows("val"), 3, shuffle=True, seed=5))
    monkeypatch.setattr("casting_inspect.training.feature_loader.RESIDENT_BYTES", 0)
    mapped = list(features.loader(data.rows("val"), 3, shuffle=True, seed=5))
    for a, b in zip(resident, mapped, strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_set_that_does_not_fit_is_refused_before_the_work(
    castings: Path, tmp_path: Path, network: Vgg19
) -> None:
    data = data_module(castings)
    features = cached(network, data, tmp_path)
    features.max_gb = 1e-9
    with pytest.raises(UserError, match=r"cache\.max_gb"):
        features.compute(data.rows("val"))


def test_the_store_depends_on_all_that_changes_a_row(network: Vgg19) -> None:
    base = {"image_size": 64, "fit": "pad", "window": None, "precision": "32-true"}
    names = {store_name(network, **base)}  # type: ignore[arg-type]
    for key, value in {
        "image_size": 96,
        "fit": "stretch",
        "window": (0.0, 4095.0),
        "precision": "bf16-mixed",
    }.items():
        names.add(store_name(network, **{**base, key: value}))  # type: ignore[arg-type]
    other = Vgg19(head="gap", weights="none")  # other random values
    names.add(store_name(other, **base))  # type: ignore[arg-type]
    attention = Vgg19(head="attention", weights="none")
    attention.features.load_state_dict(network.features.state_dict())
    names.add(store_name(attention, **base))  # type: ignore[arg-type]
    assert len(names) == 7
    same = Vgg19(head="gap", weights="none")
    same.features.load_state_dict(network.features.state_dict())
    assert store_name(same, **base) in names  # type: ignore[arg-type]


def test_keys_tell_views_and_augmentations_apart() -> None:
    twins = ["a", "b", "b"]
    assert view_keys(twins, [0, 1, 2], 0, "x") == [["a:plain"], ["b:plain"], ["b:plain"]]
    keys = [key for aug in "xy" for row in view_keys(twins, [0, 1, 2], 2, aug) for key in row]
    assert len(set(keys)) == 12  # twins too are augmented differently


def test_the_order_of_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochOrder(20, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        return sampler.positions().tolist()  # type: ignore[no-any-return]

    assert order(1, 3) == order(1, 3)
    assert sorted(order(1, 3)) == list(range(20))
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_a_loader_gives_every_row_once(castings: Path, tmp_path: Path, network: Vgg19) -> None:
    data = data_module(castings)
    features = cached(network, data, tmp_path)
    features.compute(data.rows("val"))
    loader = features.loader(data.rows("val"), 3, shuffle=True, seed=0)
    assert isinstance(loader, FeatureLoader)
    assert isinstance(loader.rows, FeatureRows)
    batches = list(loader)
    assert len(batches) == len(loader)
    indices = torch.cat([batch["index"] for batch in batches])
    assert sorted(indices.tolist()) == data.rows("val").tolist()


def test_precision_is_chosen_by_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_precision("16-mixed", "cpu") == "16-mixed"
    assert resolve_precision("auto", "cpu") == (
        "bf16-mixed" if cpu_multiplies_bf16() else "32-true"
    )
    for native, expected in ((True, "bf16-mixed"), (False, "16-mixed")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda native=native, **_: native)
        assert resolve_precision("auto", "gpu") == expected
    assert resolve_precision("auto", "mps") == "32-true"


def test_a_device_can_be_named() -> None:
    assert device_of("cpu") == torch.device("cpu")
    assert device_of("gpu") == torch.device("cuda", 0)
    assert device_of("gpu", [3]) == torch.device("cuda", 3)


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_accelerator("auto") == "cpu"
    with pytest.raises(UserError, match="trainer=cpu"):
        resolve_accelerator("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_accelerator("auto") == "gpu"
