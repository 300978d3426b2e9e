"""What a user would take instead, written as such a user would write it.

Float32 and the libraries' own defaults, except that a loop runs where `train` would run, and loads
pictures in as many processes as there are cores.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, random_split
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TRAIN_SHARE = 0.6
WORKERS = os.cpu_count() or 1
TORCHVISION, TIMM = "bare torchvision loop, float32", "timm loop, float32"
LIGHTNING = "plain Lightning, float32"


def to_network(side: int, *, augmented: bool = False) -> v2.Compose:
    """Return the usual transforms: a float picture, resized and normalised."""
    return v2.Compose(
        [
            v2.ToImage(),
            v2.Resize((side, side), antialias=True),
            *([v2.RandomHorizontalFlip(), v2.RandomRotation(180)] if augmented else []),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def light(side: int, *, on_tensors: bool) -> v2.Compose:
    """Return resizing and the changes of our ``augment=light`` in torchvision's words.

    Args:
        side: Pixels a side.
        on_tensors: Pictures become uint8 tensors first; else last but for the noise, as PIL's.
    """
    to_tensor = v2.ToImage()
    return v2.Compose(
        [
            *([to_tensor] if on_tensors else []),
            v2.Resize((side, side), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(180, scale=(0.92, 1.0), interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomApply([v2.ColorJitter(brightness=0.1, contrast=0.15)], p=0.8),
            v2.RandomApply([v2.Lambda(_gamma)], p=0.5),
            v2.RandomApply([v2.GaussianBlur(3, sigma=(0.1, 0.8))], p=0.2),
            *([] if on_tensors else [to_tensor]),
            v2.RandomApply([v2.Lambda(_noise)], p=0.2),
        ]
    )


def _gamma(image: Any) -> Any:
    return v2.functional.adjust_gamma(image, 0.85 + 0.3 * float(torch.rand(())))


def _noise(image: Tensor) -> Tensor:
    noisy = image + torch.randn(image.shape[-2:]) * 255 * 0.015 * torch.rand(())
    return noisy.clamp(0, 255).to(torch.uint8)


def vgg19() -> nn.Module:
    """Return torchvision's VGG-19 with its last layer replaced, random weights."""
    network = torchvision.models.vgg19(weights=None)
    network.classifier[6] = nn.Linear(4096, 2)
    return network


def pooled_vgg19() -> nn.Module:
    """Return VGG-19's convolutions, a global average, dropout and one linear layer."""
    features = torchvision.models.vgg19(weights=None).features
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(512, 2))
    return nn.Sequential(features, head)


def torchvision_epochs(root: Path, side: int, batch: int, epochs: int) -> list[float]:
    """Return the seconds of the epochs of a bare loop on a frozen VGG-19.

    Each epoch trains the last layer on 60 % of the pictures and measures on the others.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pictures = ImageFolder(str(root), to_network(side))
    parts = random_split(pictures, shares(len(pictures)))
    first, second = (
        DataLoader(part, batch, shuffle=shuffle, num_workers=WORKERS)
        for part, shuffle in zip(parts, (True, False), strict=True)
    )
    network = vgg19()
    for layer in (network.features, network.classifier[:6]):
        layer.requires_grad_(False)
    return _epochs(network.to(device), first, second, device, epochs)


def timm_epochs(root: Path, side: int, batch: int, epochs: int) -> list[float]:
    """Return the seconds of the epochs of the same with timm's model and loaders."""
    import timm
    from timm.data import ImageDataset, create_loader

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = timm.create_model("vgg19", pretrained=False, num_classes=2)
    network.requires_grad_(False)
    network.get_classifier().requires_grad_(True)
    pictures = ImageDataset(str(root))
    parts = random_split(pictures, shares(len(pictures)))
    first, second = (
        create_loader(
            WithTransform(part),
            input_size=(3, side, side),
            batch_size=batch,
            is_training=training,
            num_workers=WORKERS,
            device=device,
        )
        for part, training in zip(parts, (True, False), strict=True)
    )
    return _epochs(network.to(device), first, second, device, epochs)


def shares(pictures: int) -> list[int]:
    """Return how many pictures train and how many are measured on."""
    train = round(TRAIN_SHARE * pictures)
    return [train, pictures - train]


class WithTransform(torch.utils.data.Dataset[tuple[Any, int]]):
    """Part of a data set with a transform of its own, which timm's ``create_loader`` sets."""

    transform: Callable[[Any], Any] | None = None

    def __init__(self, part: Any) -> None:
        self.part = part

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        picture, label = self.part[index]
        return (self.transform(picture) if self.transform else picture), label


def _epochs(
    network: nn.Module,
    first: Iterable[Any],
    second: Iterable[Any],
    device: torch.device,
    number: int,
) -> list[float]:
    """Train on one loader and measure on the other, as often as asked; return the seconds."""
    learning = [value for value in network.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=1e-3)
    seconds = []
    for _ in range(number):
        started = time.perf_counter()
        network.train()
        for images, labels in first:
            loss = F.cross_entropy(network(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        right = 0
        with torch.no_grad():
            for images, labels in second:
                right += int((network(images.to(device)).argmax(1) == labels.to(device)).sum())
        seconds.append(time.perf_counter() - started)
    return seconds


class PlainModule(L.LightningModule):
    """The LightningModule of every tutorial."""

    def __init__(self, network: nn.Module, lr: float = 1e-4) -> None:
        super().__init__()
        self.network = network
        self.lr = lr

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        del batch_idx
        images, labels = batch
        loss = F.cross_entropy(self.network(images), labels)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def plain_lightning(
    network: nn.Module, root: Path, side: int, batch: int, epochs: int, wrap: Callable[[Any], Any]
) -> None:
    """Train with Lightning's defaults on an ImageFolder.

    Args:
        network: What is trained.
        root: Folder of class folders.
        side: Pixels a side.
        batch: Pictures a step.
        epochs: How many at most.
        wrap: From the DataLoader to what the Trainer gets.
    """
    pictures = ImageFolder(str(root), to_network(side, augmented=True))
    loader = DataLoader(pictures, batch, shuffle=True, num_workers=WORKERS)
    trainer = L.Trainer(
        max_epochs=epochs,
        default_root_dir=root.parent / "plain",
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(PlainModule(network), wrap(loader))


def onnx_session(network: nn.Module, images: Tensor, file: Path) -> Callable[[], Any]:
    """Return a run of ONNX Runtime with its defaults over a batch of pictures.

    Args:
        network: Exported in evaluation mode.
        images: The batch.
        file: Where the ONNX file goes.
    """
    import onnxruntime

    torch.onnx.export(
        network.eval(), (images,), str(file), input_names=["images"], output_names=["features"]
    )
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    given = {"images": images.numpy()}
    return lambda: session.run(None, given)
