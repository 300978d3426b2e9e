"""Launchers and the sweeper of conf/ compose where their plugins are, and say so where not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import hydra
import pytest
from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf

from casting_inspect.config import conf_dir
from casting_inspect.identity import register_resolver
from casting_inspect.overrides import EXTRAS, explained
from casting_inspect.schemas import SCHEMAS, register

PLUGINS = {
    "machine": ("hydra_plugins.hydra_joblib_launcher", "sweep"),
    "slurm": ("hydra_plugins.hydra_submitit_launcher", "cluster"),
    "ray_cluster": ("hydra_plugins.hydra_ray_launcher", "cluster"),
}


def composed(*words: str) -> DictConfig:
    register()
    register_resolver()
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra.compose("train", list(words), return_hydra_config=True)


def need(plugin: str, extra: str) -> None:
    if importlib.util.find_spec(plugin) is None:
        pytest.skip(f"{plugin} (extra {extra}) is not installed")


def test_every_launcher_is_here() -> None:
    assert {path.stem for path in (conf_dir() / "hydra" / "launcher").glob("*.yaml")} == set(
        PLUGINS
    )


@pytest.mark.parametrize("choice", PLUGINS)
def test_a_launcher_composes(choice: str) -> None:
    need(*PLUGINS[choice])
    launcher = composed(f"hydra/launcher={choice}", "jobs=3").hydra.launcher
    plain = OmegaConf.to_container(launcher)
    assert isinstance(plain, dict)
    assert str(plain["_target_"]).startswith("hydra_plugins.")
    if choice == "slurm":
        assert plain["_target_"].endswith("SlurmLauncher")
        assert (launcher.gpus_per_node, launcher.array_parallelism) == (1, 16)
    if choice == "ray_cluster":
        assert (launcher.ray.init.address, launcher.ray.remote.num_cpus) == (None, 1)


def test_jobs_is_the_number_at_once() -> None:
    need(*PLUGINS["machine"])
    found = composed("hydra/launcher=machine", "jobs=3")
    assert OmegaConf.select(found, "hydra.launcher.n_jobs") == 3


@pytest.mark.parametrize("choice", PLUGINS)
def test_a_plugin_that_is_missing_is_one_line(choice: str) -> None:
    plugin, extra = PLUGINS[choice]
    if importlib.util.find_spec(plugin) is not None:
        pytest.skip(f"{plugin} is installed")
    with pytest.raises(MissingConfigException) as caught:
        composed(f"hydra/launcher={choice}")
    line = explained(caught.value, SCHEMAS["train"])
    assert "not installed" in line
    assert f"casting-inspect[{extra}]" in line


def test_what_is_said_of_a_missing_plugin() -> None:
    for choice, extra in EXTRAS.items():
        group = "hydra/sweeper" if choice == "optuna" else "hydra/launcher"
        error = MissingConfigException("gone", f"{group}/{choice}", ["basic"])
        assert explained(error, SCHEMAS["train"]) == (
            f'{group}={choice}: not installed; pip install "casting-inspect[{extra}]" brings it.'
        )


@pytest.mark.slow
def test_runs_go_through_a_local_ray_cluster(castings: Path, tmp_path: Path) -> None:
    need(*PLUGINS["ray_cluster"])
    through(castings, tmp_path, "hydra/launcher=ray_cluster")


@pytest.mark.slow
def test_runs_go_through_submitit_on_this_machine(castings: Path, tmp_path: Path) -> None:
    """The plugin of the SLURM launcher, its jobs local processes."""
    need(*PLUGINS["slurm"])
    through(castings, tmp_path, "hydra/launcher=submitit_local")


def through(castings: Path, folder: Path, launcher: str) -> None:
    """Run a sweep with a launcher, in a process of its own, and once more to find it finished."""
    words = ["trainer=smoke", "model=cnn", "model.image_size=64", "logger=none", "seed=1,2"]
    more = [f"data.root={castings}", f"hydra.sweep.dir={folder / 'sweep'}", launcher]
    command = [sys.executable, "-m", "casting_inspect", "train", "-m", *words, *more]
    for status in (",finished,", ",finished before,"):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
        table = (folder / "sweep" / "runs.csv").read_text(encoding="utf-8")
        assert table.count(status) == 2, table
