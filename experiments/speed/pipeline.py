"""How many pictures a second does a core decode, resize and augment?

    python experiments/speed/pipeline.py

The same files, the same changes of picture, no worker process, one thread: ours from the files and
from its cache of decoded pixels, ImageFolder with torchvision's transforms v2, timm's loader.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from castings import PIXELS, folder_of
from peers import light
from record import Goal, Row, rated, write
from settings import DATA, SIDE, pick
from timing import side_by_side
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from casting_inspect.data.manifest import find_manifest, write_manifest

PICTURES = pick(128, 8)
BATCH = pick(32, 4)
JPEG_SIDE = pick(300, 96)
"""Side of the JPEG pictures that are made of synthetic castings, as real ones have it."""
TENSORS, PIL = "ImageFolder, transforms v2 on tensors", "ImageFolder, transforms v2 on PIL"
TIMM = "timm `create_loader`, same transforms"


def as_jpeg(root: Path, side: int) -> None:
    """Turn the PNG files of a data root into JPEG, colour as cameras and vendors store them."""
    frame = find_manifest(root)
    for path in frame["path"]:
        png = root / path
        image = cv2.resize(cv2.imread(str(png)), (side, side), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(png.with_suffix(".jpg")), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
        png.unlink()
    frame["path"] = frame["path"].str.replace(".png", ".jpg", regex=False)
    frame["sha256"] = ""
    write_manifest(frame, root / "manifest.csv")


def our_loader(root: Path, cache: Path | None) -> Callable[[], object]:
    """Return a pass over our loader, with decoded pictures in ``cache`` or from the files."""
    from casting_inspect.data.module import CastingDataModule

    options = {"split": "file", "image_size": SIDE, "batch_size": BATCH, "augment": "light"}
    data = CastingDataModule(root, cache_dir=cache, **options)  # type: ignore[arg-type]
    data.setup()
    rows = np.arange(len(data.frame))
    data.keep_pixels(rows)
    loader = data.loader(rows, augmented=True)

    def run() -> None:
        seen = sum(len(batch["label"]) for batch in loader)
        assert seen == len(data.frame)

    return run


def torchvision_loader(root: Path, *, on_tensors: bool) -> Callable[[], object]:
    """Return a pass over an ImageFolder."""
    pictures = ImageFolder(str(root), light(SIDE, on_tensors=on_tensors))
    loader = DataLoader(pictures, BATCH, shuffle=True)
    return lambda: sum(len(labels) for _, labels in loader)


def timm_loader(root: Path) -> Callable[[], object]:
    """Return a pass over timm's loader, its transforms replaced by the same list."""
    from timm.data import ImageDataset, create_loader

    pictures = ImageDataset(str(root))
    loader = create_loader(
        pictures,
        input_size=(3, SIDE, SIDE),
        batch_size=BATCH,
        is_training=True,
        use_prefetcher=False,
        num_workers=0,
        persistent_workers=False,
        device=torch.device("cpu"),
    )
    pictures.transform = light(SIDE, on_tensors=False)
    return lambda: sum(len(labels) for _, labels in loader)


def decoding(root: Path) -> Callable[[], object]:
    """Return OpenCV's decoding alone, the ceiling of a loader that decodes."""
    files = [(root / path).read_bytes() for path in find_manifest(root)["path"]]
    arrays = [np.frombuffer(data, np.uint8) for data in files]
    return lambda: [cv2.imdecode(array, cv2.IMREAD_COLOR) for array in arrays]


def rows_of(kind: str, root: Path) -> list[Row]:
    """Measure one kind of file."""
    found = side_by_side(
        {
            "files": our_loader(root, None),
            "cached": our_loader(root, root.parent / "decoded"),
            TENSORS: torchvision_loader(root, on_tensors=True),
            PIL: torchvision_loader(root, on_tensors=False),
            TIMM: timm_loader(root),
            "decoding": decoding(root),
        }
    )
    count = len(find_manifest(root))
    share = found["decoding"].median / found["files"].median
    ceiling: dict[str, Any] = {"share": share, "ceiling": "OpenCV's decoding alone"}
    rows = []
    for peer in (TENSORS, PIL, TIMM):
        at = (count, peer, found[peer])
        cached = rated(f"{kind}: from decoded pixels", found["cached"], *at)
        files = rated(f"{kind}: from files", found["files"], *at, **ceiling)
        rows.append((cached, files))
    flat = [row for pair in rows for row in pair]
    return [with_goal(row) for row in flat]


def with_goal(row: Row) -> Row:
    """Return the row with its goal and what it was measured with."""
    bound = 3 if "decoded" in row.what else 1.5
    note = "one thread, no workers; decode, resize, flip, turn, shrink, light, blur, noise"
    return replace(row, goal=Goal("at least", bound), note=note)


def main() -> None:
    """Measure and write results/pipeline.csv."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as name:
        root = folder_of(Path(name) / "pictures", PICTURES)
        if DATA:
            rows = rows_of("given files", root)
        else:
            rows = rows_of(f"PNG, {PIXELS} px", root)
            copied = folder_of(Path(name) / "jpeg", PICTURES)
            as_jpeg(copied, JPEG_SIDE)
            rows += rows_of(f"JPEG, {JPEG_SIDE} px", copied)
    write("pipeline", rows)


if __name__ == "__main__":
    main()
