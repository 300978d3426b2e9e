"""Composing a configuration without running anything: its checks, and the help text."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from casting_inspect import overrides
from casting_inspect.errors import UserError
from casting_inspect.ranges import complaints, cross_complaints, missing
from casting_inspect.schemas import SCHEMAS


@dataclass(frozen=True)
class Checked:
    """A composed configuration without mistakes.

    Attributes:
        config: With Hydra's own node; of a multirun, the first values of each sweep.
        several: Whether this is a multirun.
        swept: What is swept over: key and values as text.
    """

    config: DictConfig
    several: bool
    swept: Mapping[str, str] = field(default_factory=dict)


COMPOSING_ERRORS = (HydraException, OmegaConfBaseException, YAMLError, ValueError)


def checked(name: str, conf: Path, flags: argparse.Namespace, lines: Sequence[str]) -> Checked:
    """Compose and check the configuration, in a multirun with each value that is swept over.

    The values of one sweep are tried with the first values of the others: each configuration
    that is checked is one that would run.

    Args:
        name: The command.
        conf: The folder of its configuration.
        flags: Hydra's flags.
        lines: Overrides, fit for Hydra's grammar.

    Returns:
        What was found good.

    Raises:
        UserError: At the first mistake.
    """
    with hydra.initialize_config_dir(str(conf), version_base="1.3", job_name=name):
        loader = GlobalHydra.instance().config_loader()
        parsed = overrides.parsed(lines, loader)
        _check_choices(parsed, conf, flags)
        alternatives = overrides.sweeps(parsed)
        config = _check(name, flags, [values[0] for values in alternatives])
        if not flags.multirun and config.hydra.mode != RunMode.MULTIRUN:
            _refuse_sweeps(parsed)
            return Checked(config, several=False)
        typed = {override.key_or_group for override in parsed}
        params = OmegaConf.select(config, "hydra.sweeper.params") or {}
        more = [f"{key}={value}" for key, value in params.items() if key not in typed]
        parsed += overrides.parsed(more, loader)
        alternatives = overrides.sweeps(parsed)
        base = [values[0] for values in alternatives]
        if more:
            config = _check(name, flags, base)
        for place, values in enumerate(alternatives):
            for value in values[1:]:
                _check(name, flags, [*base[:place], value, *base[place + 1 :]])
    swept = {o.key_or_group: str(o.input_line) for o in parsed if o.is_sweep_override()}
    return Checked(config, several=True, swept=swept)


def help_text(name: str, conf: Path, flags: argparse.Namespace, lines: Sequence[str]) -> str:
    """Return a command's help, its choices filled in; Hydra's own way takes a second and a half."""
    with hydra.initialize_config_dir(str(conf), version_base="1.3", job_name=name):

        def choices_of(group: str) -> str:
            """Return a group's choices, the default one first."""
            default = config.hydra.runtime.choices.get(group)
            found = sorted(
                choices(conf, flags, group), key=lambda choice: (choice != default, choice)
            )
            return textwrap.fill(", ".join(found), 84, subsequent_indent=" " * 14)

        OmegaConf.register_new_resolver("choices_of", choices_of, replace=True)
        config = _composed(name, flags, lines)
        return str(config.hydra.help.template).rstrip()


def choices(conf: Path, flags: argparse.Namespace, group: str) -> list[str]:
    """Return a group's choices in conf/ and in the folder of ``--config-dir``."""
    folders = [conf, Path(flags.config_dir)] if flags.config_dir else [conf]
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def _check_choices(parsed: Sequence[Override], conf: Path, flags: argparse.Namespace) -> None:
    """Refuse what is no single word as a group's choice; Hydra would not name the group."""
    for override in parsed:
        group, value = override.key_or_group, override.value()
        if override.is_sweep_override() or override.is_delete() or isinstance(value, str):
            continue
        if "." not in group and (options := choices(conf, flags, group)):
            raise UserError(f"{override.input_line}: must be one of {', '.join(options)}.")


def _refuse_sweeps(parsed: Sequence[Override]) -> None:
    for override in parsed:
        if override.is_sweep_override():
            key, _, value = str(override.input_line).partition("=")
            raise UserError(
                f"'{override.input_line}' has several values: write -m to run them all, "
                f"{key}=[{value}] for a list, or \"{key}='{value}'\" for text."
            )


def _check(name: str, flags: argparse.Namespace, words: Sequence[str]) -> DictConfig:
    """Compose one configuration and check it; with ``--cfg`` values may be missing.

    Raises:
        UserError: At the first mistake.
    """
    config = _composed(name, flags, words)
    for complaint in (*complaints(config), *cross_complaints(config)):
        raise UserError(complaint)
    for key in missing(config) if flags.cfg is None else ():
        typed = "model" if (name, key) == ("predict", "model.path") else key
        raise UserError(f"{typed} is needed: add {typed}=VALUE. --help says what it is.")
    return config


def _composed(name: str, flags: argparse.Namespace, words: Sequence[str]) -> DictConfig:
    """Compose one configuration, of overrides without sweeps.

    Raises:
        UserError: If Hydra cannot.
    """
    main, path = flags.config_name or name, _search_path(flags)
    try:
        return hydra.compose(main, [*words, *path], return_hydra_config=True)
    except COMPOSING_ERRORS as error:
        raise UserError(overrides.explained(error, SCHEMAS[name])) from error
    except AssertionError:  # OmegaConf's only answer to a key below null
        for word in words:
            parent = overrides.key_of(word).rpartition(".")[0]
            others = [other for other in words if other != word]
            found = hydra.compose(main, [*others, *path]) if parent and others else None
            if found is not None and OmegaConf.select(found, parent) is None:
                raise UserError(f"{word}: {parent} is null with these settings.") from None
        raise


def _search_path(flags: argparse.Namespace) -> list[str]:
    """Return the override that stands for ``--config-dir`` when composing."""
    if flags.config_dir is None:
        return []
    folder = Path(flags.config_dir).absolute()
    if not folder.is_dir():
        raise UserError(f"--config-dir {flags.config_dir}: no such folder.")
    text = QuotedString(text=f"file://{folder}", quote=Quote.single).with_quotes()
    return [f"hydra.searchpath=[{text}]"]
