"""Small data sets with planted faults, and a search for groups that knows the truth."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from planted import StandIn, texture, truth_of, write


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[list[Path]]:
    """Replace the search by one that reads the truth from file names; return its calls."""
    calls: list[list[Path]] = []

    def find_groups(paths: Any, digests: Any, **options: Any) -> StandIn:
        calls.append(list(paths))
        group = pd.factorize(pd.Series([truth_of(path) for path in paths]))[0]
        wide = pd.factorize(pd.Series([truth_of(path).split("~")[0] for path in paths]))[0]
        first = [int(np.flatnonzero(group == each)[0]) for each in group]
        links = pd.DataFrame({"first": first, "second": range(len(paths))})
        links = links[links["first"] != links["second"]].assign(score=1.0, sure=True)
        hashed = np.array([int(digest[:6], 16) for digest in digests])
        embedding = np.stack([np.sin(hashed * (k + 1)) + group for k in range(4)], axis=1)
        return StandIn(group, wide, links, embedding.astype(np.float32), {"threshold": 0.5})

    fake: Any = ModuleType("casting_inspect.data.grouping")
    fake.find_groups, fake.Grouping, fake.VERSION = find_groups, StandIn, 1
    monkeypatch.setitem(sys.modules, "casting_inspect.data.grouping", fake)
    return calls


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Return a data root: 12 photographs of each class, one file each, no split."""
    root = tmp_path / "clean"
    for at in range(24):
        label = ("normal", "defective")[at % 2]
        write(root, f"{label}/p{at:02d}_0.png", texture(at, level=120 + 2 * (at % 5)))
    return root


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """Return a data root with every fault planted; the counts stand in ``test_examine``.

    Ten photographs of each class in train, four of them of each class with a copy in test.
    """
    root = tmp_path / "faulty"
    for at in range(20):
        label, bright = (("normal", 170.0), ("defective", 80.0))[at % 2]
        photograph = texture(at, level=bright)
        write(root, f"train/{label}/p{at:02d}_0.png", photograph)
        if at < 8:
            write(root, f"test/{label}/p{at:02d}_1.png", np.rot90(photograph))
    for at in (30, 31):  # two test photographs of their own
        write(root, f"test/{('normal', 'defective')[at % 2]}/p{at}_0.png", texture(at))
    same = root / "train/normal/p00_0.png"
    (root / "train/normal/p00_2.png").write_bytes(same.read_bytes())
    lossless = cv2.imread(str(root / "train/normal/p02_0.png"), cv2.IMREAD_GRAYSCALE)
    write(root, "train/normal/p02_2.bmp", lossless)
    write(root, "train/defective/p04_2.png", np.flipud(texture(4, level=170.0)))
    (root / "train/normal/broken_0.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (root / "train/normal/empty_0.jpg").write_bytes(b"")
    write(root, "train/normal/p40_0.png", np.dstack([texture(40, 40)] * 3 + [texture(41, 40)]))
    return root
