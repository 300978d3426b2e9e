"""What a configuration's value must be, beyond its type, and the search for one that is not."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from casting_inspect.errors import nearest, suggestion


@dataclass(frozen=True)
class Rule:
    """What a value must be, for the check and for the message.

    Attributes:
        expected: In words, to follow "must be".
        holds: Whether a value will do; null is not asked about.
        choices: The valid words, when there is a list of them.
    """

    expected: str
    holds: Callable[[Any], bool]
    choices: tuple[str, ...] = ()


Metadata = Mapping[str, Rule]  # of a dataclass field


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def rule(expected: str, holds: Callable[[Any], bool]) -> Metadata:
    """Return the metadata of a field with a rule of its own."""
    return {"rule": Rule(expected, holds)}


def one_of(*choices: str) -> Metadata:
    """Return the metadata of a field whose value is one of some words."""
    words = choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    return {"rule": Rule(words, lambda value: value in choices, choices)}


def at_least(low: int) -> Metadata:
    """Return the metadata of a field for a number from ``low`` up."""
    return rule(f"{low} or more", lambda value: _is_number(value) and value >= low)


def above_zero() -> Metadata:
    """Return the metadata of a field for a finite number above 0."""
    return rule("above 0", lambda value: _is_number(value) and value > 0)


def between(low: float, high: float, *, above: bool = False, below: bool = False) -> Metadata:
    """Return the metadata of a field for a number from ``low`` to ``high``.

    Args:
        low: The least value.
        high: The largest value.
        above: ``low`` itself is not allowed.
        below: ``high`` itself is not allowed.
    """

    def holds(value: Any) -> bool:
        if not _is_number(value) or (above and value == low) or (below and value == high):
            return False
        return bool(low <= value <= high)

    start, end = f"{'above' if above else 'from'} {low:.10g}", f"{'to below' if below else 'to'} "
    return rule(f"{start} {end}{high:.10g}", holds)


def text() -> Metadata:
    """Return the metadata of a field for text that is not empty."""
    return rule("filled in", lambda value: value != "")


def _is_window(value: Any) -> bool:
    if isinstance(value, ListConfig):
        return len(value) == 2 and all(map(_is_number, value)) and value[0] < value[1]
    return bool(value == "auto")


def _is_limit(value: Any) -> bool:
    return (type(value) is int and value >= 0) or (type(value) is float and 0 <= value <= 1)


def _is_count_or_auto(value: Any, low: int) -> bool:
    return bool(value == "auto") or (type(value) is int and value >= low)


WINDOW = rule("auto or [low,high] with low below high", _is_window)


def _is_one_number(value: Any) -> bool:
    return isinstance(value, ListConfig) and len(value) == 1 and isinstance(value[0], int)


DECIDE_KEYS = {  # that a rule of decision needs; what no rule needs is every rule's
    "escape": ("max_escape", "best_effort"),
    "cost": ("cost_escape", "cost_overkill"),
    "review": ("by", "max_escape", "max_overkill", "best_effort"),
}
DECIDE_COSTS = (
    "cost_escape",
    "cost_overkill",
    "cost_review",
)  # any rule's, for figures of the line
WORKERS = rule("0 or more, or auto", lambda value: _is_count_or_auto(value, 0))
LIMIT = rule("a whole number of steps, a share from 0.0 to 1.0, or null", _is_limit)
DEVICES = rule(
    "1, or [NUMBER] for one of several devices",
    lambda value: _is_one_number(value) or (type(value) is int and value == 1),
)
FOLD = rule(
    "a number from 0 up, all or final",
    lambda value: value in ("all", "final") or (type(value) is int and value >= 0),
)
EVALUATE = rule("true, false or validation", lambda v: isinstance(v, bool) or v == "validation")
CLASS_WEIGHTS = rule("false or balanced", lambda value: value is False or value == "balanced")
DETERMINISTIC = rule("true, false or warn", lambda v: isinstance(v, bool) or v == "warn")
CHANNELS_LAST = rule("true, false or auto", lambda v: isinstance(v, bool) or v == "auto")
TURNS = rule("1, 4 or 8", lambda value: value in (1, 4, 8))
CROP = rule("even, from 8 to 128", lambda value: 8 <= value <= 128 and value % 2 == 0)
FLOOR_SIDE = rule("32: a floor's picture has no other size", lambda value: value == 32)
TRAIN_SIZE = rule(
    "a share above 0 up to 1.0, or a whole number of normal groups",
    lambda value: _is_number(value) and (value >= 1 if type(value) is int else 0 < value <= 1),
)
PENALTIES = rule(
    "a list of numbers above 0, such as [1.0,0.1]",
    lambda value: len(value) > 0 and all(_is_number(each) and each > 0 for each in value),
)
GAMMA = rule(
    "scale, auto or a number above 0",
    lambda value: value in ("scale", "auto") or (_is_number(value) and value > 0),
)


def _is_fail_on(value: Any) -> bool:
    words = [value] if isinstance(value, str) else value
    known = ("leak", "conflict", "undecodable")
    return isinstance(words, list | ListConfig) and all(word in known for word in words)


FAIL_ON = rule("leak, conflict or undecodable, or a list of these", _is_fail_on)


def _is_formats(value: Any) -> bool:
    words = [value] if isinstance(value, str) else value
    return isinstance(words, list | ListConfig) and 0 < len(
        set(words) & {"onnx", "openvino"}
    ) == len(set(words))


FORMATS = rule("onnx, openvino or a list of both", _is_formats)
VERDICT_TABLE = rule(
    "a file that ends in .csv, .jsonl or .parquet",
    lambda value: re.search(r"[^/\\]\.(csv|jsonl|parquet)$", value, re.IGNORECASE) is not None,
)
BETAS = rule(
    "two numbers from 0 to below 1",
    lambda v: isinstance(v, ListConfig) and len(v) == 2 and all(0 <= each < 1 for each in v),
)
OPTIMIZER = {
    "weight_decay": at_least(0),
    "momentum": between(0, 1, below=True),
    "betas": BETAS,
}
RUNS = rule(
    "a folder, a table, or a list of them",
    lambda value: isinstance(value, str | ListConfig) and len(value) > 0,
)
NAME = rule(
    "made of letters, digits, '.', '_' and '-' (it becomes part of a folder's name)",
    lambda value: re.fullmatch(r"[A-Za-z0-9._-]*[A-Za-z0-9_-]", value) is not None,
)


def complaints(config: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield a line for each value that breaks its rule and each key that no schema knows.

    Args:
        config: A node with typed schemas in it; nodes without a schema are the user's own.
        prefix: The node's own key with a dot, or nothing at the top.
    """
    schema = OmegaConf.get_type(config)
    known = {f.name: f for f in fields(schema)} if is_dataclass(schema) else {}
    is_open = not known or getattr(schema, "open_to_more", False)
    for key in map(str, config):
        name = f"{prefix}{key}"
        if name == "hydra" or OmegaConf.is_missing(config, key):
            continue
        if key in known or is_open:
            yield from _value_complaints(config, key, name, known)
        else:
            near = nearest(key, known)
            hint = f" Did you mean '{prefix}{near}'?" if near else ""
            yield f"unknown key '{name}'.{hint}"


