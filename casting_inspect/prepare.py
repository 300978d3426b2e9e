"""`prepare`: check every picture once and write a folder with its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from omegaconf import DictConfig

from casting_inspect.config import resolved, run_command
from casting_inspect.shell import typed

VGG19_SIDE: Final = 224
"""What `train` takes when no model.image_size is given."""


def job(cfg: DictConfig) -> None:
    """Prepare a folder and say what comes next."""
    from casting_inspect.data.intake import prepare
    from casting_inspect.data.scale import scale_words

    plain = resolved(cfg)
    data = plain["data"]
    result = prepare(
        Path(cfg.source) if cfg.source else None,
        Path(cfg.out),
        cfg.recipe,
        on_bad=cfg.on_bad,
        aliases=plain["aliases"],
        normal=data["normal"],
        manifest=Path(data["manifest"]) if data["manifest"] else None,
        group_from=data["group_from"],
        lot_from=data["lot_from"],
        window=None if data["window"] == "auto" else data["window"],
        synthetic=plain["synthetic"],
    )
    if words := scale_words(result.longest_side, VGG19_SIDE):
        print(words)
    where = typed([f"data.root={result.out}"])
    if cfg.recipe == "synthetic" or data["group_from"]:
        print(f"next: casting-inspect train {where}")
        return
    print(
        f"next: casting-inspect audit {where} {typed([f'out={result.out}'])}, which finds the "
        f"pictures that show one casting; then casting-inspect train {where}"
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("prepare", job, argv)


if __name__ == "__main__":
    raise SystemExit(main())
