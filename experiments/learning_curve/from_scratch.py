"""The curve's network from scratch: as many optimiser steps at every size.

    python experiments/learning_curve/from_scratch.py PICTURES MANIFEST OUT [OVERRIDE ...]

One `casting-inspect train` for each size and fold of partition 0, with the number of epochs that
comes nearest to STEPS steps. Typed again it goes on where it was.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from casting_inspect.data.manifest import read_manifest
from casting_inspect.data.splits import SplitRule, assign

STEPS = 1500  # of 32 pictures
BATCH = 32
SIZES: tuple[int | float, ...] = (4, 0.6, 1.0)


def main() -> int:
    pictures, manifest, out, *more = sys.argv[1:]
    frame = read_manifest(Path(manifest))
    failed = 0
    for fold in range(5):
        for size in SIZES:
            rule = SplitRule("group", fold=fold, inner_folds=1, train_size=size)
            batches = -(-int((assign(frame, rule).part == "train").sum()) // BATCH)
            words = [
                *("model=cnn", "model.image_size=96", "augment=strong", "data.inner_folds=1"),
                *("finetune.class_weights=balanced", "finetune.sample_weights=group"),
                f"trainer.max_epochs={max(1, round(STEPS / batches))}",
                *("callbacks.early_stopping=null", "decide=fixed", "report.heatmaps=none"),
                *(f"data.fold={fold}", f"data.train_size={size}", f"data.root={pictures}"),
                *(f"data.manifest={manifest}", "resume=auto", "logger=none"),
                f"hydra.run.dir={Path(out) / f'size{size}_fold{fold}'}",
                *more,
            ]
            command = [sys.executable, "-m", "casting_inspect.train", *words]
            failed += subprocess.run(command, check=False).returncode != 0
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
