"""A set of synthetic castings on disk: complete or not there at all, and made once."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import multiprocessing
import shutil
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import pandas as pd

from casting_inspect.cores import usable_cores
from casting_inspect.data.manifest import COLUMNS, make_frame, write_manifest
from casting_inspect.data.synthetic.config import SyntheticConfig, config_digest
from casting_inspect.data.synthetic.render import Picture, png_bytes, render_part
from casting_inspect.errors import UserError
from casting_inspect.files import cache_root, replace_csv, replace_json

SEAL: Final = "synthetic.json"
"""Written last: its presence, and that of all files it counts, means that the set is complete."""

Progress = Callable[[int, int], None]
Row = dict[str, Any]

_WORTH_A_POOL: Final = 120


def write_castings(
    config: SyntheticConfig, out: Path, workers: int = 0, progress: Progress | None = None
) -> Path:
    """Write a set of castings: pictures, ``manifest.csv``, ``defects.csv`` and masks.

    ``out`` gets ``normal/`` and ``defective/`` with one-channel PNG files, ``masks/`` with a mask
    of the same name for each defective picture, ``manifest.csv`` (a group is a part; `defect_size`
    is in pixels) and ``defects.csv``: path, mask, part, kind, size (largest extent as a share of
    the part's diameter), size_px (the same in pixels of this picture), x and y (the mask's middle
    in pixels) and area_px. All appears in one step; the same configuration gives the same bytes.

    Args:
        config: The set.
        out: Folder to make; it may exist if it is empty or holds this very set already.
        workers: Processes that render; 0 and 1 render in this one.
        progress: Called with (pictures done, pictures in all) after each part.

    Returns:
        ``out``.

    Raises:
        UserError: If ``out`` holds anything else.
    """
    if is_complete(config, out):
        return out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} holds something else already; give a new or an empty folder")
    with _appearing(out) as folder:
        _fill(config, folder, workers, progress)
    return out


def cached_folder(config: SyntheticConfig) -> Path:
    """Return where `ensure_castings` keeps a set; it may not be there yet."""
    return cache_root() / "synthetic" / config_digest(config)[:16]


def ensure_castings(
    config: SyntheticConfig, workers: int | None = None, progress: Progress | None = None
) -> Path:
    """Return the folder of a set in the cache, making it when it is not there complete.

    Args:
        config: The set.
        workers: Processes that render; None takes the cores that this process may use.
        progress: Called with (pictures done, pictures in all) after each part.
    """
    out = cached_folder(config)
    if is_complete(config, out):
        return out
    if workers is None:
        pictures = config.parts * config.photographs
        workers = usable_cores() if pictures >= _WORTH_A_POOL else 0
    if out.exists():
        # half-written, damaged or tampered with: out of the way before anything can read it
        discarded = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.discarded")
        with contextlib.suppress(FileNotFoundError):
            out.rename(discarded)
        shutil.rmtree(discarded, ignore_errors=True)
    try:
        return write_castings(config, out, workers, progress)
    except OSError:
        # another process may have put the same set there while this one was rendering
        if is_complete(config, out):
            return out
        raise


def is_complete(config: SyntheticConfig, folder: Path) -> bool:
    """Return whether a folder holds this set, with every file that belongs to it."""
    try:
        seal = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        sizes = seal["bytes"]
        return seal["digest"] == config_digest(config) and all(
            (folder / name).stat().st_size == length for name, length in sizes.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


@contextlib.contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``out`` when the block succeeds, and else vanishes."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    temporary.mkdir()
    try:
        yield temporary
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(config: SyntheticConfig, folder: Path, workers: int, progress: Progress | None) -> None:
    """Write everything that belongs to a set into a folder, the seal last."""
    for name in ("normal", "defective", "masks"):
        (folder / name).mkdir()
    rows: list[Row] = []
    for of_part in _rendered(config, folder, workers):
        rows += of_part
        if progress is not None:
            progress(len(rows), config.parts * config.photographs)
    manifest = [{name: row[name] for name in _MANIFEST} for row in rows]
    write_manifest(make_frame(manifest), folder / "manifest.csv")
    defects = pd.DataFrame([row for row in rows if row["kind"]], columns=list(_DEFECTS))
    replace_csv(folder / "defects.csv", defects)
    sizes = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    seal = {"digest": config_digest(config), "config": dataclasses.asdict(config), "bytes": sizes}
    replace_json(folder / SEAL, seal)


_MANIFEST: Final = (*COLUMNS, "part", "kind", "defect_size")
_DEFECTS: Final = ("path", "mask", "part", "kind", "size", "size_px", "x", "y", "area_px")


def _rendered(config: SyntheticConfig, folder: Path, workers: int) -> Iterator[list[Row]]:
    """Yield the rows of each part in order, once its files are written."""
    write_one = partial(_write_part, config, folder)
    if workers < 2:
        yield from map(write_one, range(config.parts))
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread)
    with pool:
        try:
            yield from pool.map(write_one, range(config.parts), chunksize=4)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _one_thread() -> None:
    """Keep OpenCV from starting threads of its own in every worker."""
    cv2.setNumThreads(1)


def _write_part(config: SyntheticConfig, folder: Path, part: int) -> list[Row]:
    """Write the pictures and masks of one part; return a row for each picture."""
    return [_write_picture(config, folder, picture) for picture in render_part(config, part)]


def _write_picture(config: SyntheticConfig, folder: Path, picture: Picture) -> Row:
    label = "normal" if picture.kind is None else "defective"
    name = f"part_{picture.part:05d}_{picture.photograph}.png"
    data = png_bytes(picture.image)
    (folder / label / name).write_bytes(data)
    row: Row = {
        "path": f"{label}/{name}",
        "label": label,
        "group": f"part_{picture.part:05d}",
        "split": "",
        "source": "synthetic",
        "sha256": hashlib.sha256(data).hexdigest(),
        "width": config.size,
        "height": config.size,
        "part": f"part_{picture.part:05d}",
        "kind": picture.kind or "",
        "defect_size": "",
    }
    if picture.mask is not None:
        (folder / "masks" / name).write_bytes(png_bytes(picture.mask))
        row["defect_size"] = f"{picture.size_px:.2f}"
        row |= {
            "mask": f"masks/{name}",
            "size": f"{picture.size_px / picture.diameter_px:.5f}",
            "size_px": f"{picture.size_px:.2f}",
            "x": f"{picture.x:.1f}",
            "y": f"{picture.y:.1f}",
            "area_px": str(int((picture.mask > 0).sum())),
        }
    return row
