"""The commands from a shell: exit codes, nothing heavy imported for an answer, any folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import casting_inspect
from casting_inspect import cli

PACKAGE = Path(casting_inspect.__file__).parent
HEAVY = ("torch", "lightning", "torchvision", "sklearn", "pandas", "matplotlib", "rich", "numpy")

# runs a module as `python -m` does and says which heavy packages it has imported
WATCHED = """
import json, runpy, sys
code = 0
try:
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
except SystemExit as leaving:
    code = leaving.code
print(json.dumps([name for name in {heavy} if name in sys.modules]), file=sys.stderr)
raise SystemExit(code)
"""


def run(
    *words: str, cwd: Path, watched: bool = False, path: Path = PACKAGE.parent
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m words`` in a folder, with the package from ``path``."""
    start = ["-c", WATCHED.format(heavy=HEAVY)] if watched else ["-m"]
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, *start, *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=180,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [
        ("casting_inspect.train --help", 0, "Groups (GROUP=CHOICE"),
        ("casting_inspect.train --cfg job", 0, "max_epochs: 30"),
        ("casting_inspect.train trainer.max_epoch=3", 2, "Did you mean 'trainer.max_epochs'?"),
        ("casting_inspect train model=vgg91", 2, "Did you mean 'vgg19'?"),
        ("casting_inspect train -m seed=1,2 data.fold=0,9", 2, "must be below data.folds=5"),
        ("casting_inspect train resume=nowhere", 2, "no config.yaml there"),
        ("casting_inspect", 0, "  train      fit a network"),
        ("casting_inspect --version", 0, casting_inspect.__version__),
        ("casting_inspect.prepare --help", 0, "recipe=folder"),
        ("casting_inspect.audit --help", 0, "fail_on=[leak]"),
        ("casting_inspect.evaluate out=x", 2, "predictions is needed"),
        ("casting_inspect.plan --help", 0, "expected_escape=0.002"),
        ("casting_inspect.plan max_escap=0.1", 2, "Did you mean 'max_escape'?"),
        ("casting_inspect.reproduce --help", 0, "Exit code 0: reproduced"),
        ("casting_inspect reproduce out=x", 2, "run is needed"),
        ("casting_inspect.doctor --help", 0, "out=doctor.json"),
        ("casting_inspect.demo --help", 0, "weights=imagenet"),
    ],
)
def test_an_answer_imports_nothing_heavy(words: str, code: int, shown: str, tmp_path: Path) -> None:
    done = run(*words.split(), cwd=tmp_path, watched=True)
    assert done.returncode == code, done.stderr
    assert shown in done.stdout + done.stderr
    assert json.loads(done.stderr.splitlines()[-1]) == []
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_is_one_line_on_stderr(tmp_path: Path) -> None:
    done = run("casting_inspect.train", "trainer.max_epochs=ten", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "casting-inspect train: trainer.max_epochs=ten: must be a whole number.\n"
    )


def test_it_works_from_a_wheels_layout(tmp_path: Path) -> None:
    site = tmp_path / "site, [packages] ü"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(PACKAGE, site / "casting_inspect", ignore=ignore)
    if not (PACKAGE / "conf").is_dir():
        shutil.copytree(PACKAGE.parent / "conf", site / "casting_inspect" / "conf")
    done = run("casting_inspect", "train", "--info", "searchpath", cwd=tmp_path, path=site)
    assert str(site / "casting_inspect" / "conf") in done.stdout
    done = run("casting_inspect.train", "model=cnx", cwd=tmp_path, path=site)
    assert "Did you mean 'cnn'?" in done.stderr


def test_names_that_the_code_page_lacks_are_written_in_escapes(tmp_path: Path) -> None:
    for folder in ("годен", "брак"):
        (tmp_path / "детали" / folder).mkdir(parents=True)
        (tmp_path / "детали" / folder / "ä.png").write_bytes(b"")
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "PYTHONIOENCODING": "cp1252"}
    words = ["start", "source=детали", "data.normal=['годен']"]
    done = subprocess.run(
        [sys.executable, "-X", "utf8=1", "-m", "casting_inspect", *words],
        cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    lost = "детали".encode("cp1252", "backslashreplace")
    assert lost + b": 2 pictures" in done.stdout
    assert done.stderr.startswith(b"casting-inspect start: " + lost)
    assert b"Traceback" not in done.stderr


def test_what_reads_the_output_may_stop_reading(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    with subprocess.Popen(
        [sys.executable, "-m", "casting_inspect.train", "--help"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # before it has written anything
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_commands_are_listed_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"], ["-h"], ["help"]):
        assert cli.main(words) == 0
        out = capsys.readouterr().out
        for name, purpose in cli.COMMANDS.items():
            assert f"  {name} " in out
            assert purpose in out
            assert (PACKAGE / f"{name}.py").is_file()


def test_an_unknown_command_offers_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trian"]) == 2
    assert capsys.readouterr().err == (
        "casting-inspect: unknown command 'trian'. Did you mean 'train'?\n"
    )
    assert cli.main(["xyz"]) == 2
    assert f"There are {', '.join(cli.COMMANDS)}." in capsys.readouterr().err


def test_the_rest_of_the_words_goes_to_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["casting-inspect", "train", "model=vgg91"])
    assert cli.main() == 2
    assert "casting-inspect train: model=vgg91" in capsys.readouterr().err


def test_a_network_of_ones_own_is_found_where_the_command_is_typed(tmp_path: Path) -> None:
    (tmp_path / "my_own.py").write_text("class Net:\n    pass\n")
    script = (
        "import sys; from casting_inspect.cli import main; sys.exit(main(['doctor', '--help']))"
    )
    program = tmp_path / "bin" / "casting-inspect"
    program.parent.mkdir()
    program.write_text(script.replace("sys.exit(", "code = (") + "; import my_own; sys.exit(code)")
    done = subprocess.run(
        [sys.executable, str(program)],  # its folder, not this one, is the first of sys.path
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
