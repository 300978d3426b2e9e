"""Finding and checking VGG-19 weights: torchvision's ImageNet weights, or a file."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.models import VGG19_BN_Weights, VGG19_Weights

from casting_inspect.errors import UserError, first_line, nearest
from casting_inspect.files import sha256_of_file

KEYWORDS = ("imagenet", "none")
ANSWER_SECONDS = 10.0  # a server that has not answered by then counts as out of reach
NAMED_AT_MOST = 3  # names printed of a longer list, to keep an error on one line


@dataclass(frozen=True)
class Weights:
    """Pretrained values and where they are from.

    Attributes:
        name: ``imagenet`` or the file's name.
        digest: SHA-256 of the file.
        state: float32 tensors with torchvision's names (``features.0.weight``, ...).
    """

    name: str
    digest: str
    state: Mapping[str, Tensor]


def load_weights(weights: str, expected: Mapping[str, torch.Size], *, batch_norm: bool) -> Weights:
    """Read pretrained weights and check that every expected part is there in the right shape.

    Args:
        weights: ``imagenet``, or the path of a state dict: torchvision's whole network, or its
            convolutional layers only, with or without ``features.`` before the names.
        expected: Names and shapes of the parts that are wanted, in torchvision's naming.
        batch_norm: Whether ``vgg19_bn`` is wanted instead of ``vgg19``.

    Returns:
        The expected parts; others in the file (its classification layer) are left out.

    Raises:
        UserError: If the file is missing, unreadable, of another network, or incomplete.
    """
    path = imagenet_file(batch_norm=batch_norm) if weights == "imagenet" else weights_file(weights)
    state = read_state(path)
    check_batch_norm(state, path, batch_norm=batch_norm)
    chosen = check_parts(state, expected, path)
    name = "imagenet" if weights == "imagenet" else path.name
    return Weights(name, sha256_of_file(path), chosen)


def weights_file(weights: str) -> Path:
    """Return the path of a weights file that exists.

    Raises:
        UserError: If there is no such file.
    """
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    meant = nearest(weights, KEYWORDS)
    hint = f"Did you mean model.weights={meant}?" if meant else "Give imagenet, none or a file."
    raise UserError(f"model.weights={weights}: there is no such file. {hint}")


def imagenet_file(*, batch_norm: bool, download: bool = True) -> Path:
    """Return torchvision's cached ImageNet weights, downloading them on the first use.

    Args:
        batch_norm: Whether those of ``vgg19_bn`` are wanted.
        download: False only asks whether they can be had; then the file need not be there.

    Raises:
        UserError: If they are not cached and cannot be had within seconds.
    """
    entry = VGG19_BN_Weights.IMAGENET1K_V1 if batch_norm else VGG19_Weights.IMAGENET1K_V1
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name
    if path.is_file():
        return path
    try:
        # torch.hub waits for ever for a silent server, so the server is asked first
        request = urllib.request.Request(entry.url, method="HEAD")
        urllib.request.urlopen(request, timeout=ANSWER_SECONDS).close()
        if not download:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        digest_start = path.stem.rpartition("-")[2]
        torch.hub.download_url_to_file(entry.url, str(path), hash_prefix=digest_start)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"model.weights=imagenet: not cached and not to be downloaded ({first_line(reason)}): "
            f"put {entry.url} at {path}, or give model.weights=PATH or model.weights=none."
        ) from error
    return path


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a state dict as float32 tensors under torchvision's names.

    Raises:
        UserError: If the file holds no state dict, or numbers that are not finite.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no pickle make the reader fail in any way
        raise UserError(
            f"model.weights={path}: not a file of tensors that torch can read "
            f"({first_line(error)}). Give a state dict saved with torch.save."
        ) from error
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise UserError(
            f"model.weights={path}: not a state dict (names with tensors). "
            "Save network.state_dict() of torchvision's vgg19, or of its features."
        )
    state = {
        name if name.startswith(("features.", "classifier.")) else f"features.{name}": (
            value.float() if value.is_floating_point() else value
        )
        for name, value in content.items()
    }
    broken = [name for name, value in state.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise UserError(
            f"model.weights={path}: {some(broken)} not finite (NaN or infinite). "
            "The file is damaged; get it again."
        )
    return state


def check_batch_norm(state: Mapping[str, Tensor], path: Path, *, batch_norm: bool) -> None:
    """Check that weights and network agree about batch normalisation.

    Raises:
        UserError: If only one of the two has it.
    """
    has = any(name.endswith("running_mean") for name in state)
    if has and not batch_norm:
        raise UserError(
            f"model.weights={path}: weights of VGG-19 with batch normalisation. "
            "Set model.batch_norm=true."
        )
    if batch_norm and not has:
        raise UserError(
            f"model.weights={path}: weights of VGG-19 without batch normalisation. "
            "Set model.batch_norm=false."
        )


def check_parts(
    state: Mapping[str, Tensor], expected: Mapping[str, torch.Size], path: Path
) -> dict[str, Tensor]:
    """Return the expected parts of ``state``.

    Raises:
        UserError: If a part is missing, has another shape, or is unknown among the features.
    """
    missing = [name for name in expected if name not in state]
    if missing and all(name.startswith("classifier.") for name in missing):
        raise UserError(
            f"model.weights={path}: no fully connected layers ({some(missing)} missing), which "
            "model.head=paper keeps. Use model.head=gap or model.head=attention."
        )
    unknown = [
        name
        for name in state
        if name.startswith("features.")
        and not name.endswith("num_batches_tracked")  # a counter that older files lack
        and name not in expected
    ]
    wrong = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(shape)}"
        for name, shape in expected.items()
        if name in state and state[name].shape != shape
    ]
    faults = [("missing", missing), ("unknown", unknown), ("of another shape", wrong)]
    found = "; ".join(f"{word}: {some(names)}" for word, names in faults if names)
    if found:
        raise UserError(
            f"model.weights={path}: not VGG-19's weights ({found}). "
            "Give weights of torchvision's vgg19."
        )
    return {name: state[name] for name in expected}


def some(names: list[str]) -> str:
    """Name the first few of many parts and count the rest."""
    rest = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {rest} more" if rest > 0 else "")
