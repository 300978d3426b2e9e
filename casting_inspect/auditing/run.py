"""From a folder of pictures to ``audit.json``, ``audit.html`` and a manifest with groups."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

import casting_inspect
from casting_inspect.auditing.audit_page import page_values
from casting_inspect.auditing.examine import Audit, audit
from casting_inspect.auditing.findings import FATAL, Finding, hit
from casting_inspect.data.manifest import (
    check_files,
    dataset_digest,
    find_manifest,
    write_manifest,
)
from casting_inspect.errors import UserError, suggestion
from casting_inspect.files import is_gone, pulled, replace_json, replace_text, sha256_of_file
from casting_inspect.page import render

RECORD: Final = "audit.json"
PAGE: Final = "audit.html"
MANIFEST: Final = "manifest.csv"
BEFORE: Final = "manifest.before.csv"


@dataclass(frozen=True)
class AuditResult:
    """What an audit has left.

    Attributes:
        audit: What was found.
        out: The folder with ``audit.json``, ``audit.html`` and ``manifest.csv``.
        hits: The findings that ``fail_on`` names.
        kept_manifest: Where the manifest that was at ``out`` before is now, if it was another's.
        seconds: By stage.
    """

    audit: Audit
    out: Path
    hits: list[Finding]
    kept_manifest: Path | None
    seconds: dict[str, float]


def audit_folder(
    root: Path,
    out: Path,
    *,
    manifest: Path | None = None,
    group_from: str | None = None,
    lot_from: str | None = None,
    normal: Sequence[str] | None = None,
    fail_on: Sequence[str] = (),
    aliases: Mapping[str, str] | None = None,
    cache: Path | None = None,
    progress: bool = True,
) -> AuditResult:
    """Audit a data set and write what was found; each file in one step, the page last.

    Args:
        root: The pictures.
        out: Folder for the results; made when missing, and may be ``root`` itself.
        manifest: A table instead of ``root``'s own.
        group_from: What names the castings of pictures without a group: see `naming.names_from`.
        lot_from: What names their lots.
        normal: Names of folders with good castings; every other one is a kind of defect then.
        fail_on: Of `findings.FATAL`; changes ``hits`` alone.
        aliases: Further names of class folders.
        cache: Folder of the caches; by default the user's.
        progress: Whether bars are shown.

    Raises:
        UserError: If the data or a setting is wrong; nothing is written then.
    """
    for word in fail_on:
        if word not in FATAL:
            raise UserError(
                f"fail_on={word}: must be among {', '.join(FATAL)}.{suggestion(word, FATAL)}"
            )
    if out.exists() and not out.is_dir():
        raise UserError(f"out={out}: is a file; name a folder for the results")
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    frame = find_manifest(
        root,
        manifest,
        aliases,
        normal=normal,
        group_from=group_from,
        lot_from=lot_from,
        keep_unreadable=True,
    )
    check_files(frame, root)
    try:
        found = audit(frame, root, cache=cache, progress=progress, seconds=seconds)
    except OSError as error:
        if is_gone(error):
            raise pulled(error.filename or root, error) from error
        raise
    html = render("audit.html", **page_values(found, out, cache))
    seconds["all"] = round(time.perf_counter() - start, 1)
    hits = hit(found.findings, list(fail_on))
    try:
        kept = _write(found, out, html, seconds, list(fail_on), hits)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written ({error.strerror or error})") from error
    return AuditResult(found, out, hits, kept, seconds)


def manifest_of(found: Audit) -> pd.DataFrame:
    """Return the manifest that an audit writes: what came in, with groups, digests and sizes."""
    return found.frame.drop(columns=["format", "mode", "bits", "pixels", "reason"])


def _write(
    found: Audit,
    out: Path,
    html: str,
    seconds: dict[str, float],
    fail_on: list[str],
    hits: list[Finding],
) -> Path | None:
    """Write the three files; return where the manifest of somebody else was kept, if there was."""
    table = manifest_of(found)
    new = out / f".{MANIFEST}.new"
    try:
        write_manifest(table, new)
        digest = sha256_of_file(new)
        kept = _keep_other_manifest(out, digest)
        new.replace(out / MANIFEST)
    finally:
        new.unlink(missing_ok=True)
    record = record_of(found) | {
        "manifest_sha256": digest,
        "fail_on": fail_on,
        "failed": [each.key for each in hits],
        "seconds": seconds,
    }
    replace_json(out / RECORD, _plain(record))
    replace_text(out / PAGE, html)
    return kept


def _keep_other_manifest(out: Path, digest: str) -> Path | None:
    """Rename a manifest at ``out`` that an audit has not written, or that was changed since."""
    there = out / MANIFEST
    if not there.is_file():
        return None
    known = sha256_of_file(there)
    try:
        record = json.loads((out / RECORD).read_text(encoding="utf-8"))
        ours = record["manifest_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        ours = ""
    if known in (digest, ours):
        return None
    number, kept = 1, out / BEFORE
    while kept.exists():
        number += 1
        kept = out / f"manifest.before.{number}.csv"
    kept.write_bytes(there.read_bytes())  # a copy: the one there stays until it is replaced
    return kept


def record_of(found: Audit) -> dict[str, Any]:
    """Return what ``audit.json`` says of an audit, apart from how it was run."""
    facts = found.grouped.facts
    return {
        "version": casting_inspect.__version__,
        "root": str(found.root),
        "dataset_digest": dataset_digest(found.frame),
        "files": len(found.frame),
        "verdict": asdict(found.verdict),
        "groups": {key: value for key, value in facts.items() if key != "from_cache"},
        "findings": {each.key: asdict(each) for each in found.findings},
    }


def _plain(value: Any) -> Any:
    """Return plain data; numbers that JSON cannot hold become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
