"""Every picture decoded once: does it, what is its layout, and which pictures are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from casting_inspect.data.audit import kept_answers
from casting_inspect.data.crew import Crew
from casting_inspect.data.decode import DecodeError, decode
from casting_inspect.data.header import read_header
from casting_inspect.files import cache_root

VERSION: Final = 1
"""Raised whenever a file would be described in other words."""
COLUMNS: Final = ("width", "height", "format", "mode", "bits", "pixels", "reason")


class _Seen(NamedTuple):
    width: int
    height: int
    format: str
    mode: str
    bits: int
    pixels: str
    reason: str


def survey(
    paths: Sequence[Path],
    digests: Sequence[str],
    *,
    cache: Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Describe every file; one that does not decode has the reason and nothing else.

    Args:
        paths: The files.
        digests: SHA-256 of each.
        cache: Folder of the caches; by default the user's.
        progress: Whether a bar is shown.

    Returns:
        A row a file, in their order: ``width`` and ``height`` (upright), ``format``, ``mode``
        (Pillow's word, empty for TIFF), ``bits``, ``pixels`` (digest of the decoded picture) and
        ``reason`` (empty for a file that decodes).

    Raises:
        OSError: If a file is not there any more.
    """
    first = dict(zip(reversed(digests), reversed(paths), strict=True))
    names = sorted(first)
    key = hashlib.sha256(json.dumps([VERSION, names]).encode()).hexdigest()[:32]
    kept = (cache_root() if cache is None else cache) / "audit" / "survey" / f"{key}.npz"
    answer = kept_answers.read_arrays(kept)
    if answer is None:
        rows = Crew(progress=progress).each(_look, [first[name] for name in names], "decoding")
        answer = {"rows": np.frombuffer(json.dumps(rows).encode(), dtype=np.uint8)}
        kept_answers.write_arrays(kept, answer)
    table = pd.DataFrame(json.loads(answer["rows"].tobytes()), columns=list(COLUMNS), index=names)
    return table.loc[list(digests)].reset_index(drop=True)


def _look(path: Path) -> _Seen:
    try:
        header = read_header(path)
        pixels = decode(path)
    except DecodeError as error:
        path.stat()  # a picture that is gone is no damaged one, and nothing to keep in a cache
        return _Seen(0, 0, "", "", 0, "", str(error))
    digest = hashlib.sha256(f"{pixels.shape}{pixels.dtype}".encode())
    digest.update(pixels.tobytes())
    height, width = pixels.shape[:2]
    return _Seen(
        width, height, header.format, header.mode, header.bits, digest.hexdigest()[:32], ""
    )
