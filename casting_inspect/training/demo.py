"""The demonstration: one command from nothing to a trained inspector and its evidence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

from casting_inspect.errors import UserError
from casting_inspect.models.weights import imagenet_file, weights_file
from casting_inspect.shell import typed

NO_WEIGHTS = (
    "NO PRETRAINED VGG-19 WEIGHTS: {reason} "
    "THE VERDICT BELOW COMES FROM THE SMALL CNN; VGG-19 RUNS A FEW STEPS FROM RANDOM VALUES, ONLY "
    "TO SHOW THE WAY, AND ITS ACCURACY IS NEITHER MEASURED NOR PROMISED. WITH A WEIGHTS FILE: "
    "make demo WEIGHTS=PATH, OR casting-inspect demo weights=PATH"
)
EVEN: Final = "decide=youden"
"""What is shown is balanced accuracy; the default rule would give it away for fewer escapes."""


def run_demo(out: Path, weights: str) -> Path:
    """Make synthetic castings, train, evaluate, and say where everything is.

    Each step is a command that is printed and can be repeated alone.

    Args:
        out: The folder of the demonstration's runs; runs in it from an earlier one are kept.
        weights: ``imagenet`` or a file with VGG-19's weights.

    Returns:
        The run folder of the verdict.

    Raises:
        UserError: If ``weights`` names a file that does not exist, or a step fails.
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    reason = why_no_weights(weights)
    if reason is None:
        run = fresh(out / "vgg19")
        # small defects are lost in an average over the picture; attention finds them
        words = ("model=vgg19", "model.head=attention", f"model.weights={weights}")
        train(console, run, *words, EVEN, "trainer.max_epochs=100")
    else:
        console.print(NO_WEIGHTS.format(reason=reason), style="bold")
        run = fresh(out / "cnn")
        # one validation part: inner folds would train it five times more
        words = ("model=cnn", "finetune.head_lr=2e-3", "data.inner_folds=1")
        train(console, run, *words, EVEN, "trainer.max_epochs=25")
        few_steps = ("model.weights=none", "trainer=smoke", "trainer.evaluate=false")
        # no validation and no bar: nothing that could pass for an accuracy of VGG-19
        quiet = ("data.val_fraction=0", "callbacks.progress_bar=false")
        train(console, fresh(out / "vgg19_few_steps"), "model=vgg19", *few_steps, *quiet)
    conclude(console, run)
    return run


def why_no_weights(weights: str, *, download: bool = True) -> str | None:
    """Return why VGG-19 cannot start from pretrained weights here, or None when it can.

    Args:
        weights: ``imagenet``, ``none`` or a file.
        download: False only asks whether those of ImageNet can be had.

    Raises:
        UserError: If a file was named and is not there: then a fallback is not what was meant.
    """
    if weights == "none":
        return "no weights were asked for."
    if weights != "imagenet":
        weights_file(weights)
        return None
    try:
        imagenet_file(batch_norm=False, download=download)
    except UserError as error:
        return str(error)
    return None


def fresh(folder: Path) -> Path:
    """Return ``folder``, or with a number behind it where a run is already."""
    candidate, number = folder, 1
    while (candidate / "run.json").exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}_{number}")
    return candidate


def train(console: Console, run: Path, *overrides: str) -> None:
    """Run one training command in a process of its own, as a user would.

    Raises:
        UserError: If it fails; it has said why.
    """
    words = ["train", *overrides, f"hydra.run.dir={run}"]
    console.print(f"\n$ casting-inspect {typed(words)}", style="bold")
    done = subprocess.run([sys.executable, "-m", "casting_inspect", *words], check=False)
    if done.returncode == 1:
        raise SystemExit(1)  # an error of ours, which has printed its traceback
    if done.returncode:
        raise UserError(f"this step of the demonstration failed; {run}/train.log tells more")


def conclude(console: Console, run: Path) -> None:
    """Print what the figure means, then the run folder and how to open TensorBoard."""
    test = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["test"]
    balanced = test["balanced_accuracy_by_group"]
    console.print(
        f"\nOn {test['n_groups']} castings that it has never seen: balanced accuracy "
        f"{balanced['value']:.3f} by casting (95 % interval {balanced['low']:.3f} to "
        f"{balanced['high']:.3f}). These castings are drawn by a program; on yours it can be "
        "better or worse: casting-inspect train data.root=YOUR_FOLDER"
    )
    look = typed([sys.executable, "-m", "tensorboard.main", "--logdir", str(run)])
    console.print(f"Run folder: {run}   TensorBoard: {look}")
