"""The bundle on disk: a folder of model files and `bundle.json`, which vouches for all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from casting_inspect.data.decode import Window
from casting_inspect.deployment.verdict import Limits
from casting_inspect.errors import UserError
from casting_inspect.files import replace_json, sha256_of_file

FORMAT: Final = 1
"""Raised whenever an older version would read a bundle wrongly."""
RECORD: Final = "bundle.json"
RUNTIMES: Final = ("openvino", "onnxruntime")


@dataclass(frozen=True)
class Model:
    """One rendition of the network in a bundle.

    Attributes:
        runtime: One of ``RUNTIMES``.
        precision: ``fp32``, ``fp16`` or ``int8``.
        file: What the runtime opens, a name in the bundle.
    """

    runtime: str
    precision: str
    file: str


@dataclass(frozen=True)
class Bundle:
    """What `bundle.json` says, of a bundle whose files are as it says.

    Attributes:
        folder: Where it lies.
        models: The renditions, the one to take first before the others.
        limits: On ``p_normal``.
        limits_log_odds: The same on log-odds, where scores close to 1 can be told apart.
        side: Pixels a side of the square that the network sees.
        fit: How pictures that are not square are made so (``decode.resize_square``).
        window: For pictures of more than 8 bits (``decode.apply_window``), or None.
        heatmap: Whether the models give one.
        digest: SHA-256 of `bundle.json`'s content and, by the digests in it, of every file.
        record: All of `bundle.json`.
    """

    folder: Path
    models: tuple[Model, ...]
    limits: Limits
    limits_log_odds: Limits
    side: int
    fit: str
    window: Window | None
    heatmap: bool
    digest: str
    record: Mapping[str, Any]


def is_bundle(folder: Path) -> bool:
    """Say whether a folder calls itself a bundle."""
    return (folder / RECORD).is_file()


def seal(folder: Path, record: Mapping[str, Any]) -> str:
    """Write `bundle.json` for the files that a folder holds, and return the bundle's digest.

    Args:
        folder: With the model files and nothing else.
        record: What is to be said of them; ``format``, ``files`` and ``digest`` are added.
    """
    files = {
        path.name: {"sha256": sha256_of_file(path), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
    }
    whole = {"format": FORMAT, **record, "files": files}
    digest = digest_of(whole)
    replace_json(folder / RECORD, {**whole, "digest": digest})
    return digest


def digest_of(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a record's content, its own ``digest`` left out."""
    content = {key: value for key, value in record.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle, after checking that it and its files are as they were written.

    Raises:
        UserError: If it is no bundle, of a newer format, damaged, or changed since.
    """
    record = _read_record(folder)
    if record["digest"] != digest_of(record):
        raise UserError(_changed(folder, RECORD))
    _check_files(folder, record)
    try:
        models = tuple(
            Model(model["runtime"], model["precision"], model["file"]) for model in record["models"]
        )
        limits, taken = record["limits"], record["input"]
        window = taken["window"]
        bundle = Bundle(
            folder,
            models,
            Limits(limits["high"], limits["low"]),
            Limits(limits["high_log_odds"], limits["low_log_odds"]),
            taken["side"],
            taken["fit"],
            None if window is None else (float(window[0]), float(window[1])),
            record["heatmap"],
            record["digest"],
            record,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / RECORD} is incomplete ({error!r}): export it again") from error
    if not models or any(model.file not in record["files"] for model in models):
        raise UserError(f"{folder / RECORD} names no model that is in the bundle: export it again")
    return bundle


def _read_record(folder: Path) -> dict[str, Any]:
    """Return the content of `bundle.json` if it is of a format that is known here."""
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} is no bundle: it has no {RECORD}; export makes one") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: it is no JSON; export the run again") from error
    version = record.get("format") if isinstance(record, dict) else None
    if not isinstance(version, int) or "digest" not in record or "files" not in record:
        raise UserError(f"{path} is not a bundle's: it names no format, digest or files")
    if version > FORMAT:
        raise UserError(
            f"{folder} is a bundle of format {version}, this version reads up to {FORMAT}: update "
            "casting_inspect"
        )
    found: dict[str, Any] = record
    return found


def _check_files(folder: Path, record: Mapping[str, Any]) -> None:
    """Check that the files are those listed, in the folder itself, and unchanged.

    Raises:
        UserError: If one is not.
    """
    for name, known in record["files"].items():
        path = folder / name
        if Path(name).name != name or path.is_symlink():
            raise UserError(f"{folder / RECORD} names {name}, which is not a file of the bundle")
        try:
            found = sha256_of_file(path)
        except FileNotFoundError:
            raise UserError(f"{folder} lacks {name}: copy the whole bundle, or export") from None
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror or error})") from error
        if found != known["sha256"]:
            raise UserError(_changed(folder, name))


def _changed(folder: Path, name: str) -> str:
    return (
        f"{folder / name} is not as it was exported (its SHA-256 differs), so the bundle is not "
        "used: copy it anew, or export the run again"
    )
