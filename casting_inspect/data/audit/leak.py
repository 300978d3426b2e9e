"""How much of a test part can be known by heart: test files with a copy in training."""

from __future__ import annotations

import numpy as np
import pandas as pd

from casting_inspect.data.folds import units_of


def copies_in_training(frame: pd.DataFrame) -> pd.Series[bool]:
    """Return whether another file of a test file's group is one that the run learns from.

    A possible link (``group_wide``) is enough, and so are equal bytes. Files of the validation
    part count as training: they choose epochs and threshold, and with a split by file they were
    taken from the training part.

    Args:
        frame: A manifest as used: ``split``, and as far as known ``group_wide``, ``group`` and
            ``sha256``, empty where not.

    Returns:
        One truth value for each row of the test part, with the index of ``frame``.
    """
    empty = pd.Series("", index=frame.index, dtype=object)
    columns = ("group", "group_wide", "sha256")
    known = {column: frame.get(column, empty).fillna("").astype(str) for column in columns}
    unit = units_of(pd.DataFrame(known))
    test = (frame["split"] == "test").to_numpy(dtype=bool)
    learnt = frame["split"].isin(["train", "val"]).to_numpy(dtype=bool)
    bytes_learnt = set(known["sha256"][learnt]) - {""}
    found = np.isin(unit, unit[learnt]) | known["sha256"].isin(bytes_learnt).to_numpy(dtype=bool)
    return pd.Series(found[test], index=frame.index[test], name="copy_in_training", dtype=bool)
