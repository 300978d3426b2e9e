"""Overrides as they are typed, made fit for Hydra, and Hydra's complaints in one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final, get_args, get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString, ValueType
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from casting_inspect.errors import UserError, first_line, nearest, suggestion

PATH_KEYS: Final = frozenset(
    {
        "source",
        "out",
        "run",
        "runs",
        "reference",
        "model",  # a file or a run folder, except in `train`, where it is a group
        "model.path",
        "predictions",
        "resume",
        "root",
        "heatmaps.to",
        "sort.to",
        "drop.done",
        "weights",
        "data.root",
        "data.manifest",
        "labels",
        "group_from",
        "data.group_from",  # regular expressions are full of what Hydra's grammar means by itself
        "data.lot_from",
        "model.weights",
        "cache.dir",
        "runs_in",
        "hydra.run.dir",
        "hydra.sweep.dir",
    }
)
OPEN_KEYS: Final = ("aliases", "data.aliases")  # tables whose keys are the user's own
EXTRAS: Final = {  # Hydra's plugins, and the extra that each is in
    "joblib": "sweep",
    "optuna": "sweep",
    "ray": "cluster",
    "submitit_local": "cluster",
    "submitit_slurm": "cluster",
}
_ASSIGNMENT: Final = re.compile(r"(?P<plus>\+{0,2})(?P<key>[^=+~]+)=(?P<value>.*)", re.DOTALL)
_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)


def prepared(command: str, typed: Iterable[str], *, multirun: bool) -> list[str]:
    """Return overrides for Hydra from what was typed.

    Paths are quoted (unless ``multirun``, where Hydra's grammar holds, since a comma separates
    choices there); tables with keys of the user's own are opened; ``model._target_`` without
    ``model`` chooses ``custom``; in `predict`, which has no networks, ``model`` is a folder.

    Args:
        command: ``train``, ``prepare``, ...
        typed: Overrides as they came from the shell.
        multirun: Whether ``-m`` was given.
    """
    lines = [opened(line) for line in typed]
    if command == "predict":  # Hydra takes `model` for the group of that name, whoever asks
        lines = [re.sub(r"^(\+*)model=", r"\1model.path=", line) for line in lines]
    if not multirun:
        keys = PATH_KEYS - {"model"} if command == "train" else PATH_KEYS
        lines = [quoted(line, keys) for line in lines]
    named = [key_of(line) for line in lines]
    if command == "train" and "model._target_" in named and "model" not in named:
        lines.append("model=custom")
    return lines


def key_of(line: str) -> str:
    """Return an override's key without plus signs and tilde."""
    return line.split("=", 1)[0].lstrip("+~")


def quoted(line: str, keys: Iterable[str]) -> str:
    """Quote an override's value so that it reaches the configuration as it was typed.

    ``null``, values quoted already and other keys than those given stay as they are.
    Interpolations stay interpolations; a backslash before one is doubled, because a Windows path
    means the backslash there and OmegaConf an escape.
    """
    found = _ASSIGNMENT.fullmatch(line)
    if found is None or found["key"] not in keys:
        return line
    value = found["value"]
    if value == "null" or _QUOTED.fullmatch(value):
        return line
    value = re.sub(r"\\+(?=\$\{)", lambda run: run.group() * 2, value)
    text = QuotedString(text=value, quote=Quote.single).with_quotes()
    return f"{found['plus']}{found['key']}={text}"


def opened(line: str) -> str:
    """Let an override add keys to a table whose keys are the user's own."""
    key = line.split("=", 1)[0]
    if any(key == table or key.startswith(f"{table}.") for table in OPEN_KEYS):
        return f"++{line}"
    return line


def parsed(lines: Sequence[str], loader: Any = None) -> list[Override]:
    """Parse overrides with Hydra's grammar.

    Args:
        lines: Overrides, quoted where they have to be.
        loader: Hydra's config loader, for ``glob()``.

    Raises:
        UserError: If one has no ``=`` or cannot be parsed.
    """
    parser = OverridesParser.create(config_loader=loader)
    found = []
    for line in lines:
        if "=" not in line and not line.startswith("~"):
            raise UserError(f"'{line}' has no '=': write KEY=VALUE. --help lists the keys.")
        if not key_of(line):
            raise UserError(f"'{line}' has no key: write KEY=VALUE. --help lists the keys.")
        try:
            found += parser.parse_overrides([line])
        except OverrideParseException as error:
            head, _, rest = error.message.partition("\n")
            reason = f" ({rest.splitlines()[0]})" if head.startswith("Error parsing") else ""
            key = line.split("=", 1)[0]
            raise UserError(
                f"cannot read '{line}'{reason}: put the value into quotes, as in \"{key}='VALUE'\"."
            ) from None
    return found


