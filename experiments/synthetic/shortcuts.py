"""Measure whether light, background or part identity give the class of synthetic castings away."""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from casting_inspect.data.synthetic import SyntheticConfig, write_castings
from casting_inspect.files import replace_csv

CORNER = 0.12
"""Side of a corner patch as a share of the picture's: no part, flash or shift reaches it."""

Features = NDArray[np.float64]


def features(image: NDArray[np.uint8]) -> dict[str, Features]:
    """Return what each shortcut sees of a picture (size, size)."""
    side = round(CORNER * image.shape[0])
    corners = [
        image[:side, :side],
        image[:side, -side:],
        image[-side:, :side],
        image[-side:, -side:],
    ]
    small = [cv2.resize(corner, (6, 6), interpolation=cv2.INTER_AREA).ravel() for corner in corners]
    return {
        "mean_grey": np.array([image.mean()]),
        "histogram_svm": np.histogram(image, bins=64, range=(0, 256))[0] / image.size,
        "pixel_svm": cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).ravel() / 255.0,
        "background_svm": np.concatenate(small) / 255.0,
    }


def cross_validated(
    table: Features, defective: NDArray[np.bool_], groups: NDArray[np.str_], seed: int
) -> tuple[float, float]:
    """Return AUC by file and AUC over groups of an RBF-SVM, the mean over five folds of groups."""
    by_file, by_group = [], []
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    for train, test in folds.split(table, defective, groups):
        model = make_pipeline(StandardScaler(), SVC(C=1.0, gamma="scale"))
        model.fit(table[train], defective[train])
        score = model.decision_function(table[test])
        by_file.append(roc_auc_score(defective[test], score))
        by_group.append(auc_over_groups(score, defective[test], groups[test]))
    return float(np.mean(by_file)), float(np.mean(by_group))


def auc_over_groups(
    score: Features, defective: NDArray[np.bool_], groups: NDArray[np.str_]
) -> float:
    """Return the AUC of each group's mean score."""
    table = pd.DataFrame({"score": score, "defective": defective, "group": groups})
    mean = table.groupby("group").mean()
    return float(roc_auc_score(mean["defective"] > 0.5, mean["score"]))


def measure(root: Path, partition: int) -> list[tuple[str, float, float]]:
    """Return name, AUC by file and AUC over groups of each shortcut on a set of castings."""
    manifest = pd.read_csv(root / "manifest.csv")
    seen = [
        features(cv2.imread(str(root / path), cv2.IMREAD_GRAYSCALE)) for path in manifest["path"]
    ]
    defective = (manifest["label"] == "defective").to_numpy()
    groups = manifest["group"].to_numpy().astype(str)
    # a defect may darken or brighten: the raw AUC of mean grey, either side of 0.5
    grey = np.array([one["mean_grey"][0] for one in seen])
    rows = [
        (
            "mean_grey",
            float(roc_auc_score(defective, grey)),
            auc_over_groups(grey, defective, groups),
        )
    ]
    for name in ("histogram_svm", "pixel_svm", "background_svm"):
        table = np.stack([one[name] for one in seen])
        rows.append((name, *cross_validated(table, defective, groups, partition)))
    return rows


def main() -> None:
    """Make the castings in a temporary folder, measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=1000)
    parser.add_argument("--photographs", type=int, default=SyntheticConfig.photographs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--partition", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "shortcuts.csv"
    )
    asked = parser.parse_args()
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    config = SyntheticConfig(parts=asked.parts, photographs=asked.photographs, seed=asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = write_castings(config, Path(folder) / "castings", asked.workers)
        rows = measure(root, asked.partition)
    table = pd.DataFrame(rows, columns=["shortcut", "auc_by_file", "auc_over_groups"])
    print(table.to_string(index=False, float_format="%.3f"))
    known = {"seed": asked.seed, "partition": asked.partition, "commit": commit}
    table = table.assign(parts=asked.parts, photographs=asked.photographs, **known)
    replace_csv(asked.out, table, "%.4f")


if __name__ == "__main__":
    main()
