"""Writing files so that nothing is ever half-written, digests, and where caches lie."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from casting_inspect.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


_GONE: Final = frozenset(
    getattr(errno, name)
    for name in ("ENOENT", "ENODEV", "ENXIO", "ESTALE", "ENOTCONN", "EHOSTDOWN", "ENETDOWN")
    if hasattr(errno, name)  # Windows has fewer of them
)
_NOT_READY: Final = (21, 53, 59, 64)
"""Windows: the device is not ready, the network path is gone (three numbers for it)."""


def is_gone(error: OSError) -> bool:
    """Say whether an error is what a pulled stick or a cut network drive looks like."""
    return error.errno in _GONE or getattr(error, "winerror", None) in _NOT_READY


def pulled(where: Path | str, error: OSError) -> UserError:
    """Return the error for files that were there a moment ago and no longer are."""
    return UserError(
        f"{where}: was there a moment ago and cannot be read any more ({error.strerror or error}). "
        "Was a stick pulled out, a network drive cut off, or a file moved? Bring it back and type "
        "the same command; what is done is kept"
    )


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors of the block that name no file, as of a full disk, name ``path``."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno not in (None, errno.EPIPE):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that replaces it when the block succeeds.

    The temporary file keeps the target's suffix, because some writers choose their format by it.
    When the block raises, the temporary file is removed and ``path`` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        with naming(path):
            yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one step: readers see the old file or the new one."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def replace_text(path: Path, text: str) -> None:
    """Write UTF-8 text with LF line ends to ``path`` in one step."""
    replace_bytes(path, text.encode("utf-8"))


def replace_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path`` in one step.

    Raises:
        ValueError: If a number is NaN or infinite, which JSON cannot hold.
    """
    replace_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def replace_csv(path: Path, table: pd.DataFrame, decimals: str | None = None) -> None:
    """Write a table as CSV with LF line ends and without its index, in one step.

    Args:
        path: The file.
        table: Its rows.
        decimals: Format of numbers that are not whole, as in ``%.4f``; None: every digit.
    """
    text = table.to_csv(index=False, lineterminator="\n", float_format=decimals)
    replace_text(path, text)


def cache_root() -> Path:
    """Return the caches' folder: ``$CASTING_INSPECT_CACHE`` or ``~/.cache/casting_inspect``."""
    configured = os.environ.get("CASTING_INSPECT_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "casting_inspect"
