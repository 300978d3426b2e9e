"""The panel of the same few pictures, and the projector's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from quiet_trainer import quiet_trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from casting_inspect import train
from casting_inspect.labels import DEFECTIVE, NORMAL
from casting_inspect.models.cnn import SmallCnn
from casting_inspect.training.callbacks import History
from casting_inspect.training.classifier import CastingClassifier
from casting_inspect.training.loaders import Choices
from casting_inspect.training.panel import SIDE, Panel, looked_at, panel_picture
from casting_inspect.training.projector import WIDTH, narrowed
from casting_inspect.training.tensorboard import LAYOUT, EventLogger

SIZE = 64
CHOICES = Choices("cpu", torch.device("cpu"), "32-true", "full", False, False)


def pictures(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    return images, torch.arange(count) % 2


def loader(count: int) -> DataLoader[Any]:
    rows = [
        {"image": image, "label": int(label), "index": at}
        for at, (image, label) in enumerate(zip(*pictures(count), strict=True))
    ]
    return DataLoader(rows, batch_size=4)  # type: ignore[arg-type]


def fitted(folder: Path, epochs: int, *, panel: bool, sparse: bool = False) -> CastingClassifier:
    torch.manual_seed(0)
    module = CastingClassifier(SmallCnn(width=4, dropout=0.2), evaluated=("val",))
    callbacks: list[Any] = [History(folder / "history.csv")]
    if panel:
        callbacks.append(Panel(module.network, *pictures(4), "validation", CHOICES, sparse=sparse))
    trainer = quiet_trainer(folder, epochs, callbacks=callbacks, enable_checkpointing=False)
    trainer.loggers = [EventLogger(folder)]
    torch.manual_seed(1)
    trainer.fit(module, loader(8), [loader(6)])
    trainer.loggers[0].finalize("success")
    return module


@pytest.mark.parametrize(
    ("epochs", "sparse", "drawn"),
    [(1, False, [1]), (6, False, [1, 2, 4, 6]), (4, False, [1, 2, 4]), (5, True, [1, 5])],
)
@pytest.mark.filterwarnings("ignore")  # of Lightning, about small loaders
def test_a_panel_is_drawn_after_some_epochs(
    tmp_path: Path, epochs: int, sparse: bool, drawn: list[int]
) -> None:
    fitted(tmp_path, epochs, panel=True, sparse=sparse)
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0})
    events.Reload()
    (tag,) = [tag for tag in events.Tags()["images"] if tag.startswith("panel/validation")]
    assert [image.step for image in events.Images(tag)] == drawn
    assert [value.step for value in events.Scalars("panel/wrong")] == drawn
    wrong = [value.value for value in events.Scalars("panel/wrong")]
    assert all(0 <= value <= 4 for value in wrong)
    rates = [value.value for value in events.Scalars("speed/training_images_per_second")]
    assert len(rates) == epochs
    assert min(rates) > 0


@pytest.mark.filterwarnings("ignore")
def test_a_panel_changes_nothing_of_the_fit(tmp_path: Path) -> None:
    with_panel = fitted(tmp_path / "a", 3, panel=True).state_dict()
    without = fitted(tmp_path / "b", 3, panel=False).state_dict()
    assert all(torch.equal(with_panel[key], without[key]) for key in without)


def test_looking_leaves_every_module_in_its_mode() -> None:
    network = SmallCnn(width=4, dropout=0.2).train()
    next(network.children()).eval()
    before = [module.training for module in network.modules()]
    p_normal, heats = looked_at(network, pictures(3)[0], CHOICES)
    assert [module.training for module in network.modules()] == before
    assert heats is not None
    assert heats.shape == (3, SIZE, SIZE)
    with torch.no_grad():
        logits = network.eval()(pictures(3)[0].float() / 255)
    np.testing.assert_allclose(p_normal, logits.softmax(1)[:, NORMAL].numpy(), atol=1e-6)


def test_a_network_without_places_is_shown_without_maps() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIZE * SIZE, 2))
    images, labels = pictures(3)
    p_normal, heats = looked_at(network, images, CHOICES)
    assert heats is None
    assert p_normal.shape == (3,)
    assert panel_picture(images, labels, p_normal, heats).dtype == torch.uint8


def test_what_is_wrong_is_written_in_another_colour() -> None:
    images, labels = torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8), torch.tensor([1, 1])
    assert (NORMAL, DEFECTIVE) == (1, 0)
    right, wrong = (
        panel_picture(images, labels, np.array([p, p]), None).numpy() for p in (0.9, 0.1)
    )
    assert right.shape == wrong.shape
    assert right.shape[2] > 4 * SIDE
    captions = [picture[:, SIDE:-8, 12:SIDE].reshape(3, -1) for picture in (right, wrong)]
    coloured = [int((each[0].astype(int) - each[2] > 60).sum()) for each in captions]
    assert coloured[0] < coloured[1]


def test_wide_vectors_are_narrowed_to_principal_components() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 300)).astype(np.float32)
    vectors[:, 7] = 3.0
    found = narrowed(vectors)
    assert found.shape == (200, WIDTH)
    spread = found.var(axis=0)
    assert (np.diff(spread) < 1e-3).all()  # the widest first
    small = narrowed(vectors[:, :5])
    np.testing.assert_allclose(small.mean(axis=0), 0, atol=1e-4)
    assert small.shape == (200, 5)


def images_of(folder: Path) -> list[str]:
    """Return the names of the pictures among a folder's events, those below it left out."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return list(events.Tags()["images"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("inner_folds", [1, 2])
def test_a_run_leaves_dashboards_and_a_projector(
    castings: Path, tmp_path: Path, inner_folds: int
) -> None:
    words = ["model=cnn", "model.image_size=64", "trainer.max_epochs=2"]
    words += [f"data.inner_folds={inner_folds}", "data.folds=2"]
    run = tmp_path / "run"
    assert (
        train.main(
            [*words, f"data.root={castings}", "trainer.accelerator=cpu", f"hydra.run.dir={run}"]
        )
        == 0
    )
    events = EventAccumulator(str(run), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    assert "custom_scalars__config__" in tags["tensors"]
    known = {tag.split("/")[0] for tag in tags["scalars"]}
    charts = [tags for group in LAYOUT.values() for _, tags in group.values()]
    elsewhere = {"test"} if inner_folds == 1 else {"test", "val", "panel"}  # those in inner/
    assert {tag.split("/")[0] for chart in charts for tag in chart} - elsewhere <= known
    shown = {tag.split("/")[0] for tag in tags["images"]}
    assert {"report", "heatmaps"} <= shown
    with_panel = {
        events.parent.relative_to(run).as_posix()
        for events in run.rglob("events.out.tfevents*")
        if any(tag.startswith("panel/validation") for tag in images_of(events.parent))
    }
    assert with_panel == {"." if inner_folds == 1 else "inner/0"}
    about = pd.read_csv(run / "00000" / "test_pictures" / "metadata.tsv", sep="\t")
    vectors = pd.read_csv(run / "00000" / "test_pictures" / "tensors.tsv", sep="\t", header=None)
    table = pd.read_csv(run / "predictions.csv")
    tested = table[table["split"] == "test"]
    assert sorted(about["path"]) == sorted(tested["path"])
    assert len(vectors) == len(about)
    sprite = cv2.imread(str(run / "00000" / "test_pictures" / "sprite.png"))
    assert sprite.shape[0] == 48 * int(np.ceil(np.sqrt(len(about))))
    assert (run / "heatmaps.csv").exists()
    assert "data:image/jpeg" in (run / "report.html").read_text(encoding="utf-8")
