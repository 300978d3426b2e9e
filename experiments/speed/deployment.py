"""How long does one picture take on the line, and how long until the first verdict?

    python experiments/speed/deployment.py

VGG-19 `gap` at 224 px, batch 1, each candidate in a process of its own, one picture each in turn:
PyTorch as it is trained, compiled, ONNX Runtime on the plain graph, and bundles as `Scorer` runs
them, resizing included. Verdicts are not looked at here: `export` does, on every bundle that it
makes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from record import Goal, Row, compared, write
from settings import SIDE, WEIGHTS, pick
from startup import command
from timing import Timed, side_by_side
from turns import Turns, steps, take_turns, took_turn

EAGER, COMPILED, PLAIN = "eager PyTorch, float32", "torch.compile, float32", "ONNX Runtime, fp32"
FLOAT, EIGHT = "bundle, fp32", "bundle, int8"
CANDIDATES: Final = (EAGER, COMPILED, PLAIN, FLOAT, EIGHT)
CALLS: Final = pick(120, 2)
RANGES: Final = pick(100, 4)
"""Pictures that set the ranges of 8-bit values."""
GOALS: Final = {FLOAT: Goal("at least", 1.2), EIGHT: Goal("at least", 4.5)}


def pictures() -> np.ndarray:
    """Return pictures of the network's size: blots, since figures of noise would saturate."""
    import cv2

    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (RANGES, 8, 8, 3), dtype=np.uint8)
    return np.stack([cv2.resize(each, (SIDE, SIDE)) for each in coarse])


def network() -> Any:
    """Return VGG-19 as it is trained, in evaluation mode."""
    from casting_inspect.models.vgg19 import Vgg19

    return Vgg19(head="gap", weights=WEIGHTS).eval()


def make(folder: Path) -> None:
    """Write the plain graph and both bundles."""
    import torch

    from casting_inspect.deployment.build import milliseconds
    from casting_inspect.deployment.bundle import RUNTIMES, seal
    from casting_inspect.deployment.evidence import Evidence
    from casting_inspect.deployment.graph import Shipped, export_onnx, quantisable
    from casting_inspect.deployment.renditions import file_name, render
    from casting_inspect.deployment.runtimes import open_model
    from casting_inspect.evaluation.calibration import Calibration

    net, graph = network(), folder / "graph.onnx"
    export_onnx(Shipped(net, Calibration(), 0.0).eval(), SIDE, folder / "plain.onnx")
    # a map takes as long whatever it points at
    evidence = Evidence(net.map_layer, torch.ones(512), torch.zeros(512), SIDE // 8, SIDE)
    export_onnx(Shipped(net, Calibration(), 0.0, evidence).eval(), SIDE, graph)
    limits = dict.fromkeys(("high", "low"), 0.5) | dict.fromkeys(
        ("high_log_odds", "low_log_odds"), 0.0
    )
    for name, precision in ((FLOAT, "fp32"), (EIGHT, "int8")):
        where = folder / name
        where.mkdir()
        took = {}
        for runtime in RUNTIMES:
            path = where / file_name(runtime, precision)
            render(runtime, precision, graph, path, quantisable(net), pictures())
            took[runtime] = milliseconds(open_model(runtime, path), pictures()[:1])
        models = [
            {"runtime": one, "precision": precision, "file": file_name(one, precision)}
            for one in sorted(took, key=lambda one: took[one])  # the fastest first, as in export
        ]
        seal(
            where,
            {
                "limits": limits,
                "input": {"side": SIDE, "fit": "pad", "window": None},
                "heatmap": True,
                "models": models,
            },
        )


def judge(name: str, folder: str) -> None:
    """Give one picture after the other to a candidate, a turn each."""
    some = pictures()
    place = iter(range(sys.maxsize))
    ask = asked(name, Path(folder))
    ask(some[:1])  # what is made at the first call, torch.compile's code say, is no latency
    steps(lambda: ask(some[(at := next(place) % len(some)) : at + 1]))


def asked(name: str, folder: Path) -> Callable[[np.ndarray], object]:
    """Return a candidate as a function of pictures (1, S, S, 3)."""
    if name in (EAGER, COMPILED):
        import torch

        torch.set_num_threads(os.cpu_count() or 1)
        net: Any = network()
        if name == COMPILED:
            net = torch.compile(net)

        def eager(pixels: np.ndarray) -> object:
            with torch.inference_mode():
                images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
                return torch.softmax(net(images), dim=1)[:, 1].numpy()

        return eager
    if name == PLAIN:
        from casting_inspect.deployment.runtimes import open_model

        return open_model("onnxruntime", folder / "plain.onnx")
    from casting_inspect.deployment import Scorer

    scorer = Scorer(folder / name)
    return lambda pixels: scorer(list(pixels))


def first_verdict(folder: Path) -> str:
    """Return a script that imports, opens a bundle and judges one picture."""
    return (
        "import numpy as np; from casting_inspect.deployment import Scorer; "
        f"Scorer({str(folder)!r})([np.zeros(({SIDE}, {SIDE}, 3), np.uint8)])"
    )


def rows_of(found: dict[str, Turns]) -> list[Row]:
    """Return a row a candidate, in milliseconds and against eager PyTorch."""
    theirs = thousandfold(found[EAGER].times)
    rows = []
    for name in CANDIDATES:
        ours = thousandfold(found[name].times)
        slowest = float(np.percentile(ours.seconds, 99))
        peak = "?" if found[name].peak_mib is None else f"{found[name].peak_mib:,.0f}"
        peer = {} if name == EAGER else {"peer": EAGER, "theirs": theirs}
        rows.append(
            compared(
                f"{name}, one picture",
                ours,
                **peer,  # type: ignore[arg-type]
                unit="ms",
                goal=GOALS.get(name),
                peak_mib=found[name].peak_mib,
                pictures=len(ours.seconds),
                note=f"p50 {ours.median:.3g} ms, p99 {slowest:.3g} ms, {peak} MiB",
            )
        )
    eight = thousandfold(found[EIGHT].times).median
    what = "bundle, int8, one picture, at most"
    rows.append(Row(what, ours=eight, unit="ms", goal=Goal("at most", 50, "ours")))
    return rows


def thousandfold(times: Timed) -> Timed:
    """Return seconds as milliseconds."""
    return times.per(1e-3)


def main() -> None:
    """Measure and write results/deployment.csv."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        rows = rows_of(take_turns(__file__, {key: [name] for key in CANDIDATES}, CALLS))
        starts = side_by_side(
            {key: command(("-c", first_verdict(folder / key))) for key in (FLOAT, EIGHT)}
        )
    rows += [
        compared(f"{key}, import to first verdict", took, goal=Goal("at most", 2, "ours"))
        for key, took in starts.items()
    ]
    write("deployment", rows)


if __name__ == "__main__":
    if not took_turn(judge):
        main()
