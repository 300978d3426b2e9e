"""Weights in the loss: equal sums over groups and classes, against plain counting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casting_inspect.data.module import CastingDataModule
from casting_inspect.errors import UserError
from casting_inspect.training.classifier import CastingClassifier
from casting_inspect.training.weighting import group_weights, loss_weights

rows = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1)), min_size=1, max_size=60)


@settings(deadline=None, max_examples=60)
@given(rows, st.booleans())
def test_groups_and_if_asked_for_classes_have_equal_sums(
    pairs: list[tuple[int, int]], balanced: bool
) -> None:
    units, labels = (np.array(column) for column in zip(*pairs, strict=True))
    weights = group_weights(units, labels, balanced=balanced)
    assert weights.mean() == pytest.approx(1)
    sums = pd.Series(weights).groupby([labels, units]).sum()
    for label in set(labels) if balanced else [slice(None)]:
        of_class = sums.loc[label]
        np.testing.assert_allclose(of_class, of_class.iloc[0])
    if balanced and len(set(labels)) == 2:
        assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())


def test_the_loss_over_an_epoch_is_the_mean_over_groups(castings: Path) -> None:
    data = CastingDataModule(castings, image_size=24)
    data.setup()
    train, val = data.rows("train"), data.rows("val")
    weights = loss_weights(data, [train, val], by_group=True, balanced=True)
    assert weights.classes is None
    assert weights.rows is not None
    assert (np.flatnonzero(weights.rows) == np.union1d(train, val)).all()

    module = CastingClassifier(torch.nn.Linear(1, 2), row_weights=weights.rows)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(data.frame), 2, generator=generator)
    labels = torch.from_numpy(data.labels)
    total = torch.zeros(())
    for at in np.array_split(train, 5):
        batch = {"label": labels[at], "index": torch.from_numpy(at)}
        total += module.loss_of(logits[at], batch) * len(at)
    each = torch.nn.functional.cross_entropy(logits, labels, reduction="none").numpy()
    frame = data.frame.assign(loss=each).iloc[train]
    by_group = frame.groupby(["label", "group"])["loss"].mean()
    assert float(total) / len(train) == pytest.approx(by_group.groupby("label").mean().mean())


def test_by_file_there_are_class_weights_or_none(castings: Path) -> None:
    data = CastingDataModule(castings, image_size=24)
    data.setup()
    train = data.rows("train")
    assert loss_weights(data, [train], by_group=False, balanced=False).classes is None
    classes = loss_weights(data, [train], by_group=False, balanced=True).classes
    counts = np.bincount(data.labels[train])
    assert classes is not None
    assert np.array(classes) * counts == pytest.approx([len(train) / 2] * 2)


def test_groups_that_are_not_known_cannot_weigh_the_same(castings: Path, tmp_path: Path) -> None:
    table = pd.read_csv(castings / "manifest.csv", dtype=str).assign(group="")
    table.to_csv(tmp_path / "m.csv", index=False)
    data = CastingDataModule(castings, tmp_path / "m.csv", split="file")
    data.setup()
    with pytest.raises(UserError, match=r"finetune\.sample_weights=group: no picture has a group"):
        loss_weights(data, [data.rows("train")], by_group=True, balanced=False)
