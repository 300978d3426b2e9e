"""torch.compile: once for training and once for evaluation, whatever the size of a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from quiet_trainer import quiet_trainer
from torch.utils.data import DataLoader

from casting_inspect.models.cnn import SmallCnn
from casting_inspect.training.classifier import CastingClassifier
from casting_inspect.training.loaders import Choices
from casting_inspect.training.network_fit import scores_of

SIDE = 64


def loader(count: int) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    rows = [{"image": image, "label": k % 2, "index": k} for k, image in enumerate(images)]
    return DataLoader(rows, batch_size=6)  # type: ignore[arg-type]


def classifier() -> CastingClassifier:
    torch.manual_seed(0)
    return CastingClassifier(SmallCnn(width=4, dropout=0.0), evaluated=("val", "test"))


def fit(module: CastingClassifier, folder: Path, epochs: int) -> L.Trainer:
    trainer = quiet_trainer(folder, epochs, enable_checkpointing=False)
    trainer.fit(module, loader(15), [loader(8), loader(10)])
    return trainer


@pytest.mark.filterwarnings("ignore")  # of Lightning and of the compiler, about themselves
def test_nothing_is_compiled_again_after_the_first_epoch(tmp_path: Path) -> None:
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    module, counter = classifier(), CompileCounter()
    module.network.compile(backend=counter)
    fit(module, tmp_path, 1)
    first = counter.frame_count
    assert first > 0
    fit(module, tmp_path, 3)
    assert counter.frame_count == first
    choices = Choices("cpu", torch.device("cpu"), "32-true", "full", False, False)
    assert len(scores_of(module, loader(9), choices)) == 9
    assert counter.frame_count == first
    assert first == 2  # one graph, for training and for evaluation


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_network_gives_the_same_figures(tmp_path: Path) -> None:
    torch._dynamo.reset()
    plain, compiled = classifier(), classifier()
    compiled.network.compile()
    found = [fit(module, tmp_path, 1).callback_metrics for module in (plain, compiled)]
    for key in ("val/loss", "test/loss"):
        assert float(found[1][key]) == pytest.approx(float(found[0][key]), rel=1e-3)
