from __future__ import annotations

import errno
import json
import os
import pickle
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_runs import formats, make_run

from casting_inspect import export
from casting_inspect.data.decode import read_rgb
from casting_inspect.deployment import Scorer
from casting_inspect.deployment.load import scorer_of
from casting_inspect.errors import UserError

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")

FLOAT = ["format=onnx", "precision=fp32"]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    found = capsys.readouterr()
    return found.out + found.err


def test_the_record_says_what_a_plant_must_know(bundle: Path, run: Path) -> None:
    record = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    assert record["classes"] == ["defective", "normal"]
    assert record["input"]["side"] == 64
    assert record["decision"]["rule"] == "fixed"
    assert record["calibration"]["prior_shift"] == pytest.approx(6.9067548)
    assert record["weights"]["licence"].startswith("none")
    assert record["command"][:2] == ["casting-inspect", "export"]
    assert {"torch", "onnx", "onnxruntime"} <= set(record["versions"])
    assert len(record["digests"]["checkpoint"]) == 64
    for model in record["models"]:
        own = model["parity"]["validation"]
        assert (own["n"], own["learnt"]) == (48, True)
        for batch in ("batch_1", "batch_7"):
            assert own[batch]["verdict_changes"] == 0
            assert 0 <= own[batch]["p_normal"]["mean"] <= own[batch]["p_normal"]["largest"] < 1e-4
    named = set(record["files"])
    assert named | {"bundle.json"} == {path.name for path in bundle.iterdir()}


