"""`prepare`: check every picture once and write a folder with its manifest."""

from __future__ import annotations

import shlex
from pathlib import Path

from omegaconf import DictConfig

from casting_inspect.config import resolved, run_command


def job(cfg: DictConfig) -> None:
    """Prepare a folder and say what comes next."""
    from casting_inspect.data.intake import prepare

    plain = resolved(cfg)
    window = plain["data"]["window"]
    result = prepare(
        Path(cfg.source) if cfg.source else None,
        Path(cfg.out),
        cfg.recipe,
        on_bad=cfg.on_bad,
        aliases=plain["aliases"],
        window=None if window == "auto" else window,
        synthetic=plain["synthetic"],
    )
    # nothing but synthetic castings comes with groups; those need no word
    split = {"synthetic": "", "vendor": " data.split=vendor"}.get(cfg.recipe, " data.split=file")
    print(f"next: casting-inspect train {shlex.quote(f'data.root={result.out}')}{split}")
    if split:
        print(
            "a column group in manifest.csv (which pictures show one casting) allows the default, "
            "data.split=group, whose figures hold for castings never seen"
        )


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("prepare", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
