from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from quiet_trainer import quiet_trainer
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryAUROC, BinaryStatScores

from casting_inspect.errors import UserError
from casting_inspect.evaluation.metrics import split_metrics
from casting_inspect.evaluation.predictions import complete_predictions
from casting_inspect.training.callbacks import History
from casting_inspect.training.checkpoints import AtomicCheckpointIO, RunCheckpoints, load
from casting_inspect.training.classifier import CastingClassifier, EpochMetrics


class Brightness(nn.Module):
    """Logits from the mean grey alone, with dropout, so that a seed matters."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.dropout = nn.Dropout(0.3)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.dropout(images.mean(dim=(2, 3))))


def samples(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        label = index % 2
        image = rng.integers(0, 128, (3, 8, 8)) + 90 * label
        rows.append(
            {"image": torch.tensor(image, dtype=torch.uint8), "label": label, "index": index}
        )
    return rows


def trainer(folder: Path, epochs: int = 2, **options: Any) -> L.Trainer:
    callbacks = [History(folder / "history.csv"), RunCheckpoints(folder, "val/loss")]
    options = {"callbacks": callbacks, "plugins": [AtomicCheckpointIO()], **options}
    return quiet_trainer(folder, epochs, **options)


def loader(rows: list[dict[str, Any]]) -> DataLoader[Any]:
    return DataLoader(rows, batch_size=8)  # type: ignore[arg-type]


def test_what_is_logged_agrees_with_evaluate(tmp_path: Path) -> None:
    module = CastingClassifier(Brightness(), head_lr=0.05)
    rows = samples(40, seed=1)
    run = trainer(tmp_path)
    run.fit(module, loader(samples(32)), [loader(rows)])
    logged = {k: float(v) for k, v in run.callback_metrics.items()}
    module.eval()
    log_odds = torch.cat([module.predict_step(batch, 0)[1] for batch in loader(rows)]).detach()
    table = pd.DataFrame(
        {
            "path": [str(row["index"]) for row in rows],
            "label": ["normal" if row["label"] else "defective" for row in rows],
            "p_normal": torch.sigmoid(log_odds).numpy(),
        }
    )
    reference = split_metrics(complete_predictions(table))
    for key in ("accuracy", "escape_rate", "overkill_rate", "auroc"):
        assert logged[f"val/{key}"] == pytest.approx(reference[key], abs=1e-6), key
    labels = torch.tensor([row["label"] for row in rows])
    signed = torch.where(labels == 1, log_odds, -log_odds)
    assert logged["val/loss"] == pytest.approx(float(torch.log1p(torch.exp(-signed)).mean()), 1e-4)


def test_epoch_metrics_against_sklearn_and_after_reset() -> None:
    metrics = EpochMetrics(with_auroc=True)
    logits = torch.tensor([[0.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    labels = torch.tensor([1, 1, 0, 0, 0])
    for part in (slice(0, 2), slice(2, 5)):
        metrics.update(torch.tensor(1.0), logits[part], labels[part])
    values = {key: float(value) for key, value in metrics.figures().items()}
    # the tie of a normal part counts as rejected
    assert values["overkill_rate"] == 0.5
    assert values["escape_rate"] == pytest.approx(1 / 3)
    assert values["accuracy"] == pytest.approx(3 / 5)
    scores = (logits[:, 1] - logits[:, 0]).numpy()
    assert values["auroc"] == pytest.approx(roc_auc_score(labels.numpy(), scores))
    metrics.update(torch.tensor(2.0), logits[:2], labels[:2])
    again = metrics.figures()
    assert "auroc" not in again  # one class alone has none
    assert float(again["loss"]) == 2.0
    assert float(again["accuracy"]) == 0.5


def test_saturated_logits_keep_their_order_in_auroc() -> None:
    metrics = EpochMetrics(with_auroc=True)
    logits = torch.tensor([[0.0, 20.0], [0.0, 22.0], [0.0, 24.0], [0.0, 26.0]])
    metrics.update(torch.tensor(0.0), logits, torch.tensor([0, 1, 0, 1]))
    assert float(metrics.figures()["auroc"]) == pytest.approx(0.75)


def test_a_loss_that_is_not_finite_stops_with_epoch_and_rate(tmp_path: Path) -> None:
    module = CastingClassifier(Brightness(), head_lr=0.05)
    with torch.no_grad():
        module.network.linear.weight.fill_(float("nan"))
    with pytest.raises(UserError, match=r"epoch 1, step 0 at learning rate 0\.05.*head_lr"):
        trainer(tmp_path).fit(module, loader(samples(8)), [loader(samples(8))])


def test_class_weights_weigh_the_loss() -> None:
    logits_of = Brightness().eval()
    batch = next(iter(loader(samples(8))))
    losses = []
    for weights in (None, [1.0, 1.0], [5.0, 1.0]):
        module = CastingClassifier(logits_of, class_weights=weights)
        losses.append(module.training_step(batch, 0).item())
    assert losses[0] == pytest.approx(losses[1])
    logits = logits_of(batch["image"].float() / 255)
    each = torch.nn.functional.cross_entropy(logits, batch["label"], reduction="none")
    weight = torch.where(batch["label"] == 0, 5.0, 1.0)
    assert losses[2] == pytest.approx(((each * weight).sum() / weight.sum()).item(), rel=1e-5)


def fit_state(folder: Path, epochs: int, resume: Path | None = None) -> dict[str, Tensor]:
    torch.manual_seed(7)
    module = CastingClassifier(
        Brightness(),
        head_lr=0.05,
        seed=3,
        make_schedule=lambda total, _: lambda step: 1 - step / (10 * total),
    )
    run = trainer(folder, epochs)
    path = str(resume) if resume else None
    run.fit(
        module, loader(samples(32)), [loader(samples(16, 1))], ckpt_path=path, weights_only=True
    )
    return {k: v.clone() for k, v in module.state_dict().items()}


def test_a_resumed_fit_ends_at_the_same_bits(tmp_path: Path) -> None:
    whole = fit_state(tmp_path / "whole", 4)
    run = tmp_path / "cut"
    torch.manual_seed(7)
    module = CastingClassifier(
        Brightness(),
        head_lr=0.05,
        seed=3,
        # the same schedule as the whole run's, whose total is 4 epochs of 4 steps
        make_schedule=lambda *_: lambda step: 1 - step / 160,
    )
    trainer(run, 2).fit(module, loader(samples(32)), [loader(samples(16, 1))])
    torch.manual_seed(99)  # the state of the generators must not matter
    resumed = fit_state(run, 4, run / "last.ckpt")
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key
    histories = [pd.read_csv(folder / "history.csv") for folder in (tmp_path / "whole", run)]
    pd.testing.assert_frame_equal(*histories)


def test_history_has_a_row_for_each_epoch_and_split(tmp_path: Path) -> None:
    fit_state(tmp_path, 3)
    history = pd.read_csv(tmp_path / "history.csv")
    assert list(zip(history.epoch, history.split, strict=True)) == [
        (epoch, split) for epoch in (1, 2, 3) for split in ("train", "val")
    ]
    assert history[history.split == "train"].lr.notna().all()
    assert history.loss.notna().all()


def test_best_is_the_epoch_with_the_lowest_loss_and_last_is_the_last(tmp_path: Path) -> None:
    fit_state(tmp_path, 5)
    history = pd.read_csv(tmp_path / "history.csv")
    losses = history[history.split == "val"].loss.to_numpy()
    assert load(tmp_path / "best.ckpt")["epoch"] == int(np.argmin(losses))
    assert load(tmp_path / "last.ckpt")["epoch"] == 4


def test_an_unknown_monitor_says_what_is_logged(tmp_path: Path) -> None:
    run = trainer(tmp_path, callbacks=[RunCheckpoints(tmp_path, "val/los")])
    with pytest.raises(UserError, match=r"val/los is not logged.*val/loss"):
        run.fit(CastingClassifier(Brightness()), loader(samples(8)), [loader(samples(8))])


def test_a_step_draws_what_torch_seeded_with_run_and_step_draws() -> None:
    CastingClassifier(Brightness(), seed=3).on_train_batch_start({}, 0)
    drawn = torch.rand(4)
    torch.manual_seed(int(np.random.SeedSequence([3, 0]).generate_state(1, np.uint64)[0]))
    assert torch.equal(torch.rand(4), drawn)


def test_figures_of_an_epoch_are_those_of_metrics_updated_batch_by_batch() -> None:
    """To the last bit: history.csv and early stopping hang on them."""
    rng = np.random.default_rng(5)
    for with_auroc in (True, False):
        ours = EpochMetrics(with_auroc=with_auroc)
        loss, counts, auroc = MeanMetric(), BinaryStatScores(), BinaryAUROC()
        for size in (32, 32, 32, 32, 5):
            logits = torch.from_numpy(rng.normal(size=(size, 2)).astype(np.float32))
            labels = torch.from_numpy(rng.integers(0, 2, size))
            value = torch.tensor(rng.random() / 3, dtype=torch.float32)
            ours.update(value, logits, labels)
            loss.update(value, weight=size)
            counts.update((logits[:, 1] > logits[:, 0]).long(), labels)
            auroc.update(torch.sigmoid((logits[:, 1] - logits[:, 0]).double()), labels.clone())
            labels.zero_()  # what a worker's memory is used for next
        tp, fp, tn, fn, _ = counts.compute().float()
        found = ours.figures()
        assert found.pop("loss") == loss.compute()
        assert found.pop("accuracy") == (tp + tn) / (tp + fp + tn + fn)
        assert found.pop("escape_rate") == fp / (fp + tn)
        assert found.pop("overkill_rate") == fn / (tp + fn)
        assert found == ({"auroc": auroc.compute().float()} if with_auroc else {})
        ours.update(torch.tensor(2.0), torch.zeros(3, 2), torch.ones(3, dtype=torch.long))
        again = ours.figures()  # of the next epoch alone, and of one class
        assert again["loss"] == 2
        assert again["overkill_rate"] == 1
        assert "auroc" not in again
