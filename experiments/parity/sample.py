"""At most eight files of each photograph of a set: small enough to be judged in float32.

    python experiments/parity/sample.py AUDIT/manifest.csv OUT.csv

Files of a photograph are taken evenly over its list, which is in the order of names; paths stay as
they are, relative to the set's folder. How many these are goes to results/sample.csv.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from casting_inspect.data.manifest import dataset_digest, read_manifest
from casting_inspect.files import replace_csv

RESULTS: Final = Path(__file__).parent / "results"
FILES: Final = 8
"""Of a photograph and class, at most."""


def sampled(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a manifest that are taken, in its order."""
    taken: list[int] = []
    for _, rows in manifest.groupby(["group", "label"], sort=False):
        places = np.linspace(0, len(rows) - 1, min(FILES, len(rows))).round().astype(int)
        taken += rows.index[places].tolist()
    return manifest.loc[sorted(taken)]


def main() -> int:
    """Write the sample."""
    manifest, out = map(Path, sys.argv[1:])
    taken = sampled(read_manifest(manifest))
    replace_csv(out, taken)
    of_one_class = taken.groupby("group_wide")["label"].transform("nunique") == 1
    counts = {
        "files": len(taken),
        "groups": taken["group"].nunique(),
        "files_of_one_class": int(of_one_class.sum()),
        "groups_of_one_class": taken.loc[of_one_class, "group"].nunique(),
        "data_digest": dataset_digest(taken),
    }
    replace_csv(RESULTS / "sample.csv", pd.DataFrame([counts]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
