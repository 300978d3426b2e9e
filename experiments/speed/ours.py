"""This package as its users call it: a whole `train`, and its training loop with turns taken."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings import WEIGHTS

QUIET = ("callbacks.progress_bar=false",)


@dataclass(frozen=True)
class Ran:
    """A run of `train`.

    Attributes:
        seconds: All of it, Python's start and imports excepted.
        stages: Seconds of its stages, as ``run.json`` has them.
    """

    seconds: float
    stages: Mapping[str, float]


def train(root: Path, run: Path, words: Sequence[str]) -> Ran:
    """Run `casting-inspect train` in this process, its packages loaded, its messages kept back.

    Args:
        root: The data root.
        run: The run folder to make.
        words: Overrides.

    Raises:
        RuntimeError: If it fails, with the end of what it said.
    """
    import casting_inspect.training.experiment  # noqa: F401 (its peers are imported already too)
    from casting_inspect import train as command

    said = io.StringIO()
    started = time.perf_counter()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = command.main([f"data.root={root}", f"hydra.run.dir={run}", *QUIET, *words])
    seconds = time.perf_counter() - started
    if code:
        raise RuntimeError(f"train {' '.join(words)}: {said.getvalue()[-2000:]}")
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return Ran(seconds, record["durations_s"])


def frozen_words(cache: Path, epochs: int) -> list[str]:
    """Return the overrides of the paper's protocol on a frozen VGG-19 with the default head.

    As the bare loops do: every epoch trains on 60 % of the pictures and measures on the others.
    """
    return [
        "experiment=paper",
        "finetune.strategy=frozen",
        f"model.weights={WEIGHTS}",
        f"trainer.max_epochs={epochs}",
        "trainer.evaluate=false",
        "callbacks.watch_test=true",
        f"cache.dir={cache}",
    ]


def composed(words: Sequence[str]) -> Any:
    """Return the configuration of `train` with overrides."""
    import hydra

    from casting_inspect.config import conf_dir
    from casting_inspect.identity import register_resolver
    from casting_inspect.schemas import register

    register()
    register_resolver()
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose("train", list(words))


@dataclass(frozen=True)
class Loop:
    """Our training loop with all that belongs to it, ready to run.

    Attributes:
        classifier: The LightningModule.
        trainer: The configured Trainer.
        loader: Batches of training pictures.
        precision: What it multiplies in.
        device: Where.
    """

    classifier: Any
    trainer: Any
    loader: Any
    precision: str
    device: Any

    def fit(self, wrap: Callable[[Any], Any]) -> None:
        """Train over a wrapped loader."""
        from casting_inspect.training.precision import cheap_device_checks

        self.classifier.train()
        with cheap_device_checks():
            self.trainer.fit(self.classifier, wrap(self.loader))


def loop(root: Path, run: Path, words: Sequence[str]) -> Loop:
    """Return the loop that `train` runs, pictures made ready as there, without its evaluation.

    Args:
        root: The data root.
        run: The run folder, for events and checkpoints.
        words: Overrides.
    """
    from rich.console import Console

    from casting_inspect.training import assembly
    from casting_inspect.training.loaders import Loaders
    from casting_inspect.training.network_fit import set_up
    from casting_inspect.training.run_folder import RunFolder, RunRecord
    from casting_inspect.training.weighting import LossWeights

    kept = f"cache.dir={run.parent / 'cache'}"
    config = composed([f"data.root={root}", "experiment=paper", kept, *QUIET, *words])
    folder = RunFolder(run)
    run.mkdir(parents=True, exist_ok=True)
    data, bench = assembly.build_data(config), set_up(config, trusted=True)
    choices = bench.choices
    classifier = assembly.build_classifier(
        config,
        bench.network,
        strategy=choices.strategy,
        cached=False,
        weights=LossWeights(),
        provenance={},
        evaluated=[],
    )
    trainer = assembly.build_trainer(
        config,
        folder,
        assembly.build_callbacks(config, folder, has_val=False),
        accelerator=choices.accelerator,
        precision=choices.precision,
    )
    loaders = Loaders(config, data, bench, RunRecord(folder, []), Console(quiet=True))
    loader = loaders.train(data.rows("train"))
    return Loop(classifier, trainer, loader, choices.precision, choices.device)
