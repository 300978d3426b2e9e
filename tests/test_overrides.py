"""Overrides reach the configuration as they were typed, and Hydra's errors become one line."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from casting_inspect import overrides
from casting_inspect.errors import UserError
from casting_inspect.schemas import TrainSchema

ODD_PATHS = [
    "/data/Prüfstücke/Gußteile",
    "/data/first set/b c",
    "/data/set [1]",
    "/data/a,b",
    "/data/a#1",
    "a=b",
    "a&b",
    "~/castings",
    "/data/~old",
    "$HOME/x",
    "a$b",
    "/data/O'Brien",
    "/data/'quoted' twice'",
    "'a' and 'b'",
    '/data/6" pipe',
    '"a" and "b"',
    "back\\slash",
    "ends with a backslash\\",
    "two at the end\\\\",
    "\\'",
    "C:\\castings\\new",
    "C:\\castings\\",
    "C:/castings",
    "\\\\server\\share\\set 1",
    "{a: b}",
    "(x)",
    "range(1,3)",
    "choice(a,b)",
    "1,2,3",
    "007",
    "1e3",
    "true",
    "NULL",
    "100%",
    " leading and trailing ",
    "tab\tin it",
    "a;b|c<d>e!f?*g^h`i",
    "日本/部品",
    "🔩",
    "-m",
    "",
]


def reached(line: str) -> object:
    """Return the value that Hydra's own parser and OmegaConf make of an override."""
    override = OverridesParser.create().parse_override(line)
    assert not override.is_sweep_override()
    return OmegaConf.create({"value": override.value()}).value


@pytest.mark.parametrize("path", ODD_PATHS)
@pytest.mark.parametrize("key", ["source", "+data.root", "++hydra.run.dir"])
def test_paths_arrive_as_typed(key: str, path: str) -> None:
    (line,) = overrides.prepared("prepare", [f"{key}={path}"], multirun=False)
    assert line.startswith(f"{key}=")
    assert reached(line) == path


@settings(deadline=None)  # other work on the machine is no failure
@given(st.text().filter(lambda text: "${" not in text and text not in ("null", "???")))
def test_any_text_arrives_as_typed(text: str) -> None:
    line = overrides.quoted(f"out={text}", {"out"})
    expected = text[1:-1] if overrides._QUOTED.fullmatch(text) else text
    if expected == text:
        assert reached(line) == text
    else:
        assert line == f"out={text}"  # quoted already: Hydra's grammar holds


@pytest.mark.parametrize(
    "key",
    [
        "source",
        "out",
        "run",
        "model",
        "predictions",
        "data.root",
        "data.manifest",
        "model.weights",
        "resume",
        "weights",
        "hydra.run.dir",
    ],
)
def test_every_path_option_is_quoted(key: str) -> None:
    (line,) = overrides.prepared("export", [f"{key}=a b, c=d"], multirun=False)
    assert reached(line) == "a b, c=d"


@pytest.mark.parametrize(
    "line",
    [
        "source=null",
        "source='a b'",
        'source="a b"',
        "source='it\\'s'",
        "source=''",
        "trainer.max_epochs=3",
        "+other.root=[a,b]",
        "~source",
        "source",
        "model=cnn",
    ],
)
def test_what_needs_no_quotes_stays(line: str) -> None:
    assert overrides.prepared("train", [line], multirun=False) == [line]


def test_under_multirun_hydras_grammar_holds() -> None:
    lines = ["data.root=/a,/b", "hydra.sweep.dir=x y"]
    assert overrides.prepared("train", lines, multirun=True) == lines


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("runs/${name} 1", "runs/x 1"),
        ("C:\\runs\\${name}\\a", "C:\\runs\\x\\a"),
        ("a\\\\${name}", "a\\\\x"),
        ("${name}", "x"),
    ],
)
def test_interpolations_stay_interpolations(typed: str, expected: str) -> None:
    line = overrides.quoted(f"out={typed}", {"out"})
    value = OverridesParser.create().parse_override(line).value()
    assert OmegaConf.create({"name": "x", "out": value}).out == expected


def test_a_target_alone_chooses_the_custom_network() -> None:
    line = "model._target_=my_package.Net"
    for multirun in (False, True):
        assert overrides.prepared("train", [line], multirun=multirun) == [line, "model=custom"]
    assert overrides.prepared("train", [line, "model=cnn"], multirun=False) == [line, "model=cnn"]
    assert overrides.prepared("prepare", [line], multirun=False) == [line]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("data.aliases={x: normal}", "++data.aliases={x: normal}"),
        ("aliases.x=normal", "++aliases.x=normal"),
        ("+aliases.x=normal", "+aliases.x=normal"),
        ("data.aliasing=1", "data.aliasing=1"),
    ],
)
def test_tables_of_the_users_own_are_open(line: str, expected: str) -> None:
    assert overrides.opened(line) == expected


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("seed", "'seed' has no '='"),
        ("=3", "'=3' has no key"),
        ("seed={a", "cannot read 'seed={a'"),
        ("a b=3", "cannot read 'a b=3'"),
        ("seed=nope(3)", "Unknown function 'nope'"),
        ("seed=range(a)", "cannot read"),
    ],
)
def test_what_cannot_be_parsed_is_one_line(line: str, words: str) -> None:
    with pytest.raises(UserError) as raised:
        overrides.parsed([line])
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_sweeps_are_spelt_out() -> None:
    lines = ["a=1", "b=x,y", "c=range(1,4)", "+d=choice(p,q)", "e=interval(0,1)", "~f"]
    assert overrides.sweeps(overrides.parsed(lines)) == [
        ["a=1"],
        ["b=x", "b=y"],
        ["c=1", "c=2", "c=3"],
        ["+d=p", "+d=q"],
        ["e=0.0", "e=1.0"],
        ["~f"],
    ]


@pytest.mark.parametrize("line", ["seed=range(1,3,0)", "seed=range(3,1)", "seed=range(0.0,1.0,0)"])
def test_a_sweep_without_values_is_one_line(line: str) -> None:
    with pytest.raises(UserError, match=r"^seed=range\(.*\): .+$"):
        overrides.sweeps(overrides.parsed([line]))


@pytest.mark.parametrize(
    ("name", "siblings", "meant"),
    [
        ("trainer.max_epoch", ["max_epochs", "devices"], "trainer.max_epochs"),
        ("max_epochs", ["trainer", "data"], "trainer.max_epochs"),
        ("lr", ["logger"], "finetune.head_lr"),
        ("modl", ["model", "data"], "model"),
        ("data.mirror", ["root"], "augment.mirror"),
        ("optimizer._target", ["_target_"], None),
        ("qqqq", ["model"], None),
    ],
)
def test_the_nearest_key_is_offered(name: str, siblings: list[str], meant: str | None) -> None:
    line = overrides.unknown(name, siblings, TrainSchema)
    hint = f" Did you mean '{meant}'?" if meant else ""
    assert line == f"unknown key '{name}'.{hint}"


def test_all_keys_of_a_schema_are_known() -> None:
    keys = overrides.dotted_keys(TrainSchema)
    assert {"seed", "data", "data.synthetic.parts", "callbacks.early_stopping.patience"} <= set(
        keys
    )
