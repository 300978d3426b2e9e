"""Run folders as `train` leaves them, made in a second: the network is drawn, not trained."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import OmegaConf

from casting_inspect.data.decode import read_rgb, resize_square
from casting_inspect.data.manifest import find_manifest
from casting_inspect.models.build import build_network
from casting_inspect.training.checkpoints import save

CNN = {"_target_": "casting_inspect.models.cnn.SmallCnn", "name": "cnn", "width": 4}
VGG19 = {
    **{"_target_": "casting_inspect.models.vgg19.Vgg19", "name": "vgg19", "weights": "none"},
    **{"head": "gap", "contrast": "none", "batch_norm": False, "dropout": 0.5},
}
CALIBRATION = {
    **{"method": "temperature", "slope": 0.5, "intercept": 0.0, "temperature": 2.0},
    **{"prevalence": 0.001, "prior_shift": 6.906754778648553},
}


def make_run(
    folder: Path,
    castings: Path,
    model: dict[str, Any] = CNN,
    *,
    side: int = 64,
    fold: Any = "final",
    inner: str = "",
    decision: dict[str, Any] | None = None,
    calibration: dict[str, Any] | None = CALIBRATION,
    decide: dict[str, Any] | None = None,
    window: list[float] | None = None,
    fit: str = "pad",
) -> Path:
    """Write a run whose threshold lies in the middle of its network's scores."""
    node = {**model, "image_size": side}
    torch.manual_seed(3)
    network = build_network(node)
    frame = find_manifest(castings)
    squares = [resize_square(read_rgb(castings / path), side, fit) for path in frame["path"]]
    images = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() / 255
    spread_out(network, images)
    with torch.inference_mode():
        logits = network.eval()(images)
    log_odds = (logits[:, 1] - logits[:, 0]).double().numpy()
    middle = np.sort(log_odds)[len(log_odds) // 2 - 1 :][:2].mean()
    threshold = float(1 / (1 + np.exp(-middle)))
    config = {
        "model": node,
        "data": {"root": str(castings), "fit": fit, "fold": fold},
        "trainer": {"precision": "32-true"},
        "decide": {"unit": "file", "aggregate": "any", "calibration": "temperature"}
        | (decide or {}),
        "seed": 0,
    }
    folder.mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(config), folder / "config.yaml")
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    provenance = {"format": 1, "config": config, "window": window}
    save({"state_dict": state, "casting_inspect": provenance}, folder / "checkpoints/best.ckpt")
    frame.assign(split="train").to_csv(folder / "manifest.csv", index=False)
    table = pd.DataFrame(
        {
            **{name: frame[name] for name in ("path", "label", "group")},
            "split": "test" if fold == "final" else "val",
            "inner": inner,
            "logit": log_odds,
            "p_normal": 1 / (1 + np.exp(-log_odds)),
            "threshold": threshold,
            "model": model["name"],
        }
    )
    table.to_csv(folder / "predictions.csv", index=False)
    record = {
        "status": "finished",
        "threshold": threshold,
        "decision": {"rule": "fixed", "threshold": threshold, "threshold_low": None}
        | {"reason": "the middle", "facts": {}}
        | (decision or {}),
        "calibration": calibration,
        "weights": "none",
        "digests": {"data": "d" * 64, "weights": "none"},
        "seeds": {"seed": 0, "partition": 0, "fold": fold},
    }
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def spread_out(network: torch.nn.Module, images: torch.Tensor) -> None:
    """Standardise a network's features and enlarge its last layer: scores of a trained one."""
    network.train()
    for layer in network.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.momentum = None
    with torch.inference_mode():
        for _ in range(2):
            network(images)
    last = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)][-1]
    with torch.inference_mode():
        logits = network.eval()(images)
        last.weight.mul_(4.0 / (logits[:, 1] - logits[:, 0]).std())


def formats() -> list[str]:
    """Return the formats whose packages are installed."""
    known = {"onnx": ("onnxscript", "onnxruntime"), "openvino": ("openvino", "nncf")}
    return [
        name
        for name, packages in known.items()
        if all(importlib.util.find_spec(package) for package in packages)
    ]
