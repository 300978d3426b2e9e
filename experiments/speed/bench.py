"""Is the backbone near the machine's limit, and what does a cached epoch cost?

    python experiments/speed/bench.py

Measures, side by side in one run: the matrix ceilings in float32 and bfloat16, VGG-19's features
as everybody runs them (eager float32) and as `train` runs them, and one epoch on cached features
against one forward pass over the pictures. Random weights: only time is measured.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import torch
from timing import Timed, matmul_rate, side_by_side

from casting_inspect.files import replace_json, replace_text
from casting_inspect.models.vgg19 import Vgg19
from casting_inspect.training.precision import autocast, resolve_accelerator, resolve_precision
from casting_inspect.training.run_folder import commit_of_package, hardware, versions

RESULTS = Path(__file__).parent / "results"
BATCH = 16
SIZE = 224
# multiplications and additions of VGG-19's convolutions for one picture of 224 x 224 pixels
CONVOLUTION_OPERATIONS = 2 * 19.5e9
PICTURES = 512  # of the cached epoch


def backbone_candidates(device: torch.device) -> dict[str, object]:
    """Return the two ways to run the frozen backbone over one batch."""
    network = Vgg19(head="gap", weights="none").eval().to(device)
    fast = Vgg19(head="gap", weights="none").eval().to(device, memory_format=torch.channels_last)
    images = torch.rand(BATCH, 3, SIZE, SIZE, device=device)
    last = images.to(memory_format=torch.channels_last)
    precision = resolve_precision("auto", "gpu" if device.type == "cuda" else "cpu")

    def plain() -> None:
        with torch.inference_mode():
            network.backbone_features(images)

    def ours() -> None:
        with torch.inference_mode(), autocast(device, precision):
            fast.backbone_features(last)

    return {"eager float32": plain, f"ours ({precision}, channels_last)": ours}


def cached_epoch(device: torch.device) -> object:
    """Return one training epoch of the head on cached features of 512 pictures."""
    network = Vgg19(head="gap", weights="none").to(device)
    features = torch.from_numpy(np.random.default_rng(0).random((PICTURES, 512), np.float32))
    features = features.to(device)
    labels = torch.arange(PICTURES, device=device) % 2
    parameters = [p for module in network.head_modules() for p in module.parameters()]
    optimizer = torch.optim.AdamW(parameters)

    def epoch() -> None:
        for start in range(0, PICTURES, 128):
            logits = network.head_logits(features[start : start + 128])
            loss = torch.nn.functional.cross_entropy(logits, labels[start : start + 128])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def table(timed: dict[str, Timed]) -> list[dict[str, str]]:
    """Return rows with medians, rates, ratios to eager float32 and shares of the ceilings."""
    plain_name, ours_name = (name for name in timed if "eager" in name or "ours" in name)
    side = 2 * 2048**3
    ceilings = {
        plain_name: side / timed["matrix product float32"].median,
        ours_name: side / timed["matrix product bfloat16"].median,
    }
    eager = timed[plain_name].median
    rows = []
    for name, values in timed.items():
        row = {
            "what": name,
            "median_s": f"{values.median:.4f}",
            "repeats": str(len(values.seconds)),
        }
        row["fastest_s"], row["slowest_s"] = (
            f"{min(values.seconds):.4f}",
            f"{max(values.seconds):.4f}",
        )
        if name in ceilings:
            operations = BATCH * CONVOLUTION_OPERATIONS / values.median
            row["images_per_s"] = f"{BATCH / values.median:.1f}"
            row["times_faster_than_eager"] = f"{eager / values.median:.2f}"
            row["share_of_matrix_rate"] = f"{operations / ceilings[name]:.2f}"
        elif name == "cached epoch":
            images = PICTURES / values.median
            row["images_per_s"] = f"{images:.0f}"
            row["times_faster_than_eager"] = f"{images / (BATCH / eager):.0f}"
        rows.append(row)
    return rows


def main() -> None:
    """Measure, and write results/backbone.csv and what it was measured on."""
    accelerator = resolve_accelerator("auto")
    device = torch.device("cuda" if accelerator == "gpu" else "cpu")
    candidates = {
        "matrix product float32": matmul_rate(torch.float32, device),
        "matrix product bfloat16": matmul_rate(torch.bfloat16, device),
        **backbone_candidates(device),
        "cached epoch": cached_epoch(device),
    }
    rows = table(side_by_side(candidates))  # type: ignore[arg-type]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace_text(RESULTS / "backbone.csv", out.getvalue())
    machine = {"commit": commit_of_package(), "versions": versions(), "hardware": hardware()}
    replace_json(RESULTS / "backbone_machine.json", machine)
    print(out.getvalue())


if __name__ == "__main__":
    main()
