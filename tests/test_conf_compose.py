"""Every file in conf/ composes, is commented, is named in the help, and agrees with the code."""

from __future__ import annotations

import ast
import re
from argparse import Namespace
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from casting_inspect import config
from casting_inspect.composition import help_text
from casting_inspect.ranges import complaints, cross_complaints, missing
from casting_inspect.schemas import SCHEMAS, register

CONF = config.conf_dir()
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
CHOICES = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
FILES = sorted(CONF.rglob("*.yaml"))
SHOWN = Namespace(config_name=None, config_dir=None)


def composed(name: str, *overrides: str) -> DictConfig:
    register()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose(name, list(overrides))


def found_in(composition: DictConfig) -> list[str]:
    return [*complaints(composition), *cross_complaints(composition)]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_defaults_of_every_command_are_valid(name: str) -> None:
    assert found_in(composed(name)) == []


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_is_valid(group: str, choice: str) -> None:
    composition = composed("train", f"{group}={choice}")
    assert found_in(composition) == []
    needed = {"custom": ["model._target_"], "folder": ["data.root"]}
    assert list(missing(composition)) == needed.get(choice, [])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_every_file_says_what_it_is_for_and_every_key_what_it_does(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    heading = lines[1] if lines[0] == "# @package _global_" else lines[0]
    assert heading.startswith("# ")
    if "hydra/" in str(path.relative_to(CONF)) or path.parent.name == "experiment":
        return  # Python's logging keys; a protocol's values are explained in their groups
    own = "\n".join(lines).split("\nhydra:\n")[0].split("\n_self_")[0]
    body = re.sub(r"(?ms)^defaults:\n(  .*\n?)*", "", own)
    inherits = "  - /schema/" not in own and path.parent != CONF
    for line in body.splitlines():
        key = re.match(r" *([a-z_]+):( +\S|$| +#)", line)
        if key and not inherits and not line.endswith(":"):
            assert " # " in line, f"{path.name}: {line}"


def test_the_papers_protocol() -> None:
    paper = composed("train", "experiment=paper", "data.root=/x")
    assert (paper.data.split, paper.data.test_fraction, paper.data.val_fraction) == ("file", 0.4, 0)
    assert (paper.trainer.max_epochs, paper.callbacks.early_stopping) == (100, None)
    assert (paper.model.name, paper.finetune.strategy, paper.augment.name) == (
        "vgg19",
        "auto",  # frozen with pretrained weights
        "none",
    )
    watched = composed("train", "experiment=paper", "callbacks.watch_test=true")
    assert watched.callbacks.watch_test
    full = composed("train", "experiment=paper_full_finetune")
    assert (full.finetune.strategy, full.trainer.precision) == ("full", "bf16-mixed")
    assert (full.trainer.accelerator, full.trainer.max_epochs) == ("gpu", 100)
    assert (full.data.split, full.model.head) == ("file", "paper")


def test_values_of_an_experiment_can_be_overridden() -> None:
    paper = composed("train", "experiment=paper", "model.head=attention", "trainer.max_epochs=3")
    assert (paper.model.head, paper.trainer.max_epochs) == ("attention", 3)
    assert composed("train", "experiment=paper", "model=cnn").model.name == "cnn"


def assignments(path: str, name: str) -> Any:
    """Return the value given to a name at a module's top, evaluated as a literal call."""
    tree = ast.parse((Path(config.__file__).parent / path).read_text(encoding="utf-8"))
    for node in tree.body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            assert isinstance(node, ast.AnnAssign | ast.Assign)
            return node.value
    raise AssertionError(f"{path} has no {name}")


def test_augmentation_is_what_the_code_calls_by_that_name() -> None:
    strengths = assignments("data/augment.py", "STRENGTHS")
    assert isinstance(strengths, ast.Dict)
    for key, call in zip(strengths.keys, strengths.values, strict=True):
        name = ast.literal_eval(key)  # type: ignore[arg-type]
        assert isinstance(call, ast.Call)
        given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
        node = OmegaConf.to_container(composed("train", f"augment={name}").augment)
        plain = OmegaConf.to_container(composed("train", "augment=none").augment)
        assert isinstance(plain, dict)
        assert node == {**plain, "name": name, **given}


@pytest.mark.parametrize("choice", ["vgg19", "lin2018", "nguyen2021", "cnn"])
def test_model_keys_are_the_constructors_keywords_and_defaults(choice: str) -> None:
    node = OmegaConf.to_container(composed("train", f"model={choice}").model)
    assert isinstance(node, dict)
    module, _, name = str(node.pop("_target_")).rpartition(".")
    source = Path(config.__file__).parents[1] / (module.replace(".", "/") + ".py")
    (network,) = (
        found
        for found in ast.parse(source.read_text(encoding="utf-8")).body
        if isinstance(found, ast.ClassDef) and found.name == name
    )
    (init,) = (
        found
        for found in network.body
        if isinstance(found, ast.FunctionDef) and found.name == "__init__"
    )
    defaults = {
        argument.arg: ast.literal_eval(value)
        for argument, value in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
        if value is not None
    }
    assert {k: v for k, v in node.items() if k not in ("name", "image_size")} == defaults
    assert node["name"] == choice


@pytest.mark.parametrize("name", SCHEMAS)
def test_help_has_purpose_groups_keys_and_three_examples(name: str) -> None:
    register()
    text = help_text(name, CONF, SHOWN, [])
    assert text.startswith(f"casting-inspect {name}: ")
    assert text.count(f"  casting-inspect {name}") == 3
    assert max(map(len, text.splitlines())) <= 100
    assert "${" not in text.replace("${predictions}", "")
    if name == "train":
        for group, choice in CHOICES:
            (found,) = re.findall(rf"^  {group} .*(?:\n {{14}}.*)*", text, re.MULTILINE)
            assert re.search(rf"\b{choice}\b", found)
    else:
        assert "Groups: none" in text


def test_help_names_the_default_choice_first_and_keys_that_exist() -> None:
    register()
    text = help_text("train", CONF, SHOWN, [])
    assert re.search(r"model +vgg19, ", text)
    composition = composed("train")
    for key in re.findall(r"^  ([a-z_.]+)=", text, re.MULTILINE):
        if not key.startswith("hydra."):
            assert OmegaConf.select(composition, key, default="absent") != "absent"


def test_a_folder_of_ones_own_adds_choices(tmp_path: Path) -> None:
    register()
    (tmp_path / "model").mkdir()
    own = {"name": "mine", "image_size": 64, "_target_": "my_package.Net", "anything": 3}
    (tmp_path / "model" / "mine.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    flags = Namespace(config_name=None, config_dir=str(tmp_path))
    assert re.search(r"(?s)model +mine, .*vgg19", help_text("train", CONF, flags, ["model=mine"]))
