"""Weights files: layouts that are accepted, and a line for everything that is wrong with one."""

from __future__ import annotations

import hashlib
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from casting_inspect.errors import UserError
from casting_inspect.models import weights as module
from casting_inspect.models.weights import load_weights

EXPECTED = {
    "features.0.weight": torch.Size((4, 3, 3, 3)),
    "features.0.bias": torch.Size((4,)),
}
WITH_HIDDEN = {**EXPECTED, "classifier.0.weight": torch.Size((5, 4))}


def state(*, prefix: str = "features.", dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        f"{prefix}0.weight": torch.randn(4, 3, 3, 3, generator=generator).to(dtype),
        f"{prefix}0.bias": torch.randn(4, generator=generator).to(dtype),
    }


def saved(content: Any, folder: Path, name: str = "weights.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def error_of(path: Path | str, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        load_weights(str(path), **{"expected": EXPECTED, "batch_norm": False, **options})
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("prefix", ["features.", ""])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_layouts(tmp_path: Path, prefix: str, dtype: torch.dtype) -> None:
    path = saved(state(prefix=prefix, dtype=dtype), tmp_path, "über #1.pth")
    loaded = load_weights(str(path), EXPECTED, batch_norm=False)
    assert loaded.name == "über #1.pth"
    assert loaded.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    for name, value in state(dtype=dtype).items():
        assert loaded.state[name].dtype == torch.float32
        assert torch.equal(loaded.state[name], value.float())


def test_classifier_of_a_whole_network_is_left_out_or_kept(tmp_path: Path) -> None:
    whole = {**state(), "classifier.0.weight": torch.ones(5, 4), "classifier.6.bias": torch.ones(9)}
    path = saved(whole, tmp_path)
    assert set(load_weights(str(path), EXPECTED, batch_norm=False).state) == set(EXPECTED)
    assert set(load_weights(str(path), WITH_HIDDEN, batch_norm=False).state) == set(WITH_HIDDEN)


def test_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(state(), tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert load_weights("~/weights.pth", EXPECTED, batch_norm=False).name == "weights.pth"


def test_missing_file(tmp_path: Path) -> None:
    assert "no such file" in error_of(tmp_path / "a.pth")
    assert "Did you mean model.weights=imagenet?" in error_of("imagnet")


def test_fully_connected_layers_missing(tmp_path: Path) -> None:
    message = error_of(saved(state(), tmp_path), expected=WITH_HIDDEN)
    assert "no fully connected layers" in message
    assert "model.head=gap" in message


def test_missing_unknown_and_misshapen_parts_are_named(tmp_path: Path) -> None:
    wrong = {
        "features.0.weight": torch.ones(4, 3, 5, 5),
        **{f"features.{n}.weight": torch.ones(1) for n in range(2, 7)},
    }
    message = error_of(saved(wrong, tmp_path))
    assert "missing: features.0.bias" in message
    assert "unknown: features.2.weight, features.3.weight, features.4.weight and 2 more" in message
    assert "features.0.weight (4, 3, 5, 5) instead of (4, 3, 3, 3)" in message


def test_numbers_that_are_not_finite(tmp_path: Path) -> None:
    broken = state()
    broken["features.0.bias"][2] = float("nan")
    assert "features.0.bias not finite" in error_of(saved(broken, tmp_path))


@pytest.mark.parametrize(
    "content", [b"", b"not a tensor file\n", b"PK\x03\x04 broken", b"\x80\x02"]
)
def test_not_a_torch_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    assert "not a file of tensors" in error_of(path)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {"a": torch.ones(1)}}, {"epoch": 3}])
def test_not_a_state_dict(tmp_path: Path, content: Any) -> None:
    assert "not a state dict" in error_of(saved(content, tmp_path))


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "exploded",)

    assert "not a file of tensors" in error_of(saved({"a": Bomb()}, tmp_path))
    assert not (tmp_path / "exploded").exists()


def test_batch_normalisation_must_agree(tmp_path: Path) -> None:
    plain = saved(state(), tmp_path, "plain.pth")
    normed = saved({**state(), "features.1.running_mean": torch.ones(4)}, tmp_path, "bn.pth")
    assert "batch_norm=true" in error_of(normed)
    assert "batch_norm=false" in error_of(plain, batch_norm=True)


class TestImagenet:
    @pytest.fixture(autouse=True)
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
        return tmp_path / "hub" / "checkpoints"

    def test_offline_names_the_ways_out_and_asks_once(
        self, hub: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[float] = []

        def no_network(request: Any, timeout: float) -> None:
            asked.append(timeout)
            raise urllib.error.URLError("Name or service not known")

        monkeypatch.setattr(module.urllib.request, "urlopen", no_network)
        message = error_of("imagenet")
        assert str(hub / "vgg19-dcbb9e9d.pth") in message
        assert "model.weights=PATH" in message
        assert "model.weights=none" in message
        assert len(asked) == 1
        assert asked[0] <= 10
        assert "vgg19_bn-c79401a0.pth" in error_of("imagenet", batch_norm=True)

    def test_cached_file_is_taken_without_a_network(
        self, hub: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.mkdir(parents=True)
        path = saved(state(), hub, "vgg19-dcbb9e9d.pth")
        monkeypatch.setattr(module.urllib.request, "urlopen", None)
        loaded = load_weights("imagenet", EXPECTED, batch_norm=False)
        assert loaded.name == "imagenet"
        assert loaded.digest == hashlib.sha256(path.read_bytes()).hexdigest()

    def test_a_server_may_be_asked_without_a_download(
        self, hub: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Answer:
            def close(self) -> None:
                pass

        monkeypatch.setattr(module.urllib.request, "urlopen", lambda *_, **__: Answer())
        monkeypatch.setattr(torch.hub, "download_url_to_file", None)
        path = module.imagenet_file(batch_norm=False, download=False)
        assert path == hub / "vgg19-dcbb9e9d.pth"
        assert not hub.exists()

    def test_download_is_checked_and_cached(
        self, hub: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Answer:
            def close(self) -> None:
                pass

        def download(url: str, target: str, hash_prefix: str) -> None:
            assert url.startswith("https://download.pytorch.org/")
            assert hash_prefix == "dcbb9e9d"
            torch.save(state(), target)

        monkeypatch.setattr(module.urllib.request, "urlopen", lambda *_, **__: Answer())
        monkeypatch.setattr(torch.hub, "download_url_to_file", download)
        assert load_weights("imagenet", EXPECTED, batch_norm=False).name == "imagenet"
        assert (hub / "vgg19-dcbb9e9d.pth").is_file()
