"""How well do maps point at the defects of real castings that their network has not seen?

    python experiments/heatmaps/real.py RUN [NAME=RUN ...]

RUN is the folder of a finished run of `train data.fold=all` (or final) on the real pictures, split
by photograph. real_boxes.csv holds boxes around the small defects of 70 photographs, as fractions
of width and height, drawn by hand before any map of them was looked at: a first set, on which the
default was chosen, and a second, on which it was not. Writes results/real.csv, a row a run, set and
way to make maps.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casting_inspect.evaluation.heat_choice import judged
from casting_inspect.evaluation.intervals import clopper_pearson
from casting_inspect.evaluation.pointing import TOLERANCE, in_original, peak, points_at
from casting_inspect.files import replace_csv
from casting_inspect.training.run_folder import commit_of_package, read_record
from casting_inspect.training.trained_run import MapChoice, TrainedRun

HERE: Final = Path(__file__).parent
PART: Final = 0.42
"""Radius of the part as a share of the picture's side, about the middle."""
CHOICES: Final = {
    "auto": MapChoice(),
    "block 4, mean": MapChoice("features.27:input", "mean"),
    "block 4, picture (Grad-CAM)": MapChoice("features.27:input", "picture"),
    "block 3, excess": MapChoice("features.18:input", "excess"),
    "block 3, mean": MapChoice("features.18:input", "mean"),
    "block 5, picture (Grad-CAM)": MapChoice("features.35", "picture"),
}


def mask_of(boxes: pd.DataFrame, height: int, width: int) -> NDArray[np.bool_]:
    """Return boxes, in fractions of width and height, as a mask."""
    mask = np.zeros((height, width), bool)
    sides = boxes[["left", "right"]].to_numpy() * width
    ends = boxes[["top", "bottom"]].to_numpy() * height
    for (left, right), (top, bottom) in zip(sides.round().astype(int), ends.round().astype(int),
                                            strict=True):  # fmt: skip
        mask[top:bottom, left:right] = True
    return mask


def random_hits(mask: NDArray[np.bool_]) -> float:
    """Return how often a random point on the part would hit."""
    height, width = mask.shape
    reach = round(TOLERANCE * max(height, width))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    close = cv2.dilate(mask.astype(np.uint8), around) > 0
    rows, columns = np.mgrid[:height, :width]
    part = np.hypot(columns / width - 0.5, rows / height - 0.5) <= PART
    return float((close & part).sum() / part.sum())


def measured(run: TrainedRun, boxes: pd.DataFrame, choice: MapChoice) -> dict[str, Any]:
    """Return how often peaks lie on a box, of all castings with boxes and of those rejected."""
    run.choice = choice
    table = run.scored()
    table = table[table["path"].isin(boxes["path"])].reset_index(drop=True)
    rejected = (judged(table)["verdict"] == "defective").to_numpy()
    hits, centre, random = (np.zeros(len(table)) for _ in range(3))
    for rows, inspector in run.inspectors(table):
        paths = table["path"].iloc[rows].tolist()
        pairs = [inspector.square(run.path_of(path)) for path in paths]
        _, heats = inspector.look(np.stack([square for _, square in pairs]))
        for row, path, (picture, _), heat in zip(rows, paths, pairs, heats, strict=True):
            mask = mask_of(boxes[boxes["path"] == path], *picture.shape[:2])
            own = in_original(heat, *picture.shape[:2], inspector.fit)
            hits[row] = points_at(mask, *peak(own))
            centre[row] = points_at(mask, 0.5, 0.5)
            random[row] = random_hits(mask)
    low, high = clopper_pearson(int(hits.sum()), len(hits))
    return {
        "castings": len(table),
        "pointing_game": hits.mean(),
        "low": low,
        "high": high,
        "rejected": int(rejected.sum()),
        "of_rejected": hits[rejected].mean(),
        "centre": centre.mean(),
        "random_on_part": random.mean(),
    }


def rows_of(name: str, run: TrainedRun, boxes: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield a row a way to make maps, with what it came from."""
    digests = read_record(run.folder.record)["digests"]
    commit = commit_of_package()
    facts = {
        "image_size": int(run.config.model.image_size),
        "weights_sha256": digests["weights"],
        "data_digest": digests["data"],
        "seed": int(run.config.seed),
        "commit": f"{commit['id'][:12]}{'+' if commit['modified'] else ''}" if commit else "",
    }
    for way, choice in CHOICES.items():
        for part, some in boxes.groupby("set"):
            yield {"run": name, "map": way, "set": part, **measured(run, some, choice), **facts}


def main() -> int:
    """Measure every run that is named."""
    boxes = pd.read_csv(HERE / "real_boxes.csv")
    rows = []
    for word in sys.argv[1:]:
        name, _, folder = word.rpartition("=")
        run = TrainedRun(Path(folder))
        for row in rows_of(name or Path(folder).name, run, boxes):
            rows.append(row)
            print(*list(row.values())[:10], flush=True)
    replace_csv(HERE / "results" / "real.csv", pd.DataFrame(rows), "%.4f")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
