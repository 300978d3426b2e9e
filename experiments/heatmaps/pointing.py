"""How well do maps point at the defects of synthetic castings, by model, layer and weights?

    python experiments/heatmaps/pointing.py WEIGHTS OUT

Trains the models below on synthetic castings in OUT, takes maps of the test castings, and writes
results/pointing.csv, results/baselines.csv and results/sanity.csv. Typed again, finished runs are
not trained again.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

from casting_inspect.data.synthetic import SyntheticConfig
from casting_inspect.data.synthetic.draws import draw_exposure
from casting_inspect.data.synthetic.frame import frame_of
from casting_inspect.data.synthetic.photograph import photographed_mask
from casting_inspect.evaluation.heat_choice import judged
from casting_inspect.evaluation.heatmaps import masks_of, read_mask
from casting_inspect.evaluation.intervals import clopper_pearson
from casting_inspect.evaluation.pointing import (
    TOLERANCE,
    in_original,
    peak,
    points_at,
    share_inside,
)
from casting_inspect.files import replace_csv
from casting_inspect.models.vgg19 import Vgg19
from casting_inspect.training.run_folder import commit_of_package, read_record
from casting_inspect.training.trained_run import Inspector, MapChoice, TrainedRun

CASTINGS = SyntheticConfig(parts=300, photographs=1, size=224)
RESULTS = Path(__file__).parent / "results"
VGG = ("model=vgg19", "model.weights={weights}")
SCRATCH = ("trainer.max_epochs=40", "data.inner_folds=1", "finetune.head_lr=2e-3")
MODELS = {
    "vgg19 gap": (*VGG, "model.head=gap", "finetune=probe"),
    "vgg19 pyramid": (*VGG, "model.head=pyramid", "finetune=probe"),
    "vgg19 attention": (*VGG, "model.head=attention", "trainer.max_epochs=60"),
    "cnn": ("model=cnn", *SCRATCH),
    "lin2018": ("model=lin2018", *SCRATCH),
    "nguyen2021": ("model=nguyen2021", *SCRATCH),
}
BLOCKS = {
    "block 3": "features.18:input",
    "block 4": "features.27:input",
    "block 5": "features.36:input",
    "block 5, pooled": "features.36",
}
STAGES = {"head": (), "block 5": range(28, 37), "blocks 4 and 5": range(19, 37), "all": range(37)}
"""What is drawn anew, from the top down (the last three with the head)."""


def trained(name: str, weights: str, out: Path) -> Path:
    """Train one model on half of the castings, tested on the other half; return its run folder."""
    folder = out / name.replace(" ", "_")
    if read_record(folder / "run.json").get("status") == "finished":
        return folder
    castings = [f"data.synthetic.{key}={value}" for key, value in vars(CASTINGS).items()]
    words = [
        *(word.format(weights=weights) for word in MODELS[name]),
        *("data=synthetic", *castings, "data.folds=2", "data.fold=0", "data.inner_folds=3"),
        *("decide=fixed", "logger=none", "callbacks.progress_bar=false", f"hydra.run.dir={folder}"),
    ]
    if "data.inner_folds=1" in words:
        words.remove("data.inner_folds=3")
    resume = [f"resume={folder}"] if (folder / "config.yaml").exists() else words
    command = [sys.executable, "-m", "casting_inspect.train", *resume]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def choices(name: str) -> Iterator[tuple[str, MapChoice]]:
    """Yield the name of a layer and how a map is made, the default first."""
    yield "auto", MapChoice()
    if not name.startswith("vgg19"):
        for other in ("mean",) if name in ("lin2018", "nguyen2021") else ("mean", "picture"):
            yield "auto", MapChoice(weights=other)
        if name == "cnn":
            yield "last", MapChoice("features", "excess")
            yield "last", MapChoice("features", "mean")
        return
    yield "block 4", MapChoice(BLOCKS["block 4"], "mean")
    yield "block 4", MapChoice(BLOCKS["block 4"], "picture")
    if name == "vgg19 attention":
        yield "own", MapChoice("own")
    # a pyramid takes the mean and maximum of block 5 before its pooling, which it does not run
    yield "block 5", MapChoice("features.35" if "pyramid" in name else BLOCKS["block 5"], "mean")
    if name != "vgg19 gap":
        return
    yield "block 5", MapChoice(BLOCKS["block 5"], "picture")
    yield "block 5, pooled", MapChoice(BLOCKS["block 5, pooled"], "mean")
    yield "block 3", MapChoice(BLOCKS["block 3"], "excess")
    yield "block 3", MapChoice(BLOCKS["block 3"], "mean")
    yield "block 3", MapChoice(BLOCKS["block 3"], "picture")
    yield "auto", MapChoice(smooth=0.0)
    yield "auto", MapChoice(smooth=0.04)
    yield "auto", MapChoice(turns=4)


def rightly_rejected(run: TrainedRun) -> pd.DataFrame:
    """Return the defective test castings that the run rejects."""
    table = run.scored()
    about = judged(table)
    defective = (table["label"] == "defective") & (about["verdict"] == "defective")
    return table[defective].reset_index(drop=True)


def measured(run: TrainedRun, choice: MapChoice) -> dict[str, Any]:
    """Return pointing game and heat inside over the rightly rejected castings of a run."""
    run.choice = choice
    rows = rightly_rejected(run)
    masks = masks_of(run.root, pd.DataFrame())
    inspector = run.inspector(0)
    pairs = [inspector.square(run.path_of(path)) for path in rows["path"]]
    _, heats = inspector.look(np.stack([square for _, square in pairs]))
    hits, inside = [], []
    for path, (picture, _), heat in zip(rows["path"], pairs, heats, strict=True):
        own = in_original(heat, *picture.shape[:2], inspector.fit)
        mask = read_mask(masks[path])
        hits.append(points_at(mask, *peak(own)))
        inside.append(share_inside(own, mask))
    low, high = clopper_pearson(sum(hits), len(hits))
    return {
        "weights": choice.weights,
        "smooth": choice.smooth,
        "turns": choice.turns,
        "n": len(hits),
        "pointing_game": float(np.mean(hits)),
        "low": low,
        "high": high,
        "heat_inside": float(np.mean(inside)),
    }


def baselines(run: TrainedRun) -> list[dict[str, Any]]:
    """Return what the picture's centre, and on average a random point on the part, would hit."""
    rows = rightly_rejected(run)
    masks = masks_of(run.root, pd.DataFrame())
    reach = round(TOLERANCE * CASTINGS.size)
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    centre, random, area = [], [], []
    for path in rows["path"]:
        mask = read_mask(masks[path])
        part = part_of(int(Path(path).stem.split("_")[1]))
        close = cv2.dilate(mask.astype(np.uint8), around) > 0
        centre.append(points_at(mask, 0.5, 0.5))
        random.append((close & part).sum() / part.sum())
        area.append(mask.mean())
    means = {"picture's centre": centre, "random point on the part": random}
    found = [
        {"baseline": name, "n": len(values), "pointing_game": float(np.mean(values))}
        for name, values in means.items()
    ]
    return [{**each, "defect_share": float(np.mean(area))} for each in found]


