"""Write how many files each photograph of an audited set has, and nothing else of it.

python experiments/coverage/sizes.py MANIFEST
"""

from __future__ import annotations

import sys
from pathlib import Path

from casting_inspect.data.manifest import read_manifest
from casting_inspect.files import replace_text


def main() -> None:
    frame = read_manifest(Path(sys.argv[1]))
    pure = frame[frame.groupby("group")["label"].transform("nunique") == 1]
    sizes = pure.groupby(["label", "group"]).size()
    lines = ["label,files"]
    for label in ("normal", "defective"):
        lines += [f"{label},{count}" for count in sorted(sizes[label], reverse=True)]
    replace_text(Path(__file__).parent / "group_sizes.csv", "\n".join(lines) + "\n")
    print(sizes.groupby("label").size().to_string())


if __name__ == "__main__":
    main()
