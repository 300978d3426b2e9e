"""Run a study's candidates, one sweep each; what is finished is not repeated.

    python experiments/sweep.py STUDY out=DIR [only=NAME,...] [partitions=N] OVERRIDE ...

STUDY is a folder beside this file with candidates.yaml. OVERRIDE goes to every run: data.root,
model.weights and the like; model.weights is left out where a model takes none. Each candidate is
`casting-inspect train -m` over its partitions in DIR/NAME, with resume=auto: started again, the
command goes on where it was.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml


def commands(study: Path, out: Path, only: list[str], partitions: int | None, words: list[str]):
    """Yield (name, command) of every candidate of a study, in the order of its file."""
    groups: dict[str, Any] = yaml.safe_load((study / "candidates.yaml").read_text("utf-8"))[
        "groups"
    ]
    for group in groups.values():
        count = min(group["partitions"], partitions or group["partitions"])
        for name, own in group["candidates"].items():
            if only and name not in only:
                continue
            overrides = [*group["common"], *own]
            given = [
                word
                for word in words
                if not word.startswith("model.weights=") or "model=vgg19" in overrides
            ]
            yield (
                name,
                [
                    *(sys.executable, "-m", "casting_inspect.train", "-m", "resume=auto"),
                    f"data.partition={','.join(map(str, range(count)))}",
                    *("data.fold=all", "logger=none", "callbacks.progress_bar=false"),
                    "decide=fixed",  # 0.5, as the studies laid down before their first score
                    "report.heatmaps=none",
                    *merged(overrides),
                    *given,
                    f"hydra.sweep.dir={out / name}",
                ],
            )


def merged(overrides: list[str]) -> list[str]:
    """Return overrides with the last value of each key."""
    return list({word.partition("=")[0]: word for word in overrides}.values())


def main() -> int:
    study, *rest = sys.argv[1:]
    options = dict(
        word.split("=", 1) for word in rest if word.split("=")[0] in ("out", "only", "partitions")
    )
    words = [word for word in rest if word.split("=")[0] not in ("out", "only", "partitions")]
    only = options["only"].split(",") if "only" in options else []
    partitions = int(options["partitions"]) if "partitions" in options else None
    folder = Path(__file__).parent / study
    failed = 0
    for name, command in commands(folder, Path(options["out"]), only, partitions, words):
        print(f"{name}: {' '.join(command[1:])}", flush=True)
        failed += subprocess.run(command, check=False).returncode != 0
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
