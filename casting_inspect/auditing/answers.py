"""Answers of the audit that are plain data, kept by the digest of their question."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from casting_inspect.data.audit import kept_answers
from casting_inspect.files import cache_root


def kept_json(question: list[Any], answer: Callable[[], Any], cache: Path | None) -> Any:
    """Return an answer from the cache, or work it out and keep it.

    Args:
        question: Everything that the answer depends on; plain data.
        answer: Works it out; plain data as well.
        cache: Folder of the caches; None for the user's.
    """
    asked = json.dumps(question, ensure_ascii=True)
    key = hashlib.sha256(asked.encode()).hexdigest()[:32]
    kept = (cache_root() if cache is None else cache) / "audit" / "answers" / f"{key}.npz"
    found = kept_answers.read_arrays(kept)
    if found is None:
        text = json.dumps(answer(), default=_plain)
        found = {"json": np.frombuffer(text.encode(), dtype=np.uint8)}
        kept_answers.write_arrays(kept, found)
    return json.loads(found["json"].tobytes())


def _plain(value: Any) -> Any:
    """Return a number of numpy's as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no plain data")
