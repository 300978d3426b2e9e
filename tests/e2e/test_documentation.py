"""Every command in the documentation runs, every setting in it exists, and the pages build."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import hydra
import pandas as pd
import pytest
from documented import OURS, PAGES, ROOT, blocks, commands, inline
from omegaconf import DictConfig, OmegaConf
from torchvision.models import VGG19_Weights

from casting_inspect import cli, config
from casting_inspect.schemas import SCHEMAS, register

# what else may be typed, none of which is this package's own
OTHERS = {"make", "pip", "py", "tensorboard", "git", ".venv\\Scripts\\pip",
          ".venv\\Scripts\\activate", ".venv\\Scripts\\casting-inspect"}  # fmt: skip
# not here: a GPU, a cluster, a camera, the public pictures; and the demonstration, which has a
# test of its own: these are composed and not run
ELSEWHERE = ("trainer=gpu", "paper_full_finetune", "hydra/launcher=", "camera:0", "recipe=paper",
             "demo")  # fmt: skip
# added to a command, so that it ends soon; what the command itself says stays
SOON = {
    "train": ["trainer.max_epochs=2", "data.folds=2", "data.inner_folds=2", "report.most=4",
              "callbacks.progress_bar=false", "model.image_size=64"],
    "start": ["model.image_size=64"],
    "export": ["precision=fp32", "parity.limit=8"],
    "evaluate": ["map.most=4"],
    "predict": ["progress=false"],
}  # fmt: skip
SOON_IF = {
    "search_vgg19": ["hydra.sweeper.n_trials=2"],
    "experiment=paper": ["data.inner_folds=1"],
    "stress=true": ["stress_limit=2"],
    "watch=true": ["limit=4"],
}
OF_ITS_OWN = ("floor", "lin2018", "baselines")  # whose pictures have sizes of their own


@pytest.fixture
def plant(castings: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder as the pages take it for granted, and work there."""
    here = tmp_path / "plant"
    here.mkdir()
    shutil.copytree(castings, here / "castings")
    (here / "vgg19.pth").hardlink_to(weights)
    downloaded = (
        tmp_path / "torch" / "hub" / "checkpoints" / Path(VGG19_Weights.IMAGENET1K_V1.url).name
    )
    downloaded.parent.mkdir(parents=True)
    downloaded.hardlink_to(weights)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    table = pd.read_csv(castings / "manifest.csv", dtype=str)
    for row in table.itertuples():
        for folder in ("pictures", "drop"):
            name = "gut" if row.label == "normal" else "schlecht"
            to = here / folder / (name if folder == "pictures" else "") / Path(str(row.path)).name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(castings / str(row.path), to)
    monkeypatch.chdir(here)
    return here


def typed(words: list[str]) -> list[str]:
    """Return the command as it is run here: as typed, and soon done."""
    command, text = words[1], " ".join(words)
    if any(mark in text for mark in ELSEWHERE):
        alone = [word for word in words[1:] if word != "-m" and "launcher" not in word]
        return [*(re.sub(r"=([^\[,]+),.*", r"=\1", word) for word in alone), "--cfg", "job"]
    given = {word.partition("=")[0] for word in words}
    added = [*SOON.get(command, [])]
    for mark, more in SOON_IF.items():
        if mark in text:
            keys = {word.partition("=")[0] for word in more}
            added = [*(word for word in added if word.partition("=")[0] not in keys), *more]
            given -= keys
    if any(mark in text for mark in OF_ITS_OWN):
        given.add("model.image_size")
    return [*words[1:], *(word for word in added if word.partition("=")[0] not in given)]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_runs(
    page: Path, plant: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(plant))  # as a process of the user's own would have it
    for block in blocks(page):
        if block.language == "python":
            file = re.match(r"# file: (\S+)\n", block.text)
            if file:
                (plant / file[1]).write_text(block.text, encoding="utf-8")
            else:
                exec(compile(block.text, str(page), "exec"), {})
        if block.language != "sh":
            continue
        for words in commands(block):
            if words[0] != OURS:
                continue
            if "other_tool.csv" in " ".join(words):
                other_tool(plant)
            if words[1] == "prepare":  # into a new folder, as it asks for
                shutil.rmtree(plant / "castings", ignore_errors=True)
            code = cli.main(typed(words))
            said = capsys.readouterr()
            assert code == 0, f"{page.name}: {' '.join(words)}\n{said.out}{said.err}"


def other_tool(plant: Path) -> None:
    """Write the table of another tool on the files that a run of the sweep has tested."""
    run = next((plant / "sweep").glob("*/predictions.csv"))
    table = pd.read_csv(run, dtype=str).fillna("")
    table = table[(table["split"] == "test") & (table["inner"] == "")]
    table = table.drop_duplicates("path")[["path", "label", "group", "split", "fold", "p_normal"]]
    table.assign(model="other").to_csv(plant / "other_tool.csv", index=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_nothing_else_is_typed(page: Path) -> None:
    """What is not run by the test above is known by name, with extras and targets that exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for block in blocks(page):
        if block.language not in ("sh", "bat"):
            continue
        for words in map(str.split, block.text.splitlines()):
            assert words[0] == OURS or words[0] in OTHERS, words
            if words[0] == "make":
                assert set(words[1:2]) <= set(targets), words
    text = page.read_text(encoding="utf-8")
    for found in re.findall(r"(?:casting-inspect|\.)\[([a-z,]+)\]", text):
        assert set(found.split(",")) <= extras, found


@pytest.fixture(scope="module")
def keys() -> set[str]:
    """Return every key of every command, with what each choice of a group adds."""
    found: set[str] = {"hydra.run.dir", "hydra.sweep.dir", "hydra.sweeper.n_trials"}
    register()
    groups = [p for p in config.conf_dir().iterdir() if p.is_dir() and p.name != "hydra"]
    with hydra.initialize_config_dir(str(config.conf_dir()), version_base="1.3"):
        for name in SCHEMAS:
            found |= dotted(hydra.compose(name))
        for group in groups:
            found.add(group.name)
            for choice in group.glob("*.yaml"):
                found |= dotted(hydra.compose("train", [f"{group.name}={choice.stem}"]))
    return found


def dotted(node: DictConfig, before: str = "") -> set[str]:
    """Return a configuration's keys with those above them."""
    found = set()
    for key in node:
        found.add(f"{before}{key}")
        below = OmegaConf.to_container(node, throw_on_missing=False)
        if isinstance(below, dict) and isinstance(below[key], dict):
            found |= dotted(OmegaConf.create(below[key]), f"{before}{key}.")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_setting_that_is_named_exists(page: Path, keys: set[str]) -> None:
    for text in inline(page):
        for word in shlex.split(text) if text.count("'") % 2 == 0 else text.split():
            setting = re.match(r"\+?([a-z_]+(?:[./][a-z_]+)*)=\S", word)
            if setting and not re.match(r"(WEIGHTS|OUT|BENCH)", word):
                custom = word.startswith("+") or setting[1] in ("hydra/launcher", "recipe")
                assert custom or setting[1] in keys, f"{page.name}: {word}"


@pytest.mark.slow
def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html",
         "-d", str(tmp_path / "trees"), str(ROOT / "docs"), str(tmp_path / "site")],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    built = {path.stem for path in (tmp_path / "site").glob("*.html")}
    assert {page.stem for page in PAGES if page.parent.name == "docs"} <= built


def test_the_readme_is_one_screen_and_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 75
    for page in PAGES[1:]:
        if page.stem != "index":
            assert f"docs/{page.name}" in readme
