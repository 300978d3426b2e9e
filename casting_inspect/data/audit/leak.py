"""How much of a test part can be known by heart: test files with a copy in training."""

from __future__ import annotations

import numpy as np
import pandas as pd

LINKS = ("group_wide", "group", "sha256")
"""Columns in which an equal word, not empty, says that two files show the same casting."""


def copies_in_training(frame: pd.DataFrame) -> pd.Series[bool]:
    """Return whether another file of a test file's group is one that the run learns from.

    Files of the validation part count as training: they choose epochs and threshold, and with a
    split by file they were taken from the training part.

    Args:
        frame: A manifest as used: ``split``, and as far as known ``group_wide``, ``group`` and
            ``sha256``. A possible link is enough.

    Returns:
        One truth value for each row of the test part, with the index of ``frame``.
    """
    split = frame["split"]
    test = frame[split == "test"]
    learnt = frame[split.isin(["train", "val"])]
    found = np.zeros(len(test), dtype=bool)
    for column in LINKS:
        if column in frame:
            known = set(learnt[column].dropna().astype(str)) - {""}
            found |= test[column].astype(str).isin(known).to_numpy()
    return pd.Series(found, index=test.index, name="copy_in_training", dtype=bool)
