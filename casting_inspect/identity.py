"""What makes two runs the same one: their settings, their pictures and their weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from omegaconf import DictConfig, OmegaConf

from casting_inspect.files import sha256_of_file

NEVER_MATTERS: Final = (
    "hydra",
    "resume",
    "jobs",
    "objective",
    "cache",
    "logger",
    "allow_targets",
    "report",
    "callbacks.progress_bar",
    "callbacks.panel",
    "trainer.log_every_n_steps",
    "trainer.devices",
    "data.workers",
)
"""Keys that change where a run writes, what it shows or how fast it is, never its figures."""
BY_CONTENT: Final = (
    "data.root",
    "data.manifest",
    "model.weights",
    "data.normal",
    "data.group_from",
    "data.lot_from",
)
"""Keys that lead to pictures, names or weights: what is found counts, not how it is found."""
NAME_DIGITS: Final = 8


def identity(config: DictConfig) -> dict[str, str]:
    """Return the digests that tell a run of `train` from every other.

    Returns:
        ``settings`` (the configuration but for `NEVER_MATTERS` and `BY_CONTENT`), ``data`` (the
        manifest with its groups and parts, and each picture's bytes), ``weights`` and, of these
        three, ``digest``: SHA-256 in 64 hexadecimal digits.

    Raises:
        UserError: If the pictures cannot be found.
    """
    settings = digest_of(dict(relevant(config, leaving_out=(*NEVER_MATTERS, *BY_CONTENT))))
    found = {"settings": settings, "data": data_digest(config), "weights": weights_digest(config)}
    return {"digest": digest_of(found), **found}


def run_digest(config: DictConfig) -> str:
    """Return eight digits for the name of a run's folder: of its settings, paths as typed.

    Cheap, because it is asked for before the pictures are looked at.
    """
    return digest_of(dict(relevant(config, leaving_out=NEVER_MATTERS)))[:NAME_DIGITS]


def relevant(
    config: DictConfig | Mapping[str, Any], *, leaving_out: Sequence[str], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield each key with dots and its plain value, interpolations filled in.

    Args:
        config: A configuration, or a plain one as in ``config.yaml``.
        leaving_out: Keys that are neither looked at nor resolved, with what is below them.
        prefix: What stands before the keys, with its dot.
    """
    for key in map(str, config):
        name = f"{prefix}{key}"
        if name in leaving_out:
            continue
        missing = isinstance(config, DictConfig) and OmegaConf.is_missing(config, key)
        value = "???" if missing else config[key]
        if isinstance(value, DictConfig | Mapping) and value:
            yield from relevant(value, leaving_out=leaving_out, prefix=f"{name}.")
        elif OmegaConf.is_config(value):
            yield name, OmegaConf.to_container(value, resolve=True)
        else:
            yield name, value


def digest_of(value: Any) -> str:
    """Return the SHA-256 of plain data, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def data_digest(config: DictConfig) -> str:
    """Return the digest of all that the manifest says, in any order of its rows.

    Raises:
        UserError: If there is no such folder, or its manifest is wrong.
    """
    from casting_inspect.data.manifest import find_manifest
    from casting_inspect.data.synthetic import SyntheticConfig, ensure_castings

    data: Any = OmegaConf.to_container(config.data, resolve=True)
    if data["root"] is None:
        given = {key: value for key, value in data["synthetic"].items() if value is not None}
        data["root"] = ensure_castings(SyntheticConfig(**given))
    root = Path(data["root"])
    manifest = Path(data["manifest"]) if data["manifest"] else None
    naming = {key: data[key] for key in ("aliases", "normal", "group_from", "lot_from")}
    frame = find_manifest(root, manifest, **naming).astype(str)
    frame["sha256"] = [
        digest or (sha256_of_file(root / path) if (root / path).is_file() else "missing")
        for path, digest in zip(frame["path"], frame["sha256"], strict=True)
    ]
    columns = sorted(frame.columns)
    return digest_of([columns, sorted(map(list, frame[columns].itertuples(index=False)))])


def weights_digest(config: DictConfig) -> str:
    """Return the digest of a file of weights, or the word that stands for them."""
    weights = config.model.get("weights")
    path = Path(str(weights)).expanduser()
    return sha256_of_file(path) if weights and path.is_file() else str(weights)


def first_difference(stored: Mapping[str, Any], config: DictConfig) -> str | None:
    """Name a setting that two configurations do not share, for a message.

    Args:
        stored: A plain configuration, as a run folder's ``config.yaml`` has it.
        config: The one that was just composed.

    Returns:
        ``KEY=BEFORE, now NOW``, or None when they agree.
    """
    before = dict(relevant(stored, leaving_out=NEVER_MATTERS))
    now = dict(relevant(config, leaving_out=NEVER_MATTERS))
    for key in now:
        if digest_of(before.get(key)) != digest_of(now[key]):
            return f"{key}={before.get(key)}, now {now[key]}"
    return None


def register_resolver() -> None:
    """Let ``${run_digest:}`` stand for `run_digest` in conf/."""

    def of_whole(*, _root_: DictConfig) -> str:
        return run_digest(_root_)

    OmegaConf.register_new_resolver("run_digest", of_whole, replace=True)