def _value_complaints(
    config: DictConfig, key: str, name: str, known: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what is wrong with one key's value, or with what is below it."""
    try:
        value = config[key]
    except InterpolationResolutionError as error:
        if "hydra:" not in str(OmegaConf.to_container(config, resolve=False).get(key)):  # type: ignore[union-attr]
            yield f"{name}: {str(error).splitlines()[0]}"
        return
    if isinstance(value, DictConfig):
        yield from complaints(value, f"{name}.")
    elif value is not None and key in known and "rule" in known[key].metadata:
        found: Rule = known[key].metadata["rule"]
        if not found.holds(value):
            words = str(value)
            yield f"{name}={words}: must be {found.expected}.{suggestion(words, found.choices)}"


INSTEAD = {"predictions": "run", "out": "run"}
"""Keys that may be missing where another one is given: a run brings its table and its folder."""


def missing(config: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield the keys that have no value yet, in the order of the file; Hydra's own left out."""
    for key in map(str, config):
        name = f"{prefix}{key}"
        if OmegaConf.is_missing(config, key):
            if name not in INSTEAD or config.get(INSTEAD[name]) is None:
                yield name
        elif name == "hydra" or OmegaConf.is_interpolation(config, key):
            continue
        elif isinstance(config[key], DictConfig):
            yield from missing(config[key], f"{name}.")


def _is_beyond(data: DictConfig) -> bool:
    """Say whether there is no such fold; of lots there are as many as the table has."""
    is_lot = "split" in data and data.split == "lot"
    return not is_lot and isinstance(data.fold, int) and data.fold >= data.folds


def cross_complaints(config: DictConfig) -> Iterator[str]:
    """Yield a line for each pair of values that do not go together, and for misplaced keys."""
    data = config.get("data")
    if data is not None and "fold" in data and _is_beyond(data):
        yield (
            f"data.fold={data.fold}: must be below data.folds={data.folds} (folds count from 0)."
        )
    decide = config.get("decide")
    if decide is not None and "name" in decide and "threshold" in decide:
        yield from _decide_complaints(decide)
    optimizer = config.get("optimizer") or {}
    if "lr" in optimizer:
        yield "optimizer.lr: learning rates are finetune.head_lr and finetune.backbone_lr."
    for key, value_rule in OPTIMIZER.items():  # its other keys are the class's own
        value = optimizer.get(key)
        if value is not None and not value_rule["rule"].holds(value):
            yield f"optimizer.{key}={value}: must be {value_rule['rule'].expected}."
    # `in` alone is False for what is still missing; `start` and `predict` name no network
    given = list(config.model) if "model" in config else []
    is_network = bool(given) and ("finetune" in config or {"name", "_target_"} & set(given))
    for key in ("name", "image_size", "_target_") if is_network else ():
        if key not in given:
            yield f"model.{key} is needed in a model's configuration, and this one has none."


def _decide_complaints(decide: DictConfig) -> Iterator[str]:
    """Yield what a rule of decision lacks, and what belongs to another."""
    is_fixed = decide.name == "fixed"
    if is_fixed == (decide.threshold is None):
        found = "is found by this rule: leave it out, or take decide=fixed"
        yield f"decide={decide.name}: decide.threshold {'needs a number' if is_fixed else found}."
    needed = set(DECIDE_KEYS.get(decide.name, ()))
    if decide.get("by") == "costs":
        needed |= set(DECIDE_COSTS)
    for key in dict.fromkeys(
        [*(key for keys in DECIDE_KEYS.values() for key in keys), *DECIDE_COSTS]
    ):
        owners = [name for name, keys in DECIDE_KEYS.items() if key in keys]
        given = decide.get(key) is not None
        if key in needed and not given:
            yield f"decide={decide.name}: decide.{key} needs a value."
        elif given and decide.name not in owners and key not in DECIDE_COSTS:
            belongs = " or ".join(f"decide={name}" for name in owners)
            yield f"decide.{key} belongs to {belongs}, not to decide={decide.name}."
    if (decide.get("cost_escape") is None) != (decide.get("cost_overkill") is None):
        yield "decide.cost_escape and decide.cost_overkill go together: give both or none."
