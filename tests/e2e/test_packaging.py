"""The wheel works in another environment and from another folder; so does the editable install."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONWARNINGS")}
    done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    run([*build, str(REPOSITORY)], out)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of a new environment that holds the wheel and sees our packages."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps"]
    run([*install, "--no-index", str(wheel)], folder)
    site = run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], folder
    ).stdout.strip()
    # a path in a .pth file is searched last, and its own .pth files are not read: the editable
    # install of the test environment stays invisible
    Path(site, "test_environment.pth").write_text(sysconfig.get_paths()["purelib"])
    return python


@pytest.mark.slow
def test_the_wheel_holds_package_and_configuration(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "casting_inspect/conf/train.yaml" in names
    assert "casting_inspect/conf/model/vgg19.yaml" in names
    assert "casting_inspect/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "conf/", "experiments/"))]


@pytest.mark.slow
def test_the_wheel_trains_from_another_folder(python: Path, castings: Path, tmp_path: Path) -> None:
    where = "import casting_inspect; print(casting_inspect.__file__)"
    found = Path(run([str(python), "-c", where], tmp_path).stdout.strip())
    assert found.is_relative_to(python.parents[1])
    words = ["model=cnn", "model.image_size=64", "trainer=smoke", f"data.root={castings}"]
    run([str(python), "-m", "casting_inspect.train", *words, "hydra.run.dir=run"], tmp_path)
    assert (tmp_path / "run" / "metrics.json").exists()
    script = python.with_name("casting-inspect.exe" if os.name == "nt" else "casting-inspect")
    assert "prepare" in run([str(script)], tmp_path).stdout


@pytest.mark.slow
def test_the_editable_install_finds_the_checkout_from_another_folder(tmp_path: Path) -> None:
    where = "import casting_inspect; print(casting_inspect.__file__)"
    found = run([sys.executable, "-c", where], tmp_path).stdout.strip()
    assert Path(found) == REPOSITORY / "casting_inspect" / "__init__.py"
    shown = run([sys.executable, "-m", "casting_inspect.train", "--cfg", "job"], tmp_path).stdout
    assert "image_size: 224" in shown
