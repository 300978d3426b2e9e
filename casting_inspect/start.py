"""`start`: from somebody's folder of pictures to a plain answer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from omegaconf import DictConfig

from casting_inspect.config import command_line, resolved, run_command


def job(cfg: DictConfig) -> None:
    """Go from a folder to an answer, step by step."""
    from casting_inspect.starting.enough import Limits
    from casting_inspect.starting.proposal import Words
    from casting_inspect.starting.start import start
    from casting_inspect.starting.wish import Wish, place_for

    plain = resolved(cfg)
    data = plain["data"]
    source = Path(cfg.source)
    wish = Wish(
        source=source,
        out=Path(cfg.out) if cfg.out else place_for(source),
        words=Words(
            manifest=data["manifest"],
            normal=tuple(data["normal"] or ()),
            aliases=plain["aliases"],
            group_from=data["group_from"],
            lot_from=data["lot_from"],
        ),
        weights=cfg.model.weights,
        image_size=cfg.model.image_size,
        limits=Limits(cfg.decide.max_escape, cfg.decide.max_overkill),
        minutes=cfg.minutes,
        cache=cfg.cache.dir,
        typed=tuple(command_line()[2:]),
    )
    start(wish, yes=cfg.yes)


def with_source(words: list[str]) -> list[str]:
    """Return the words with ``source=`` before the first that is a folder without a key.

    It may stand anywhere but after a flag, whose value it could be.
    """
    if any(word.startswith("source=") for word in words):
        return words
    for at, word in enumerate(words):
        is_flags = any(near.startswith("-") for near in words[max(0, at - 1) : at + 1])
        if not is_flags and ("=" not in word or os.path.lexists(word)):
            return [*words[:at], f"source={word}", *words[at + 1 :]]
    return words


def main(argv: list[str] | None = None) -> int:
    """Run the command; ``argv`` is what stands after it, None for ``sys.argv[1:]``."""
    return run_command("start", job, with_source(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    raise SystemExit(main())
