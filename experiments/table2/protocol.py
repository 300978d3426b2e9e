"""Run the paper's protocol: tune each network's learning rate alike, then three seeds of each.

    python experiments/table2/protocol.py PICTURES WEIGHTS OUT

Tuning sees a fifth of the training part and never the test part. Typed again, the command goes on
where it was. Then: python experiments/table2/collect.py OUT
"""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

from collect import finished, last_epoch

RATES = (3e-4, 1e-3, 3e-3)
TRIAL_EPOCHS = 5
SEEDS = (1, 2, 3)
COMMON = ("experiment=paper", "logger=none", "resume=auto", "report.heatmaps=none")
SCRATCH = ("augment=light", "model.image_size=96")
NETWORKS: dict[str, tuple[tuple[str, ...], int]] = {
    # the attention head first: the pooled features of `gap` follow from the grid that it stores
    "vgg19_attention": (("model=vgg19", "model.head=attention"), 100),
    "vgg19_gap": (("model=vgg19", "model.head=gap"), 100),
    "cnn": (("model=cnn", *SCRATCH), 15),
    "lin2018": (("model=lin2018", *SCRATCH), 15),
    "nguyen2021": (("model=nguyen2021", *SCRATCH), 15),
}
FLOORS = ("floor_histogram", "floor_pixels", "floor_background")


def main() -> int:
    pictures, weights, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    failed = 0

    def train(folder: Path, *words: str) -> None:
        nonlocal failed
        command = [sys.executable, "-m", "casting_inspect.train", *COMMON, *words]
        print(folder.relative_to(out), flush=True)
        command += [f"data.root={pictures}", f"hydra.run.dir={folder}"]
        failed += subprocess.run(command, check=False).returncode != 0

    for floor in FLOORS:
        train(out / "test" / floor / "seed1", f"model={floor}", "seed=1")
    for name, (words, epochs) in NETWORKS.items():
        own = [*words, *([f"model.weights={weights}"] if "model=vgg19" in words else [])]
        for rate in RATES:
            train(
                trial(out, name, rate),
                *own,
                *("seed=0", "data.val_fraction=0.2", "trainer.evaluate=validation"),
                *(f"finetune.head_lr={rate:g}", f"trainer.max_epochs={TRIAL_EPOCHS}"),
            )
        losses = {rate: last_loss(trial(out, name, rate)) for rate in RATES}
        chosen = min(losses, key=losses.__getitem__)
        for seed in SEEDS:
            train(
                out / "test" / name / f"seed{seed}",
                *own,
                f"seed={seed}",
                f"finetune.head_lr={chosen:g}",
                f"trainer.max_epochs={epochs}",
            )
    return int(failed > 0)


def trial(out: Path, name: str, rate: float) -> Path:
    return out / "tuning" / name / f"rate{rate:g}"


def last_loss(run: Path) -> float:
    """Return the validation loss after the last epoch, infinite where the run is not finished."""
    return math.inf if finished(run) is None else float(last_epoch(run, "val")["loss"])


if __name__ == "__main__":
    raise SystemExit(main())
