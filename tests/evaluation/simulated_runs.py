"""Run folders as `train` leaves them, with scores that are drawn instead of learnt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from casting_inspect.evaluation.predictions import write_predictions

DIGEST = "d" * 64


def castings(
    normals: int = 9, defectives: int = 14, copies: int = 4, wide: bool = False
) -> pd.DataFrame:
    """Return a table of files: path, label, group and, if asked for, pairs of groups as wide."""
    rows = []
    for label, groups in (("normal", normals), ("defective", defectives)):
        for group in range(groups):
            for copy in range(copies):
                name = f"{label}_{group}"
                joined = f"{label}_{group // 2}_pair" if wide else name
                rows.append((f"{label}/{group}_{copy}.png", label, name, joined))
    return pd.DataFrame(rows, columns=["path", "label", "group", "group_wide"])


def folds(files: pd.DataFrame, partition: int, count: int = 5) -> np.ndarray[Any, Any]:
    """Return each file's fold: wide groups dealt out at random, within a class."""
    rng = np.random.default_rng(partition)
    chosen = pd.Series(0, index=files.index)
    for _, rows in files.groupby("label"):
        groups = rng.permutation(rows["group_wide"].unique())
        at = {group: number % count for number, group in enumerate(groups)}
        chosen[rows.index] = rows["group_wide"].map(at)
    return chosen.to_numpy()


def predictions(
    files: pd.DataFrame,
    model: str,
    *,
    skill: float = 2.0,
    seed: int = 0,
    partition: int = 0,
    count: int = 5,
) -> pd.DataFrame:
    """Return a test table: logits drawn by group (the model's name decides) and by file."""
    truth = np.where(files["label"] == "normal", 1.0, -1.0)
    rng = np.random.default_rng([sum(map(ord, model)), 7])
    by_group = {group: rng.normal() for group in sorted(files["group"].unique())}
    noise = np.random.default_rng([seed, partition, len(model)]).normal(0, 0.7, len(files))
    logit = skill * truth + 1.2 * files["group"].map(by_group).to_numpy() + noise
    return files.assign(
        split="test",
        fold=folds(files, partition, count) if count > 1 else 0,
        seed=seed,
        model=model,
        p_normal=1 / (1 + np.exp(-logit)),
        partition=partition,
        inner="",
        threshold=0.5,
        logit=logit,
    )


def write_run(
    folder: Path,
    table: pd.DataFrame,
    *,
    config: dict[str, Any] | None = None,
    finetune: str | None = "frozen",
    digest: str = DIGEST,
    metrics: dict[str, Any] | None = None,
    **record: Any,
) -> Path:
    """Write a finished run's folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(table, folder / "predictions.csv")
    model, partition = str(table["model"].iloc[0]), int(table["partition"].iloc[0])
    data = {"split": "group", "folds": 5, "partition": partition, "root": None}
    whole = {"data": data, "model": {"name": model}, "seed": int(table["seed"].iloc[0])}
    for key, value in (config or {}).items():
        node: dict[str, Any] = whole
        *above, last = key.split(".")
        for part in above:
            node = node.setdefault(part, {})
        node[last] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    values = {
        "status": "finished",
        "digests": {"data": digest, "weights": "none"},
        "paths_taken": {"finetune": finetune} if finetune else {},
        "durations_s": {"fit": 12.0, "predict": 0.5},
        **record,
    }
    (folder / "run.json").write_text(json.dumps(values), encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps(metrics or {}), encoding="utf-8")
    return folder
