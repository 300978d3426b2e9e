"""`doctor`: whether training could start on this machine, and what to do where it could not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from casting_inspect.config import run_command

if TYPE_CHECKING:
    from casting_inspect.checkup import Finding


def job(cfg: DictConfig) -> None:
    """Print the table, write it where asked to, and leave with 1 if training could not start."""
    from casting_inspect.checkup import BAD, findings, refuse_folder
    from casting_inspect.files import replace_json

    out = None if cfg.out is None else Path(cfg.out)
    if out is not None:
        refuse_folder(out)
    cache = None if cfg.cache.dir is None else Path(cfg.cache.dir)
    found = findings(Path(cfg.runs_in), cache)
    _show(found, cfg.cache.max_gb)
    failed = [one for one in found if one.state == BAD]
    if out is not None:
        values = {"can_train": not failed, "cache_max_gb": cfg.cache.max_gb}
        replace_json(out, {**values, "findings": [asdict(one) for one in found]})
        print(f"written: {out}")
    if failed:
        print(f"Training could not start: {', '.join(one.name for one in failed)}.")
        for one in failed:
            print(f"  {one.name}: {one.found}; {one.todo}")
        raise SystemExit(1)
    print("Training can start.")


def _show(found: list[Finding], max_gb: float) -> None:
    """Print a line a finding, packages that are in order in one; paths stay whole to be copied."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    colours = {"ok": "green", "note": "yellow", "fails": "bold red"}
    fine = [one for one in found if one.topic == "versions" and one.state == "ok"]
    versions = ", ".join(f"{one.name} {one.found}" for one in fine)
    lines = [("versions", "ok", versions, "")] if fine else []
    lines += [(one.topic, one.state, f"{one.name}: {one.found}", one.todo)
              for one in found if one not in fine]  # fmt: skip
    topic = ""
    for above, state, words, todo in lines:
        shown = "" if above == topic else above
        topic = above
        console.print(f"{shown:<10}[{colours[state]}]{state:<6}[/]{escape(words)}")
        if todo:
            console.print(f"{'':<16}-> {escape(todo)}")
    console.print(f"features and pixels together are kept below cache.max_gb={max_gb:g} GB")


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("doctor", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
