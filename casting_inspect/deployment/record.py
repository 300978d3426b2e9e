"""What `bundle.json` says of a bundle besides its files: where from, how good, for what."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, Final

from casting_inspect.deployment.decided import Decided
from casting_inspect.deployment.gate import Sight
from casting_inspect.deployment.graph import OUTPUTS
from casting_inspect.deployment.runtimes import PIXELS
from casting_inspect.evaluation.tables import reported_split
from casting_inspect.evaluation.terms import Terms
from casting_inspect.files import sha256_of_file
from casting_inspect.labels import CLASS_NAMES
from casting_inspect.training.run_folder import (
    RunFolder,
    commit_of_package,
    hardware,
    read_record,
    versions,
)

FIGURES: Final = (
    *("n", "n_groups", "n_groups_normal", "n_groups_defective", "escape_rate", "overkill_rate"),
    *("escape_rate_by_group", "overkill_rate_by_group", "balanced_accuracy_by_group"),
    *("auroc_by_group", "headline"),
)
"""What is taken of a run's metrics: the rates of either error and their summary, with limits."""
PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime", "openvino", "nncf")
LICENCES: Final = {
    "none": "none: nothing was taken over from another training",
    "imagenet": "torchvision's VGG-19 (BSD-3-Clause), trained on ImageNet, whose terms of access "
    "are for non-commercial research and education",
}


def record_of(
    folder: RunFolder,
    decided: Decided,
    terms: Terms,
    sight: Sight,
    *,
    heatmap: bool,
    models: Sequence[Mapping[str, Any]],
    command: Sequence[str],
    weights_licence: str | None,
) -> dict[str, Any]:
    """Return what `bundle.json` holds, apart from what `bundle.seal` adds.

    Args:
        folder: The run's.
        decided: Its decision.
        terms: What is passed or rejected.
        sight: How pictures come to the network.
        heatmap: Whether the models give one.
        models: What is known of each rendition, the one to take first before the others.
        command: The command that made the bundle.
        weights_licence: What a user says of the licence of the pretrained weights.
    """
    run = read_record(folder.record)
    weights = run.get("weights") or "none"
    unknown = f"not known here: ask where {weights} comes from (weights_licence=TEXT records it)"
    digests = run.get("digests", {})
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": list(command),
        "classes": list(CLASS_NAMES),
        "limits": {
            "high": decided.limits.high,
            "low": decided.limits.low,
            "high_log_odds": decided.limits_log_odds.high,
            "low_log_odds": decided.limits_log_odds.low,
            "network_high": decided.raw.high,
            "network_low": decided.raw.low,
            "rule": "normal above high, defective at low or below, else review",
        },
        "decision": {
            **decided.decision,
            "unit": terms.unit,
            "aggregate": terms.aggregate,
            "verdicts_are_on": "pictures",
        },
        "calibration": None if decided.frozen is None else dict(decided.frozen),
        "input": {
            "name": PIXELS,
            "type": "uint8",
            "shape": ["pictures", sight.side, sight.side, 3],
            "channels": "RGB, 0 to 255; a grey picture's value three times",
            "side": sight.side,
            "fit": sight.fit,
            "window": None if sight.window is None else list(sight.window),
            "resizing": "casting_inspect.data.decode.resize_square",
        },
        "outputs": {
            OUTPUTS[0]: "probability of normal, calibrated, at the line's share of defective parts",
            OUTPUTS[1]: "its log-odds, which limits are compared with",
            **({OUTPUTS[2]: "evidence of a defect by place, 0 to 1"} if heatmap else {}),
        },
        "heatmap": heatmap,
        "models": list(models),
        "digests": {
            "checkpoint": sha256_of_file(folder.checkpoints / "best.ckpt"),
            "data": digests.get("data"),
            "weights": digests.get("weights"),
        },
        "weights": {
            "name": weights,
            "licence": weights_licence or LICENCES.get(weights, unknown),
        },
        "metrics": metrics_of(folder),
        "run": {
            key: run.get(key) for key in ("identity", "command", "commit", "versions", "seeds")
        },
        "commit": commit_of_package(),
        "versions": versions()
        | {name: version for name in PACKAGES if (version := _version(name))},
        "hardware": hardware(),
    }


def metrics_of(folder: RunFolder) -> dict[str, Any] | None:
    """Return a run's figures with their limits, and what they are of; None without any."""
    if not folder.metrics.is_file():
        return None
    metrics = json.loads(folder.metrics.read_text(encoding="utf-8"))
    split = reported_split(metrics)
    figures = metrics[split]
    wide = figures.get("by_group_wide", {})
    return {
        "split": split,
        "evidence": metrics.get("protocol", {}).get("evidence", ""),
        **{key: figures[key] for key in FIGURES if key in figures},
        "by_group_wide": {key: wide[key] for key in FIGURES if key in wide},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
