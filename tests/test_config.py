"""A command runs as Hydra runs it; a user's mistake is one line and exit code 2."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from casting_inspect import __version__, config, plan
from casting_inspect.config import resolved, run_command
from casting_inspect.errors import UserError

Run = Callable[..., int]


class Recorder:
    """A job that keeps what it was given."""

    def __init__(self) -> None:
        self.configs: list[DictConfig] = []
        self.folders: list[Path] = []
        self.commands: list[list[str]] = []
        self.error: BaseException | None = None

    def __call__(self, cfg: DictConfig) -> None:
        self.configs.append(cfg)
        self.folders.append(config.run_folder())
        self.commands.append(config.command_line())
        logging.getLogger("job").info("at work")
        if self.error is not None:
            raise self.error


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.chdir(tmp_path)
    return Recorder()


def test_a_run_has_its_folder_log_and_configuration(job: Recorder, tmp_path: Path) -> None:
    folder = tmp_path / "a, [b] 'c' = ü"
    words = ["model=cnn", "seed=7", f"hydra.run.dir={folder}"]
    assert run_command("train", job, words) == 0
    assert job.folders == [folder]
    assert job.commands == [["casting-inspect", "train", *words]]
    assert (job.configs[0].model.name, job.configs[0].seed) == ("cnn", 7)
    assert "hydra" not in job.configs[0]
    assert sorted(path.name for path in folder.iterdir()) == ["train.log"]
    log = (folder / "train.log").read_text(encoding="utf-8")
    assert log.rstrip().endswith("INFO job: at work")
    assert not (tmp_path / "runs").exists()


def test_the_default_folder_has_the_date_and_the_time(job: Recorder, tmp_path: Path) -> None:
    assert run_command("train", job, ["model=cnn"]) == 0
    (folder,) = job.folders
    assert folder.parent.parent == tmp_path / "runs"
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize(
    ("name", "words"),
    [("prepare", ["out=o"]), ("evaluate", ["predictions=p.csv", "out=o"]), ("demo", [])],
)
def test_other_commands_leave_nothing_of_hydras(
    job: Recorder, tmp_path: Path, name: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(name, job, words) == 0
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == "at work\n"


def test_hydra_and_logging_are_left_as_they_were(job: Recorder) -> None:
    before, level = logging.getLogger().handlers[:], logging.getLogger().level
    argv, environment = sys.argv, dict(os.environ)
    assert run_command("train", job, ["model=cnn"]) == 0
    assert run_command("train", job, ["model=vgg91"]) == 2
    assert logging.getLogger().handlers == before
    assert logging.getLogger().level == level
    assert not GlobalHydra.instance().is_initialized()
    assert sys.argv is argv
    assert dict(os.environ) == environment


def test_words_come_from_the_command_line_by_default(
    job: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["program", "out=somewhere"])
    assert run_command("demo", job) == 0
    assert job.configs[0].out == "somewhere"


MISTAKES = [
    # unknown keys, at any depth, with and without plus
    ("trainer.max_epoch=3", "unknown key 'trainer.max_epoch'. Did you mean 'trainer.max_epochs'?"),
    ("sede=3", "unknown key 'sede'. Did you mean 'seed'?"),
    ("max_epochs=3", "unknown key 'max_epochs'. Did you mean 'trainer.max_epochs'?"),
    ("modl=cnn", "unknown key 'modl'. Did you mean 'model'?"),
    ("+sedd=3", "unknown key 'sedd'. Did you mean 'seed'?"),
    ("+trainer.max_epoch=3", "Did you mean 'trainer.max_epochs'?"),
    ("hydra.run.dirr=x", "unknown key 'hydra.run.dirr'. Did you mean 'hydra.run.dir'?"),
    ("data.synthetic.part=3", "Did you mean 'data.synthetic.parts'?"),
    # wrong choices
    ("model=vgg91", "model=vgg91: must be one of cnn, custom, floor_background, floor_histogram,"),
    ("experiment=papr", "Did you mean 'paper'?"),
    ("data=null", "data=null: must be one of folder, synthetic."),
    ("model=[cnn,vgg19]", "model=[cnn,vgg19]: must be one of"),
    ("hydra/launcher=nope", "hydra/launcher=nope: must be one of basic, "),
    # wrong types
    ("trainer.max_epochs=ten", "trainer.max_epochs=ten: must be a whole number."),
    ("finetune.head_lr=small", "finetune.head_lr=small: must be a number."),
    ("finetune.cached=maybe", "finetune.cached=maybe: must be true or false."),
    ("data.split=[a]", "data.split=[a]: must be text."),
    ("seed=null", "seed=null: must not be null."),
    ("seed.x=3", "must be a whole number."),
    # out of range
    ("data.val_fraction=1.5", "data.val_fraction=1.5: must be from 0 to below 1."),
    ("data.fold=7", "data.fold=7: must be below data.folds=5"),
    ("model.image_size=0", "model.image_size=0: must be 64 or more."),
    ("finetune.head_lr=0", "finetune.head_lr=0.0: must be above 0."),
    ("data.split=grup", "must be one of group, lot, time, file, vendor, manifest. Did you mean"),
    ("data.root=", "data.root=: must be filled in."),
    # grammar
    ("seed", "'seed' has no '=': write KEY=VALUE."),
    ("seed={a", "cannot read 'seed={a'"),
    ("seed=1,2", "'seed=1,2' has several values: write -m to run them all"),
    ("+seed=3", "+seed=3: the key is there already, so leave out the '+'."),
    ("~sede", "'sede' does not exist."),
    ("~data.folds", "~data.folds: this key cannot be taken out."),
    ("data@x=folder", "data@x"),
    # the rest
    ("+optimizer.lr=0.1", "finetune.head_lr"),
    ("data=folder", "data.root is needed: add data.root=VALUE."),
    ("model=custom", "model._target_ is needed"),
    ("data.root=${nowhere}", "data.root: Interpolation key 'nowhere' not found"),
    ("--nonsense", "unrecognized arguments: --nonsense."),
    ("--cfg=jbo", "invalid choice: 'jbo'"),
    ("--config-dir=nowhere", "--config-dir nowhere: no such folder."),
    ("callbacks=none callbacks.early_stopping.patience=3", "callbacks.early_stopping is null"),
]


@pytest.mark.parametrize(("words", "line"), MISTAKES)
def test_a_mistake_is_one_line(
    job: Recorder, tmp_path: Path, words: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("train", job, words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("casting-inspect train: ")
    assert line in err
    assert err.count("\n") == 1
    assert job.configs == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words", "line"),
    [
        ("evaluate", ["out=x"], "predictions is needed: add predictions=VALUE."),
        ("evaluate", ["predictions=x", "out="], "out=: must be filled in."),
        ("evaluate", ["prediction=x", "out=y"], "Did you mean 'predictions'?"),
        ("prepare", ["source=x"], "out is needed"),
        ("predict", ["source=x", "out=v.csv"], "model is needed: add model=VALUE."),
        ("prepare", ["out=x", "recipe=papr"], "Did you mean 'paper'?"),
        ("prepare", ["out=x", "data.window=[3,2]"], "auto or [low,high]"),
        ("prepare", ["out=x", "synthetic.parts=0"], "synthetic.parts=0: must be 2 or more."),
        ("demo", ["weight=x"], "Did you mean 'weights'?"),
    ],
)
def test_mistakes_in_other_commands(
    job: Recorder, name: str, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(name, job, words) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1


def test_values_of_a_users_own_are_taken(job: Recorder) -> None:
    words = [
        "model._target_=my_package.Net",
        "+model.depth=3",
        "data.aliases={Ausschuss: defective}",
        "data.aliases.gut=normal",
        "allow_targets=[my_package.Net]",
        "optimizer._target_=torch.optim.RAdam",
        "+optimizer.eps=1e-7",
        "data.window=[0,4095]",
        "callbacks.early_stopping=null",
        "trainer.limit_train_batches=0.5",
    ]
    assert run_command("train", job, words) == 0
    plain = resolved(job.configs[0])
    assert plain["model"] == {
        "name": "custom",
        "image_size": 128,
        "_target_": "my_package.Net",
        "depth": 3,
    }
    assert plain["data"]["aliases"] == {"Ausschuss": "defective", "gut": "normal"}
    assert plain["optimizer"]["eps"] == 1e-7
    assert plain["data"]["window"] == [0, 4095]
    assert plain["callbacks"]["early_stopping"] is None


def test_an_error_of_ours_has_a_traceback_on_screen_and_in_the_log(
    job: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job.error = ZeroDivisionError("a slip of ours")
    assert run_command("train", job, ["model=cnn", "hydra.run.dir=run"]) == 1
    log = (tmp_path / "run" / "train.log").read_text(encoding="utf-8")
    for text in (log, capsys.readouterr().err):
        assert "Traceback" in text
        assert "test_config.py" in text
        assert "ZeroDivisionError: a slip of ours" in text


def test_a_users_mistake_found_late_is_one_line_too(
    job: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job.error = UserError("no pictures\nin x")
    assert run_command("train", job, ["model=cnn", "hydra.run.dir=run"]) == 2
    assert capsys.readouterr().err == "casting-inspect train: no pictures in x\n"
    assert "no pictures" in (tmp_path / "run" / "train.log").read_text(encoding="utf-8")


def lightnings_way_out() -> SystemExit:
    leaving = SystemExit(1)
    leaving.__context__ = KeyboardInterrupt()
    return leaving


@pytest.mark.parametrize("error", [KeyboardInterrupt(), lightnings_way_out()])
def test_ctrl_c_is_one_line(
    job: Recorder, error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    job.error = error
    assert run_command("train", job, ["model=cnn"]) == 130
    assert capsys.readouterr().err == "casting-inspect train: stopped by Ctrl-C.\n"


@pytest.mark.parametrize(("code", "expected"), [(3, 3), (None, 0), ("words", 1)])
def test_a_jobs_own_exit_code_is_kept(job: Recorder, code: Any, expected: int) -> None:
    job.error = SystemExit(code)
    assert run_command("demo", job, []) == expected


def test_a_folder_that_cannot_be_made_is_one_line(
    job: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert run_command("train", job, ["hydra.run.dir=file/run"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("casting-inspect train: file")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "there"), 2),
        (OSError(errno.ENOSPC, "No space left"), 2),
        (OSError(errno.EBADF, "Bad descriptor"), 1),
    ],
)
def test_what_the_disk_refuses_a_job_is_one_line(
    job: Recorder, error: OSError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    job.error = error
    assert run_command("train", job, ["model=cnn", "hydra.run.dir=run"]) == code
    err = capsys.readouterr().err
    assert ("Traceback" in err) == (code == 1)
    assert code == 1 or (err.startswith("casting-inspect train: ") and err.count("\n") == 1)


def test_a_place_that_cannot_be_written_is_one_line(
    job: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert plan.main([f"out={tmp_path / 'file' / 'x'}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"casting-inspect plan: {tmp_path / 'file'}")
    assert err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device on this system")
def test_a_log_that_a_full_disk_does_not_take_adds_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def job(cfg: DictConfig) -> None:
        logging.getLogger().addHandler(logging.FileHandler("/dev/full"))
        logging.getLogger("job").info("at work")
        raise OSError(errno.ENOSPC, "No space left", "checkpoint")

    assert run_command("train", job, ["model=cnn", f"hydra.run.dir={tmp_path}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("casting-inspect train: checkpoint: No space left; the disk is full")
    assert err.count("\n") == 1
    assert logging.raiseExceptions


def test_hydras_ways_of_showing(job: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("train", job, ["model=cnn", "--cfg", "job", "seed=3"]) == 0
    shown = OmegaConf.create(capsys.readouterr().out)
    assert (shown.model.name, shown.seed) == ("cnn", 3)
    assert run_command("evaluate", job, ["--cfg", "job"]) == 0  # what is missing may be missing
    assert "predictions: ???" in capsys.readouterr().out
    assert run_command("train", job, ["--help", "model=cnn"]) == 0
    assert "  model       cnn, custom" in capsys.readouterr().out
    assert run_command("demo", job, ["--info", "searchpath"]) == 0
    assert str(config.conf_dir()) in capsys.readouterr().out
    assert run_command("train", job, ["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"casting-inspect {__version__} (Hydra 1.3")
    assert run_command("train", job, ["--help", "model=vgg91"]) == 2
    assert "Did you mean 'vgg19'?" in capsys.readouterr().err
    assert job.configs == []


def test_a_configuration_of_ones_own_is_checked_and_used(
    job: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "my, conf"
    (own / "model").mkdir(parents=True)
    (own / "model" / "mine.yaml").write_text(
        "name: mine\nimage_size: 64\n_target_: my_package.Net\nthing: 3\n", encoding="utf-8"
    )
    (own / "model" / "bare.yaml").write_text("_target_: my_package.Net\n", encoding="utf-8")
    words = ["--config-dir", str(own), "hydra.run.dir=run"]
    assert run_command("train", job, [*words, "model=mine", "model.thing=4"]) == 0
    assert job.configs[0].model.thing == 4
    assert run_command("train", job, [*words, "model=bare"]) == 2
    assert "model.name is needed in a model's configuration" in capsys.readouterr().err


def test_resolved_is_plain_and_whole() -> None:
    source = OmegaConf.create({"a": {"b": "${c}", "d": [1, "${c}"]}, "c": 3, "hydra": {}})
    assert resolved(source) == {"a": {"b": 3, "d": [1, 3]}, "c": 3}
    with pytest.raises(UserError, match=r"configuration: .*nowhere"):
        resolved(OmegaConf.create({"a": "${nowhere}"}))
    with pytest.raises(UserError, match="configuration: Missing mandatory value"):
        resolved(OmegaConf.create({"a": "???"}))


def test_a_job_can_see_hydras_own_configuration(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[Any] = []

    def job(cfg: DictConfig) -> None:
        now = HydraConfig.get()
        seen.extend([now.job.name, now.job.chdir, now.output_subdir, sys.argv[0]])

    assert run_command("train", job, ["model=cnn"]) == 0
    assert seen == ["train", False, None, sys.argv[0]]
