"""The solved head: in a run folder, in the network, and chosen by held-out rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss

from casting_inspect import train
from casting_inspect.data.decode import read_rgb, resize_square
from casting_inspect.models.heads import PooledHead
from casting_inspect.models.probe import Probe, fit_probe
from casting_inspect.training.checkpoints import load_network
from casting_inspect.training.probe_fit import figures_of, install

PROBE = [
    *("model=vgg19", "model.weights=none", "model.image_size=64", "finetune=probe"),
    *("trainer.accelerator=cpu", "trainer.precision=32-true", "data.inner_folds=2"),
    "finetune.l2=[1.0,0.1,0.01]",
]


@pytest.fixture(scope="module")
def run(castings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "probe"
    assert train.main([*PROBE, f"data.root={castings}", f"hydra.run.dir={folder}"]) == 0
    return folder


def test_the_head_gives_the_probes_log_odds():
    generator = np.random.default_rng(0)
    rows = generator.normal(5, 3, (200, 6)).astype(np.float32) * [1, 1, 1, 1, 1, 1e-4]
    rows[:, 4] = 2.0  # constant
    probe = fit_probe(rows, generator.random(200) < 0.5, np.ones(200), 0.01)
    head = PooledHead(6, 0.5)
    install(probe, head)
    with torch.no_grad():
        logits = head.eval()(torch.from_numpy(rows).float())
    found = (logits[:, 1] - logits[:, 0]).numpy()
    np.testing.assert_allclose(found, probe.logits(rows), atol=1e-4)


def test_the_checkpoint_scores_as_the_table_says(run: Path, castings: Path):
    network, _ = load_network(run / "checkpoints" / "best.ckpt")
    table = pd.read_csv(run / "predictions.csv")
    tested = table[table["split"] == "test"]
    pictures = [
        torch.from_numpy(resize_square(read_rgb(castings / path, None), 64, "pad").copy())
        for path in tested["path"]
    ]
    images = torch.stack(pictures).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        logits = network(images)
    found = (logits[:, 1] - logits[:, 0]).numpy()
    np.testing.assert_allclose(found, tested["logit"], atol=2e-3)


def test_held_out_rows_choose_the_penalty(run: Path):
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    best = []
    for number in range(2):
        with (run / "inner" / str(number) / "history.csv").open(encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if row["split"] == "val"]
        assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
        best.append(int(min(rows, key=lambda row: float(row["loss"]))["epoch"]))
    assert metrics["protocol"]["best_epochs"] == best
    assert record["best_epoch"] == int(np.floor(np.median(best) + 0.5))
    assert record["paths_taken"]["finetune"] == "probe"


def test_the_same_again_to_the_last_bit(run: Path, castings: Path, tmp_path: Path):
    again = tmp_path / "again"
    words = [*PROBE, f"data.root={castings}", f"hydra.run.dir={again}"]
    assert train.main(words) == 0
    logits = [pd.read_csv(folder / "predictions.csv")["logit"] for folder in (run, again)]
    pd.testing.assert_series_equal(*logits)


def test_a_head_that_is_not_linear_is_refused(castings: Path, tmp_path: Path, capsys):
    words = [*PROBE, "model.head=attention", f"data.root={castings}", f"hydra.run.dir={tmp_path}/r"]
    assert train.main(words) == 2
    assert "finetune=probe solves a linear head" in capsys.readouterr().err


def test_figures_are_sklearns():
    generator = np.random.default_rng(3)
    log_odds, normal = generator.normal(0, 2, 80), generator.random(80) < 0.4
    weights = generator.random(80) + 0.1
    found = figures_of(log_odds, normal, weights)
    chance = 1 / (1 + np.exp(-log_odds))
    assert found["loss"] == pytest.approx(log_loss(normal, chance, sample_weight=weights))
    assert found["escape_rate"] == pytest.approx(np.mean(log_odds[~normal] > 0))
    assert found["overkill_rate"] == pytest.approx(np.mean(log_odds[normal] <= 0))


def test_probe_is_linear():
    probe = Probe(np.array([1.0, 2.0]), np.array([2.0, 0.5]), np.array([3.0, -1.0]), 0.25)
    assert probe.logits(np.array([[3.0, 2.5]]))[0] == pytest.approx(3.0 - 1.0 + 0.25)
