"""Do features of a frozen VGG-19 come as fast as the processor multiplies?

    python experiments/speed/extraction.py

The same pictures through eager float32, ONNX Runtime, and as `train` runs them; then with decoding
and augmentation from files, into an empty cache.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ours
import torch
from castings import count_of, folder_of
from ceilings import (
    device,
    matrix,
    operations,
    our_precision,
    our_type,
    rate,
    type_name,
)
from peers import onnx_session
from record import Goal, Row, compared, rated, write
from settings import SIDE, WEIGHTS, pick
from timing import Timed, side_by_side

from casting_inspect.models.vgg19 import Vgg19
from casting_inspect.training.precision import autocast

BATCH = pick(32, 4)
FILES = pick(96, 8)
"""Pictures of the run from files: decoding of the first batch cannot hide behind anything."""


def features() -> Vgg19:
    """Return VGG-19 with the default head, in evaluation mode."""
    return Vgg19(head="gap", weights=WEIGHTS).eval().to(device())


def in_memory(folder: Path) -> dict[str, Callable[[], object]]:
    """Return the ways to run the backbone over one batch that lies in memory."""
    import torchvision

    eager = torchvision.models.vgg19(weights=None).features.eval().to(device())
    fast = features().to(memory_format=torch.channels_last)
    images = torch.rand(BATCH, 3, SIDE, SIDE, device=device())
    pixels = (255 * images).byte().to(memory_format=torch.channels_last)
    precision = our_precision()

    def plain() -> None:
        with torch.no_grad():
            eager(images)

    def ours_now() -> None:
        with torch.inference_mode(), autocast(device(), precision):
            fast.backbone_features(pixels.float().div_(255))

    ways: dict[str, Callable[[], object]] = {"eager": plain, "ours": ours_now}
    if device().type == "cpu":
        cpu = torchvision.models.vgg19(weights=None).features
        ways["onnx"] = onnx_session(cpu, images, folder / "features.onnx")
    return ways


def from_files(folder: Path) -> tuple[Callable[[], object], int]:
    """Return the extraction of augmented views into an empty store, and its number of pictures."""
    from casting_inspect.training import assembly
    from casting_inspect.training.features import CachedFeatures

    root = folder_of(folder / "pictures", FILES)
    words = [f"data.root={root}", "experiment=paper", "augment=light", *ours.QUIET]
    data = assembly.build_data(ours.composed([*words, f"model.image_size={SIDE}"]))
    network = features().to(memory_format=torch.channels_last)
    rows = data.predict_dataloader().dataset.rows  # type: ignore[attr-defined]
    fresh = itertools.count()

    def extract() -> None:
        cached = CachedFeatures(
            network,
            data,
            root=folder / f"store{next(fresh)}",
            max_gb=20,
            device=device(),
            precision=our_precision(),
            views=1,
        )
        done = cached.compute(rows[:0], rows)
        assert done.computed == len(rows)

    return extract, count_of(root)


def main() -> None:
    """Measure and write results/extraction.csv."""
    kind = our_type()
    with tempfile.TemporaryDirectory() as name:
        files, count = from_files(Path(name))
        found = side_by_side(
            {"matrix": matrix(kind), **in_memory(Path(name)), "files": files},
        )
    asked = operations(torch.nn.Sequential(features().features), (BATCH, 3, SIDE, SIDE))
    share = asked / found["ours"].median / rate(found["matrix"])
    peers = {"eager": "eager float32", "onnx": "ONNX Runtime, float32"}
    goals = {"eager": Goal("at least", 1.9)}
    ceiling: dict[str, Any] = {"share": share, "ceiling": f"matrix product, {type_name(kind)}"}
    what = f"features of VGG-19, {SIDE} px"
    rows = [
        rated(what, found["ours"], BATCH, peers[key], found[key], goal=goals.get(key), **ceiling)
        for key in peers
        if key in found
    ]
    rows.append(rated(what, found["ours"], BATCH, goal=Goal("at least", 0.9, "share"), **ceiling))
    rows.append(hidden(found["files"].per(count), found["ours"].per(BATCH), count))
    write("extraction", [replace(row, device=device().type) for row in rows])


def hidden(from_files: Timed, alone: Timed, count: int) -> Row:
    """Return what decoding, augmentation and writing add to the network's own time a picture."""
    row = compared("features from files over the network alone", from_files, "", alone)
    return replace(
        row,
        ours=from_files.median / alone.median,
        low=min(from_files.seconds) / alone.median,
        high=max(from_files.seconds) / alone.median,
        theirs=None,
        ratio=None,
        unit="times",
        goal=Goal("at most", 1.05, "ours"),
        pictures=count,
        note="decoding, augmentation and the store's writing included; 1.05 is our reading of "
        "'hidden'",
    )


if __name__ == "__main__":
    main()
