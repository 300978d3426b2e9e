"""Run every script of the benchmark, one process at a time, then write the tables.

    python experiments/speed/run.py [NAME ...]

What is measured already with the same code, settings and versions is not measured again
(BENCH_AGAIN=1 does), so an interrupted run goes on where it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from record import digest_of_sources
from settings import AGAIN, HERE, RESULTS, ROOT, SMOKE

SCRIPTS = (
    *("ceilings", "startup", "evaluation", "pipeline", "scratch", "overhead", "extraction"),
    *(
        "deployment",
        "inspection",
        "breakdown",
        "finetune_step",
        "memory",
        "frozen",
        "curves",
        "gpu",
    ),
)
"""The short ones first, so that a mistake shows early."""
DONE = ROOT / "runs" / "bench" / ("smoke.json" if SMOKE else "done.json")


def settings() -> dict[str, str]:
    """Return the environment's settings that decide what is measured."""
    return {key: value for key, value in os.environ.items() if key.startswith("BENCH_")}


def is_done(name: str, key: str, done: dict[str, str]) -> bool:
    """Say whether a script's result is there, from the same code and settings."""
    return done.get(name) == key and (RESULTS / f"{name}.csv").is_file()


def read_done(path: Path) -> dict[str, str]:
    """Return which scripts have been run on which code, or nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(key) for name, key in found.items()}


def main() -> int:
    """Run the scripts that are named, or all, and return how many failed."""
    chosen = sys.argv[1:] or SCRIPTS
    unknown = sorted(set(chosen) - set(SCRIPTS))
    if unknown:
        print(f"no script '{unknown[0]}': there are {', '.join(SCRIPTS)}", file=sys.stderr)
        return 2
    key = digest_of_sources({k: v for k, v in settings().items() if k != "BENCH_AGAIN"})
    done, failed = read_done(DONE), []
    started = time.perf_counter()
    for name in chosen:
        if is_done(name, key, done) and not AGAIN:
            print(f"{name}: measured already", flush=True)
            continue
        print(f"-- {name}", flush=True)
        begun = time.perf_counter()
        if subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=False).returncode:
            failed.append(name)
            continue
        print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
        done[name] = key
        DONE.parent.mkdir(parents=True, exist_ok=True)
        DONE.write_text(json.dumps(done, indent=2), encoding="utf-8")
    subprocess.run([sys.executable, str(HERE / "report.py")], check=True)
    print(f"{(time.perf_counter() - started) / 60:.1f} minutes", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}; again: make bench", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    raise SystemExit(main())