def sweeps(overrides: Sequence[Override]) -> list[list[str]]:
    """Return each override's values as overrides of their own; one for what is not swept over.

    Raises:
        UserError: If a sweep has no value, or its values cannot be counted.
    """
    found = []
    for override in overrides:
        try:
            values = list(_values(override))
        except (HydraException, ValueError, TypeError) as error:
            raise UserError(f"{override.input_line}: {first_line(error)}") from None
        if not values:
            raise UserError(f"{override.input_line}: gives no value at all.")
        found.append(values)
    return found


def _values(override: Override) -> Iterator[str]:
    key = override.get_key_element()
    if override.value_type == ValueType.INTERVAL_SWEEP:
        interval: Any = override.value()
        yield from (f"{key}={end}" for end in (interval.start, interval.end))
    elif override.is_sweep_override():
        yield from (f"{key}={value}" for value in override.sweep_string_iterator())
    else:
        yield str(override.input_line)


def explained(error: Exception, schema: type) -> str:
    """Say in one line what Hydra could not do, and the nearest thing that it could.

    Args:
        error: What composing raised.
        schema: The command's schema, for the keys there are.
    """
    cause = error.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _wrong_choice(error)
    if isinstance(cause, ConfigAttributeError | ConfigKeyError):
        return _unknown_key(cause, schema)
    merging = re.match(r"Error merging override (.*)", str(error), re.DOTALL)
    if merging and cause is not None:
        return f"{merging[1]}: {_wrong_type(cause)}"
    appending = re.search(r"Either remove \+ prefix: '(.*)'", str(error))
    if appending:
        return f"+{appending[1]}: the key is there already, so leave out the '+'."
    detail = f": {first_line(cause)}" if cause is not None else ""
    return " ".join(str(error).split()) + detail


def _wrong_choice(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    if group in ("hydra/launcher", "hydra/sweeper") and choice in EXTRAS:
        extra = EXTRAS[choice]
        return f'{group}={choice}: not installed; pip install "casting-inspect[{extra}]" brings it.'
    options = sorted(error.options or [])
    if not options:
        return f"{group}={choice}: there is no such choice."
    return f"{group}={choice}: must be one of {', '.join(options)}.{suggestion(choice, options)}"


def _unknown_key(cause: ConfigAttributeError | ConfigKeyError, schema: type) -> str:
    siblings: list[str] = []
    if isinstance(cause.parent_node, DictConfig):
        siblings = [str(key) for key in cause.parent_node]
    return unknown(str(cause.full_key), siblings, schema)


def unknown(name: str, siblings: Iterable[str], schema: type) -> str:
    """Return the line for a key that does not exist, with the one that was probably meant.

    Args:
        name: The key with dots.
        siblings: The keys that there are beside it, without dots.
        schema: The command's schema, for keys elsewhere.
    """
    parent, _, word = name.rpartition(".")
    near = nearest(word, [key for key in siblings if not key.startswith("_")])
    beside = f"{parent}.{near}" if near and parent else near
    same_end = _with_end(word, dotted_keys(schema))
    # a bare word is more often a nested key without its group than a slip in a group's name
    found = (beside or same_end) if parent else (same_end or beside)
    return f"unknown key '{name}'." + (f" Did you mean '{found}'?" if found else "")


def _with_end(word: str, keys: Sequence[str]) -> str | None:
    """Return the key whose last part is a word, or has it between its underscores."""
    ends = {key: key.rpartition(".")[2] for key in keys}
    same = [key for key, end in ends.items() if end == word]
    alike = [key for key, end in ends.items() if word in end.split("_")]
    return next(iter([*same, *sorted(alike, key=lambda key: len(ends[key]))]), None)


def dotted_keys(schema: Any, prefix: str = "") -> list[str]:
    """Return all keys of a schema, those of nested ones with dots."""
    keys = []
    hints = get_type_hints(schema)
    for entry in fields(schema):
        keys.append(f"{prefix}{entry.name}")
        kinds = [hints[entry.name], *get_args(hints[entry.name])]
        for inner in (kind for kind in kinds if is_dataclass(kind)):
            keys += dotted_keys(inner, f"{prefix}{entry.name}.")
    return keys


def _wrong_type(cause: BaseException) -> str:
    message = first_line(cause)
    types = {
        "Integer": "must be a whole number.",
        "Float": "must be a number.",
        "is not a valid bool": "must be true or false.",
        "to string": "must be text.",
        "is not Optional": "must not be null.",
        "does not support deletion": "this key cannot be taken out.",
    }
    return next((words for sign, words in types.items() if sign in message), message)
