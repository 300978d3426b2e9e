"""From the configuration of `predict` to its source, and the checks of what goes together."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from omegaconf import DictConfig

from casting_inspect.deployment.camera import PREFIX, open_camera
from casting_inspect.deployment.drop import Drop, watch
from casting_inspect.deployment.inspect import Wanted
from casting_inspect.deployment.ledger import Ledger
from casting_inspect.deployment.lists import stream_lines
from casting_inspect.deployment.rows import has_rows
from casting_inspect.deployment.sources import Items, open_items
from casting_inspect.errors import UserError


def open_source(
    cfg: DictConfig, wanted: Wanted, stop: threading.Event, say: Callable[[str], None]
) -> tuple[Items, Ledger | None]:
    """Return the pictures that a configuration asks for, and a drop folder's ledger.

    Raises:
        UserError: If there are none, or settings contradict each other.
    """
    source = str(cfg.source)
    _check(cfg, source)
    root = None if cfg.root is None else Path(cfg.root)
    outputs = [
        place
        for place in (
            wanted.heatmaps,
            wanted.sorting.folder if wanted.sorting else None,
            wanted.done,
        )
        if place is not None
    ]
    if source.startswith(PREFIX):
        return open_camera(source, stop, cfg.camera.interval), None
    if cfg.watch:
        drop = Drop(
            Path(source),
            cfg.drop.poll,
            cfg.drop.settle,
            cfg.drop.patience,
            tuple(outputs),
            cfg.drop.events,
        )
        return watch(drop, stop, say), Ledger(ledger_path(wanted.out))
    lines = _standard_input() if source == "-" else ()
    found = open_items(
        source,
        root=root,
        outputs=outputs,
        lines=lines,
        max_pixels=cfg.max_pixels,
        emptied=wanted.resume and has_rows(wanted.out) and cfg.sort.how == "move",
    )
    return found, None


def ledger_path(out: Path) -> Path:
    """Return where the ledger of a table lies."""
    return out.with_name(f"{out.name}.seen")


def _standard_input() -> Iterator[bytes]:
    return stream_lines(sys.stdin.fileno())


def _check(cfg: DictConfig, source: str) -> None:
    """Refuse settings that contradict each other.

    Raises:
        UserError: At the first.
    """
    is_camera = source.startswith(PREFIX)
    if cfg.watch and (source == "-" or is_camera):
        raise UserError(f"watch=true watches a folder, and source={source} is none")
    if cfg.drop.done and not cfg.watch:
        raise UserError("drop.done belongs to watch=true; sort.to with sort.how=move moves others")
    if cfg.drop.done and cfg.sort.to and cfg.sort.how == "move":
        raise UserError("drop.done and sort.how=move would move each picture twice: leave one out")
    packed = source.lower().endswith(".zip") and Path(source).is_file()
    if cfg.sort.to and cfg.sort.how != "copy" and (packed or is_camera):
        raise UserError(f"sort.how={cfg.sort.how} needs files: take sort.how=copy")