def test_a_fold_ships_only_when_it_is_asked_for(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = make_run(tmp_path / "run", castings, fold=0), tmp_path / "bundle"
    assert export.main([f"run={run}", f"out={out}", *FLOAT]) == 2
    assert "allow_fold=true" in said(capsys)
    assert not out.exists()
    assert export.main([f"run={run}", f"out={out}", *FLOAT, "allow_fold=true"]) == 0
    assert "bundle: " in said(capsys)


def test_what_disagrees_is_not_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from casting_inspect.deployment import graph

    honest = graph.Shipped.forward

    def brighter(self: graph.Shipped, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return honest(self, (pixels.float() * 0.97).to(torch.uint8))

    monkeypatch.setattr(graph.Shipped, "forward", brighter)
    out = tmp_path / "bundles" / "bundle"
    assert export.main([f"run={run}", f"out={out}", *FLOAT]) == 1
    shown = said(capsys)
    assert "nothing is written: onnxruntime fp32 disagrees with the checkpoint" in shown
    assert list(out.parent.iterdir()) == []
    allowed = [*FLOAT, "max_verdict_changes=0.9"]
    assert export.main([f"run={run}", f"out={out}", *allowed]) in (0, 1)  # errors may still rise


def test_a_further_set_has_its_say(run: Path, castings: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    words = [*FLOAT, f"parity.root={castings}", "parity.limit=12"]
    assert export.main([f"run={run}", f"out={out}", *words]) == 0
    (model,) = json.loads((out / "bundle.json").read_text(encoding="utf-8"))["models"]
    assert {name: found["n"] for name, found in model["parity"].items()} == {
        "validation": 12,
        "given": 12,
    }
    assert "expected_change_share" not in model["parity"]["given"]["batch_1"]


def test_half_the_bytes_and_the_same_verdicts(run: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    words = [f"format=[{','.join(formats())}]", "precision=fp16", "max_verdict_changes=0.05"]
    assert export.main([f"run={run}", f"out={out}", *words]) == 0
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(out / "model_fp16.onnx"))
    halves = [one for one in model.graph.initializer if one.data_type == onnx.TensorProto.FLOAT16]
    assert len(halves) >= 5
    if "openvino" in formats():
        whole, half = bundle / "model.bin", out / "model_fp16.bin"
        assert half.stat().st_size < 0.6 * whole.stat().st_size


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_only_convolutions_become_8_bits(
    run: Path, castings: Path, tmp_path: Path, name: str
) -> None:
    if name not in formats():
        pytest.skip(f"{name} is not installed")
    out = tmp_path / "bundle"
    words = [f"format={name}", "precision=int8", "max_verdict_changes=0.5", "pictures=24"]
    code = export.main([f"run={run}", f"out={out}", *words])
    assert code == 0
    if name == "onnx":
        onnx = pytest.importorskip("onnx")
        graph = onnx.load(str(out / "model_int8.onnx")).graph
        makers = {output: node for node in graph.node for output in node.output}
        eight = {
            node.op_type
            for node in graph.node
            if node.op_type not in ("QuantizeLinear", "DequantizeLinear")
            and all(
                makers[one].op_type == "DequantizeLinear" for one in node.input[:2] if one in makers
            )
            and node.input[0] in makers
        }
        assert "Conv" in eight
        assert not eight & {"Gemm", "MatMul"}
    else:
        text = (out / "model_int8.xml").read_text(encoding="utf-8")
        assert text.count('type="FakeQuantize"') >= 1
    scorer = Scorer(out)
    assert scorer.model.precision == "int8"
    pictures = [read_rgb(path) for path in sorted(castings.glob("**/*.png"))]
    exact, found = (
        np.concatenate([np.ravel(each.heatmap) for each in one(pictures, heatmaps=True)])
        for one in (scorer_of(run), scorer)
    )
    assert np.corrcoef(exact, found)[0, 1] > 0.8


@pytest.mark.parametrize(("precision", "code"), [("int8", 2), ("auto", 0)])
def test_a_network_without_layers_for_8_bits_is_no_int8(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    precision: str,
    code: int,
) -> None:
    monkeypatch.setattr("casting_inspect.deployment.build.quantisable", lambda _: [])
    out = tmp_path / "bundle"
    words = [f"run={run}", f"out={out}", "format=onnx", f"precision={precision}"]
    assert export.main(words) == code
    shown = said(capsys)
    if code:
        assert "take precision=fp32" in shown
        assert not list(tmp_path.iterdir())
    else:
        assert Scorer(out).model.precision == "fp32"


def test_auto_takes_fp32_where_what_agrees_in_int8_is_slower(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([20.0, 10.0, 30.0, 20.0])  # fp32, int8; int8 as it agrees; fp32
    monkeypatch.setattr("casting_inspect.deployment.build.milliseconds", lambda *_: next(times))
    out = tmp_path / "bundle"
    words = ["format=onnx", "pictures=24", "max_verdict_changes=0.5"]
    assert export.main([f"run={run}", f"out={out}", *words]) == 0
    assert "30 ms: fp32 is faster, and taken" in said(capsys)
    assert Scorer(out).model.precision == "fp32"


def test_auto_says_what_it_took(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    assert export.main([f"run={run}", f"out={out}", "format=onnx", "pictures=24"]) == 0
    shown = said(capsys)
    assert "is what it does best" in shown
    assert Scorer(out).model.precision in shown


def test_layers_that_hurt_stay_in_float(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from casting_inspect.deployment import build
    from casting_inspect.deployment.gate import Finding, Gate
    from casting_inspect.deployment.renditions import render
    from casting_inspect.deployment.runtimes import open_model

    honest, tries = Gate.judge, []

    def strict(self: Gate, *words: Any) -> Finding:
        found = honest(self, *words)
        tries.append(found)
        return Finding(found.figures, ["too far"] if len(tries) == 1 else [])

    monkeypatch.setattr(Gate, "judge", strict)
    monkeypatch.setattr(Gate, "hopeless", lambda *_: [])
    opened: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def remembered(*words: Any, **more: Any) -> Any:
        engine = open_model(*words, **more)
        opened.append(weakref.ref(engine))
        return engine

    def counted(*words: Any) -> None:
        alive.append(sum(engine() is not None for engine in opened))
        render(*words)

    monkeypatch.setattr(build, "open_model", remembered)
    monkeypatch.setattr(build, "render", counted)
    out = tmp_path / "bundle"
    words = ["format=onnx", "precision=int8", "pictures=24"]
    assert export.main([f"run={run}", f"out={out}", *words]) == 0
    (model,) = json.loads((out / "bundle.json").read_text(encoding="utf-8"))["models"]
    (kept,) = model["kept_in_float"]
    assert alive == [0, 0]  # Windows writes no file anew that an engine has mapped into memory
    assert f"with {kept} in float" in said(capsys)


@pytest.mark.parametrize("there", ["file", "folder"])
def test_what_is_there_already_stays(
    run: Path, tmp_path: Path, there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    kept = out if there == "file" else out / "kept"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("kept", encoding="utf-8")
    assert export.main([f"run={run}", f"out={out}", *FLOAT]) == 2
    assert "is there already" in said(capsys)
    assert kept.read_text(encoding="utf-8") == "kept"


def test_a_full_disk_leaves_nothing_behind(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from casting_inspect.deployment import bundle as bundles

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "bundles" / "bundle"
    monkeypatch.setattr(bundles, "replace_json", full)
    assert export.main([f"run={run}", f"out={out}", *FLOAT]) == 2
    assert "No space left on device" in said(capsys)
    assert list(out.parent.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setattr(Path, "write_bytes", full)
    assert export.main([f"run={run}", f"out={out}", *FLOAT]) == 2
    assert "No space left on device" in said(capsys)
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "precision", "kib", "file"),
    [
        ("onnx", "fp32", 16, "graph.onnx"),
        ("onnx", "fp32", 100, "model.onnx"),
        ("onnx", "int8", 100, "model_int8.onnx"),
        ("openvino", "fp32", 100, "model.xml"),
        ("openvino", "int8", 100, "model_int8.xml"),
    ],
)
def test_a_disk_that_is_full_in_earnest_is_one_line(
    run: Path,
    disk_of: Callable[[int], Path],
    capsys: pytest.CaptureFixture[str],
    name: str,
    precision: str,
    kib: int,
    file: str,
) -> None:
    if name not in formats():
        pytest.skip(f"{name} is not installed")
    disk = disk_of(kib)
    words = [f"format={name}", f"precision={precision}", "pictures=4"]
    assert export.main([f"run={run}", f"out={disk / 'bundle'}", *words]) == 2
    line = said(capsys).strip().splitlines()[-1]
    assert f"{file} cannot be written: the disk is full (No space left on device)" in line
    assert list(disk.iterdir()) == []


def test_what_a_library_fails_at_is_not_the_disks_fault(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from casting_inspect.deployment import build

    def failing(*_: object) -> None:
        raise RuntimeError("no such operation\nmore of it")

    out = tmp_path / "bundles" / "bundle"
    monkeypatch.setattr(build, "render", failing)
    assert export.main([f"run={run}", f"out={out}", *FLOAT]) == 2
    shown = said(capsys)
    assert "model.onnx cannot be made (no such operation): try another" in shown
    assert "written" not in shown
    assert list(out.parent.iterdir()) == []


def test_a_run_without_checkpoint_is_one_line(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", castings)
    (run / "checkpoints" / "best.ckpt").unlink()
    assert export.main([f"run={run}", f"out={tmp_path / 'bundle'}"]) == 2
    assert "has no checkpoints/best.ckpt" in said(capsys)
    with pytest.raises(UserError, match=r"best\.ckpt"):
        scorer_of(run)


def test_a_floor_has_nothing_to_ship(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", castings)
    config = (run / "config.yaml").read_text(encoding="utf-8")
    target = "casting_inspect.models.floors.HistogramFloor"
    config = config.replace("casting_inspect.models.cnn.SmallCnn", target)
    (run / "config.yaml").write_text(config, encoding="utf-8")
    assert export.main([f"run={run}", f"out={tmp_path / 'bundle'}"]) == 2
    assert len(said(capsys).strip().splitlines()) == 1


@pytest.mark.parametrize("fold", ["all", "unfinished"])
def test_a_run_without_one_network_or_decision_is_one_line(
    castings: Path, tmp_path: Path, fold: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", castings, fold="all" if fold == "all" else "final")
    if fold == "unfinished":
        (run / "run.json").write_text('{"status": "running"}', encoding="utf-8")
    assert export.main([f"run={run}", f"out={tmp_path / 'bundle'}"]) == 2
    (line,) = said(capsys).strip().splitlines()
    assert "data.fold=final" in line


class Payload:
    """What a checkpoint from a stranger may hold."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("way", ["torch", "pickle"])
def test_a_malicious_checkpoint_does_nothing(
    castings: Path, tmp_path: Path, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, mark = make_run(tmp_path / "run", castings), tmp_path / "mark"
    checkpoint = run / "checkpoints" / "best.ckpt"
    if way == "torch":
        whole = torch.load(checkpoint, weights_only=True)
        torch.save({**whole, "more": Payload(mark)}, checkpoint)
    else:
        checkpoint.write_bytes(pickle.dumps(Payload(mark)))
    assert export.main([f"run={run}", f"out={tmp_path / 'bundle'}", *FLOAT]) == 2
    assert "is not loaded" in said(capsys)
    with pytest.raises(UserError, match="is not loaded"):
        scorer_of(run)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Payload(mark)))  # it would have worked
    assert mark.exists()


def test_a_checkpoint_may_not_import_what_it_likes(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", castings)
    checkpoint = run / "checkpoints" / "best.ckpt"
    whole = torch.load(checkpoint, weights_only=True)
    whole["casting_inspect"]["config"]["model"]["_target_"] = "os.mkdir"
    torch.save(whole, checkpoint)
    assert export.main([f"run={run}", f"out={tmp_path / 'bundle'}", *FLOAT]) == 2
    assert "a checkpoint may not import this" in said(capsys)


def test_a_tampered_bundle_is_refused(run: Path, tmp_path: Path, castings: Path) -> None:
    out = tmp_path / "bundle"
    assert export.main([f"run={run}", f"out={out}", *FLOAT]) == 0
    picture = read_rgb(next(castings.glob("**/*.png")))
    assert Scorer(out)([picture])[0].p_normal >= 0
    data = bytearray((out / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (out / "model.onnx").write_bytes(data)
    with pytest.raises(UserError, match="is not as it was exported"):
        scorer_of(out)
    assert np.isfinite(scorer_of(run)([picture])[0].p_normal)
