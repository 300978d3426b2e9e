"""Write the column `capture` into an audited manifest of the real set.

    python experiments/by_capture/capture.py MANIFEST OUT

`small`: a photograph with a file of 300 px; `large`: one that exists at 512 px only. A photograph
is a group of `group_wide`, those that a split keeps whole.
"""

from __future__ import annotations

import sys
from pathlib import Path

from casting_inspect.data.manifest import read_manifest, write_manifest


def main() -> None:
    source, out = map(Path, sys.argv[1:3])
    frame = read_manifest(source)
    smallest = frame.groupby("group_wide")["width"].transform("min")
    frame["capture"] = ["small" if width <= 300 else "large" for width in smallest]
    write_manifest(frame, out)
    counts = frame.groupby(["capture", "label"]).agg(
        files=("path", "size"), groups=("group_wide", "nunique")
    )
    print(counts.to_string())


if __name__ == "__main__":
    main()
