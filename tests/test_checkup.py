"""What `doctor` finds, and that it says so when training could not start."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from casting_inspect import checkup, doctor

ROOT = Path(__file__).parents[1]


def test_a_machine_that_can_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cache" / "pixels").mkdir(parents=True)
    (tmp_path / "cache" / "pixels" / "a.npy").write_bytes(bytes(30_000_000))
    out = tmp_path / "doctor.json"
    code = doctor.main([f"out={out}", f"cache.dir={tmp_path}/cache", f"runs_in={tmp_path}/new"])
    said, found = capsys.readouterr().out, json.loads(out.read_text(encoding="utf-8"))
    states = [one["state"] for one in found["findings"]]
    assert found["can_train"] == ("fails" not in states) == (code == 0)
    by_name = {one["name"]: one for one in found["findings"]}
    assert by_name["torch"]["found"] in said
    assert by_name["pixels"]["found"].startswith("0.03 GB")
    assert {"sweep", "dev", "bench", "cluster"} <= set(by_name)
    assert by_name["training step"]["state"] == "ok"
    assert by_name["VGG-19, ImageNet"]["found"] in said  # a path in one piece, to be copied
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("missing", [True, False])
def test_what_keeps_training_from_starting(
    missing: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if missing:
        monkeypatch.setattr(
            checkup, "requirements", lambda: (["no-such-package"], {"x": ["nor-y"]})
        )
        expected = "no-such-package: not installed; pip install"
    else:
        full = shutil.disk_usage(".")._replace(free=10**8)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
        expected = "disk of runs: 0.1 GB free"
    assert doctor.main([]) == 1
    said = capsys.readouterr().out
    assert "Training could not start: " in said
    assert expected in said
    if missing:
        assert 'pip install "casting-inspect[x]"' in said.replace(
            "\n", ""
        )  # an extra is no reason by itself


def test_a_part_that_breaks_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken() -> list[checkup.Finding]:
        raise OSError("driver too old")

    monkeypatch.setattr(checkup, "device", broken)
    found = {one.topic: one for one in checkup.findings(tmp_path, tmp_path)}
    assert found["device"].state == "fails"
    assert "driver too old" in found["device"].found
    assert found["caches"].state == "ok"


@pytest.mark.parametrize(
    ("told", "state", "words"),
    [
        (None, "note", "not known on this system"),
        ((16 * 10**9, "in all"), "ok", "16.0 GB in all"),
        ((10**9, "available"), "fails", "1.0 GB available"),
    ],
)
def test_memory_is_judged_by_what_the_system_tells(
    told: tuple[int, str] | None, state: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "memory_here", lambda: told)
    found = checkup.memory()
    assert (found.state, found.found) == (state, words)


def test_a_folder_is_no_place_for_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main([f"out={tmp_path}"]) == 2
    assert "is a folder; name a file" in capsys.readouterr().err


def test_whatever_is_small_enough_is_among_the_extras_of_the_tests() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    tested = {name for name in extras if f"casting-inspect[{name}]" in extras["dev"]}
    assert set(extras) - tested == {"dev", "bench", "cluster"}