def part_of(part: int) -> NDArray[np.bool_]:
    """Return where a synthetic part lies in its photograph: its disc in its pose."""
    disc = (frame_of(CASTINGS.size).r <= 1).astype(np.float32)
    return photographed_mask(disc, draw_exposure(CASTINGS, part, 0)) > 0


def sanity(run: TrainedRun) -> Iterator[dict[str, Any]]:
    """Yield how alike maps are to the trained network's while its layers are drawn anew.

    And how often they still point at the defect. Pictures here are square, so a map is the picture.

    Adebayo et al. 2018, "Sanity checks for saliency maps", sec. 3.1: cascading randomisation.
    """
    run.choice = MapChoice()
    masks = masks_of(run.root, pd.DataFrame())
    names = rightly_rejected(run)["path"].tolist()[:40]
    own = run.inspector(0)
    pictures = np.stack([own.square(run.path_of(name))[1] for name in names])
    reference = own.look(pictures)[1]
    shown = run.references(own, run.folder_of(0))
    for stage, layers in STAGES.items():
        torch.manual_seed(0)
        inspector = drawn_anew(run.inspector(0), layers).referred(shown)
        maps = inspector.look(pictures)[1]
        alike = [
            float(spearmanr(mine.ravel(), other.ravel()).statistic)
            for mine, other in zip(reference, maps, strict=True)
        ]
        same = [peak(mine) == peak(other) for mine, other in zip(reference, maps, strict=True)]
        yield {
            "drawn_anew": stage,
            "n": len(alike),
            "rank_correlation": float(np.mean(alike)),
            "largest": float(np.max(alike)),
            "same_peak": float(np.mean(same)),
            "pointing_game": float(
                np.mean(
                    [
                        points_at(read_mask(masks[name]), *peak(other))
                        for name, other in zip(names, maps, strict=True)
                    ]
                )
            ),
        }


def drawn_anew(inspector: Inspector, layers: Any) -> Inspector:
    """Return an inspector whose head, and some layers, have random weights."""
    network = inspector.network
    assert isinstance(network, Vgg19)
    inside = [network.features[at] for at in layers]
    for module in [*network.head.modules(), *inside]:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias) if module.bias is not None else None
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight)
    return inspector


def write(name: str, rows: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """Write one table with what it came from in every row."""
    table = pd.DataFrame(rows).assign(**facts)
    replace_csv(RESULTS / name, table, "%.4f")


def main() -> int:
    weights, out = sys.argv[1], Path(sys.argv[2])
    commit = commit_of_package()
    runs = {name: TrainedRun(trained(name, weights, out)) for name in MODELS}
    facts = {
        "weights_file": Path(weights).name,
        "weights_sha256": read_record(runs["vgg19 gap"].folder.record)["digests"]["weights"],
        "data_digest": read_record(runs["vgg19 gap"].folder.record)["digests"]["data"],
        "seed": CASTINGS.seed,
        "commit": f"{commit['id'][:12]}{'+' if commit['modified'] else ''}" if commit else "",
    }
    rows = []
    for name, run in runs.items():
        for layer, choice in choices(name):
            rows.append({"model": name, "layer": layer, **measured(run, choice)})
            print(*rows[-1].values(), flush=True)
    write("pointing.csv", rows, facts)
    write("baselines.csv", baselines(runs["vgg19 gap"]), facts)
    write("sanity.csv", list(sanity(runs["vgg19 gap"])), facts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
