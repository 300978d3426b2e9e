"""Values out of range and unknown keys are found, and named with what would be right."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hydra.core.hydra_config import HydraConfig
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import MISSING, DictConfig, OmegaConf

from casting_inspect import ranges
from casting_inspect.ranges import Metadata


@dataclass
class Inner:
    rate: float = field(default=0.5, metadata=ranges.between(0, 1, above=True))


@dataclass
class Own:
    name: str = "x"
    open_to_more: ClassVar[bool] = True


@dataclass
class Outer:
    kind: str = field(default="light", metadata=ranges.one_of("light", "strong"))
    count: int = field(default=3, metadata=ranges.at_least(1))
    path: str | None = field(default=None, metadata=ranges.text())
    needed: str = MISSING
    inner: Inner = field(default_factory=Inner)
    own: Own = field(default_factory=Own)
    free: Any = None


def of(**values: Any) -> DictConfig:
    config = OmegaConf.structured(Outer)
    OmegaConf.set_struct(config, False)
    for key, value in values.items():
        OmegaConf.update(config, key.replace("__", "."), value, force_add=True)
    assert isinstance(config, DictConfig)
    return config


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({}, []),
        ({"kind": "ligth"}, ["kind=ligth: must be one of light, strong. Did you mean 'light'?"]),
        ({"count": 0}, ["count=0: must be 1 or more."]),
        ({"path": ""}, ["path=: must be filled in."]),
        ({"inner__rate": 0}, ["inner.rate=0.0: must be above 0 to 1."]),
        ({"inner__rate": math.nan}, ["inner.rate=nan: must be above 0 to 1."]),
        ({"inner__rte": 1}, ["unknown key 'inner.rte'. Did you mean 'inner.rate'?"]),
        ({"qqq": 1}, ["unknown key 'qqq'."]),
        ({"own__more": 1}, []),
        ({"free": {"a": {"b": 1}}}, []),
        ({"kind": "${nowhere}"}, ["kind: Interpolation key 'nowhere' not found"]),
        ({"kind": "${hydra:job.name}"}, []),
    ],
)
def test_complaints(
    values: dict[str, Any], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # a command that another test ran leaves its job's name behind
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)
    assert list(ranges.complaints(of(**values))) == lines


def test_missing_values_are_listed_in_order_but_hydras() -> None:
    config = OmegaConf.create({"b": "???", "a": {"c": "???", "d": "${b}"}, "hydra": {"x": "???"}})
    assert list(ranges.missing(config)) == ["b", "a.c"]


@settings(deadline=None)  # other work on the machine is no failure
@given(st.floats(), st.booleans(), st.booleans())
def test_between_is_an_interval(value: float, above: bool, below: bool) -> None:
    holds = ranges.between(0, 1, above=above, below=below)["rule"].holds(value)
    assert holds == ((value > 0 if above else value >= 0) and (value < 1 if below else value <= 1))


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (
            ranges.WINDOW,
            ["auto", [0, 4095], [-1.5, 2]],
            ["all", [1], [3, 1], [1, 1], ["a", "b"], 5],
        ),
        (ranges.WORKERS, [0, 4, "auto"], [-1, 1.5, "all", True]),
        (ranges.LIMIT, [0, 3, 0.0, 0.5, 1.0], [-1, 1.5, "all", True]),
        (ranges.DEVICES, [1, [3]], [0, 2, "auto", "all", [0, 1], True]),
        (ranges.CLASS_WEIGHTS, [False, "balanced"], [True, "even", 0.5]),
        (ranges.DETERMINISTIC, [True, False, "warn"], ["yes", 1]),
        (ranges.CHANNELS_LAST, [True, False, "auto"], ["warn", 1]),
        (ranges.CROP, [8, 16, 128], [15, 6, 130, 0]),
        (ranges.BETAS, [[0.9, 0.999], [0, 0]], [[0.9], [0.9, 1], [-0.1, 0.5]]),
        (ranges.NAME, ["vgg19", "my-net_2", "v1.2", "1"], ["", "a/b", "a b", "a:b", "a.", "ü"]),
        (ranges.at_least(2), [2, 2.5], [1, True, math.inf, "2"]),
        (ranges.above_zero(), [1e-9, 3], [0, -1, math.nan, True]),
    ],
)
def test_rules(rule: Metadata, good: list[Any], bad: list[Any]) -> None:
    def holds(value: Any) -> bool:
        return rule["rule"].holds(OmegaConf.create({"v": value}).v)

    assert all(map(holds, good))
    assert not any(map(holds, bad))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"data": {"fold": 5, "folds": 5}}, "data.fold=5: must be below data.folds=5"),
        ({"optimizer": {"lr": 0.1}}, "finetune.head_lr"),
        ({"model": {"name": "x", "_target_": "y"}}, "model.image_size is needed"),
        (
            {"decide": {"name": "escape", "threshold": None, "best_effort": True}},
            "decide=escape: decide.max_escape needs a value.",
        ),
        (
            {"decide": {"name": "fixed", "threshold": 0.5, "max_escape": 0.1}},
            "decide.max_escape belongs to decide=escape or decide=review, not to decide=fixed.",
        ),
        (
            {"decide": {"name": "fixed", "threshold": 0.5, "cost_escape": 9.0}},
            "decide.cost_escape and decide.cost_overkill go together: give both or none.",
        ),
        (
            {
                "decide": {
                    **{"name": "review", "threshold": None, "by": "costs", "best_effort": True},
                    **{"max_escape": 0.1, "max_overkill": 0.1},
                    **{"cost_escape": 9.0, "cost_overkill": 1.0},
                }
            },
            "decide=review: decide.cost_review needs a value.",
        ),
        (
            {"decide": {"name": "youden", "threshold": 0.5}},
            "decide=youden: decide.threshold is found by this rule: leave it out, or take "
            "decide=fixed.",
        ),
    ],
)
def test_what_does_not_go_together(config: dict[str, Any], words: str) -> None:
    (line,) = ranges.cross_complaints(OmegaConf.create(config))
    assert words in line


def test_nothing_to_say_of_other_commands() -> None:
    config = OmegaConf.create({"data": {"window": "auto"}, "out": "x"})
    assert list(ranges.cross_complaints(config)) == []
