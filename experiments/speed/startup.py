"""How long does a user wait for help, for a complaint, and for the first batch?

    python experiments/speed/startup.py

Commands in processes of their own, in turn. The peer is a script that imports what training needs
before it lets Hydra look at the command line, as lightning-hydra-template's does.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from castings import count_of, folder_of
from record import Goal, Row, compared, write
from settings import HERE, SIDE, WEIGHTS, pick
from timing import side_by_side

PICTURES = pick(1_000, 24)
TRAIN = ("-m", "casting_inspect.train")
OURS = {
    "--help": ((*TRAIN, "--help"), 0),
    "--cfg job": ((*TRAIN, "--cfg", "job"), 0),
    "a wrong override": ((*TRAIN, "trainer.max_epoch=3"), 2),
}
TEMPLATE = "heavy imports first"
IMPORTS = (
    "import lightning, torch, torchvision, torchmetrics, hydra; "
    "from lightning.pytorch.loggers import TensorBoardLogger; "
    "import torch.utils.tensorboard; "
)
HEAVY_FIRST = (
    f"{IMPORTS}import sys; sys.argv = ['train', '--help']; "
    "from casting_inspect.train import main; main()"
)


def command(words: tuple[str, ...], code: int = 0) -> Callable[[], object]:
    """Return a call of Python that must end with an exit code; {} in a word counts the calls."""
    number = itertools.count()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path[1:]])}

    def run() -> None:
        call = str(next(number))
        given = [word.replace("{}", call) for word in words]
        done = subprocess.run(
            [sys.executable, *given], capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode != code:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr[-2000:]}")

    return run


def first_batch(root: Path, runs: Path) -> tuple[str, ...]:
    """Return the words of a run of `train` that ends when its first batch is there."""
    words = [
        *("model._target_=first_batch.FirstBatch", f"+model.weights={WEIGHTS}"),
        *("allow_targets=[first_batch.FirstBatch]", f"model.image_size={SIDE}"),
        *("finetune=full", "data.inner_folds=1", f"data.root={root}"),
        *("callbacks.progress_bar=false", f"hydra.run.dir={runs}/run{{}}"),
    ]
    return (*TRAIN, *words)


def main() -> None:
    """Measure and write results/startup.csv."""
    with tempfile.TemporaryDirectory() as name:
        root = folder_of(Path(name) / "pictures", PICTURES)
        count = count_of(root)
        found = side_by_side(
            {
                **{key: command(*given) for key, given in OURS.items()},
                TEMPLATE: command(("-c", HEAVY_FIRST)),
                "import torch": command(("-c", "import torch")),
                "first batch": command(first_batch(root, Path(name))),
            }
        )
    rows = [
        compared(f"`{key}`", found[key], TEMPLATE, found[TEMPLATE], goal=Goal("at most", 1, "ours"))
        for key in OURS
    ]
    batch, torch_alone = found["first batch"].median, found["import torch"].median
    rows.append(
        Row(
            "`train` to its first batch, beyond importing torch",
            ours=batch - torch_alone,
            goal=Goal("at most", 12, "ours"),
            repeats=len(found["first batch"].seconds),
            pictures=count,
            note=f"{batch:.1f} s, of which `import torch` {torch_alone:.1f} s; {count:,} pictures",
        )
    )
    write("startup", rows)


if __name__ == "__main__":
    main()
