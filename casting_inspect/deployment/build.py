"""From a finished run to a bundle that has been shown to agree with it, or to none."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from casting_inspect.data.decode import read_rgb
from casting_inspect.data.outcome import building, leftovers
from casting_inspect.deployment.bundle import Model, seal
from casting_inspect.deployment.decided import Decided, decided_by
from casting_inspect.deployment.evidence import Evidence, evidence_of
from casting_inspect.deployment.gate import BATCHES, Finding, Gate, Sight, checkpoint_asked
from casting_inspect.deployment.graph import Shipped, export_onnx, quantisable
from casting_inspect.deployment.parity import MAX_CHANGES
from casting_inspect.deployment.parity_sets import ParitySet, given_set, own_set
from casting_inspect.deployment.record import record_of
from casting_inspect.deployment.renditions import file_name, move, render
from casting_inspect.deployment.run_scorer import network_of
from casting_inspect.deployment.runtimes import Engine, Pixels, open_model
from casting_inspect.deployment.scorer import Scorer
from casting_inspect.deployment.sensitivity import by_sensitivity
from casting_inspect.deployment.written import written
from casting_inspect.errors import UserError
from casting_inspect.evaluation.terms import terms_of
from casting_inspect.training.run_folder import read_record
from casting_inspect.training.trained_run import Inspector, TrainedRun

KEPT: Final = (0, 1, 2, 4)
"""How many of the most sensitive layers stay in float, one try after the other."""
RANKED_ON: Final = 32
"""Pictures that show which layers are sensitive."""
TIMED: Final = 9
"""Calls behind a rendition's latency."""
NEEDS: Final = {
    ("onnxruntime", "int8"): ("onnx", "onnxscript", "onnxruntime"),
    ("openvino", "int8"): ("onnx", "onnxscript", "openvino", "nncf"),
    ("onnxruntime", "fp32"): ("onnx", "onnxscript", "onnxruntime"),
    ("openvino", "fp32"): ("onnx", "onnxscript", "openvino"),
}


class Disagreement(Exception):  # noqa: N818 - it is no error: the gate did what it is for
    """No bundle is written, because what it would say differs from what the run says."""


@dataclass(frozen=True)
class Wanted:
    """What is to be exported.

    Attributes:
        run: The run's folder.
        out: The bundle's, empty or not there yet.
        runtimes: Of ``bundle.RUNTIMES``.
        precision: ``fp32``, ``fp16``, ``int8``, or ``auto``: the fastest here that agrees.
        allow_fold: Whether a run that has not learnt from all groups may ship.
        max_changes: Largest share of verdicts that may change; None: ``parity.MAX_CHANGES``.
        root: Where the run's pictures are now; None: where they were.
        parity_root: Folder of a further set to compare on, or None.
        parity_manifest: Its manifest, or None.
        parity_limit: Pictures of a set that are compared on; None: all.
        pictures: Pictures that set the ranges of 8-bit values.
        weights_licence: Of the pretrained weights, where the user knows it.
        allow_targets: Classes of the user's own that the checkpoint may instantiate.
        command: The command line.
    """

    run: Path
    out: Path
    runtimes: tuple[str, ...]
    precision: str
    allow_fold: bool = False
    max_changes: float | None = None
    root: Path | None = None
    parity_root: Path | None = None
    parity_manifest: Path | None = None
    parity_limit: int | None = None
    pictures: int = 300
    weights_licence: str | None = None
    allow_targets: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rendition:
    """One that passed the gate.

    Attributes:
        model: Its runtime, precision and file.
        kept: Layers that stayed in float.
        milliseconds: Median of one picture, on this machine and what else it did.
        finding: What the gate said.
    """

    model: Model
    kept: tuple[str, ...]
    milliseconds: float
    finding: Finding

    def plain(self) -> dict[str, Any]:
        """Return it as `bundle.json` holds it."""
        return {
            **asdict(self.model),
            "kept_in_float": list(self.kept),
            "milliseconds": round(self.milliseconds, 3),
            "parity": self.finding.figures,
        }


def export_run(wanted: Wanted, say: Callable[[str], None]) -> Scorer:
    """Write the bundle of a run, and return it opened.

    Raises:
        UserError: For anything that the user can mend.
        Disagreement: If a rendition that was asked for does not agree with the checkpoint.
    """
    run, inspector, decided = _checked(wanted)
    sets = _sets(wanted, run)
    sight = Sight(inspector.image_size, inspector.fit, inspector.window)
    evidence = evidence_of(run, inspector)
    for left in leftovers(wanted.out):
        say(f"{left} is what an interrupted export has left; it can be removed")
    with building(wanted.out) as folder:
        say(f"scoring the checkpoint in float32 on {', '.join(f'{one.words}' for one in sets)}")
        terms = terms_of(run.config.decide)
        gate = Gate(sets, sight, decided, terms, checkpoint_asked(inspector, decided))
        with tempfile.TemporaryDirectory(dir=folder, prefix=".work") as work:
            forge = Forge(wanted, inspector, evidence, decided, gate, Path(work), say)
            made = [forge.make(runtime) for runtime in wanted.runtimes]
            made.sort(key=lambda one: one.milliseconds)
            for one in made:
                stem = Path(one.model.file).stem
                for path in [each for each in Path(work).iterdir() if each.stem == stem]:
                    if (path.suffix == ".onnx") == (one.model.runtime == "onnxruntime"):
                        path.rename(folder / path.name)
        record = record_of(
            run.folder,
            decided,
            terms,
            sight,
            heatmap=evidence is not None,
            models=[one.plain() for one in made],
            command=wanted.command,
            weights_licence=wanted.weights_licence,
        )
        seal(folder, record)
        _opened_once(folder, gate)
    for one in made:
        say(_line(one))
    return Scorer(wanted.out)


def _checked(wanted: Wanted) -> tuple[TrainedRun, Inspector, Decided]:
    """Return the run, its network and its decision, after all that can be refused at once."""
    run, inspector = network_of(wanted.run, wanted.allow_targets)
    if run.config.data.fold != "final" and not wanted.allow_fold:
        raise UserError(
            f"{wanted.run} has not learnt from all groups (data.fold={run.config.data.fold}): "
            "train with data.fold=final what is to ship, or take allow_fold=true"
        )
    if wanted.out.exists() and (not wanted.out.is_dir() or any(wanted.out.iterdir())):
        raise UserError(f"out={wanted.out} is there already: choose another, or remove it")
    precision = "int8" if wanted.precision in ("int8", "auto") else "fp32"
    for runtime in wanted.runtimes:
        for package in NEEDS[runtime, precision]:
            if importlib.util.find_spec(package) is None:
                raise UserError(
                    f"{package} is not installed, which export needs for {runtime}: pip install "
                    '"casting-inspect[export]"'
                )
    decided = decided_by(read_record(run.folder.record), wanted.run)
    return (
        TrainedRun(wanted.run, wanted.root, allow_targets=wanted.allow_targets),
        inspector,
        decided,
    )


def _sets(wanted: Wanted, run: TrainedRun) -> list[ParitySet]:
    sets = [own_set(run)]
    if wanted.parity_root is not None or wanted.parity_manifest is not None:
        root = wanted.parity_root
        if root is None:
            assert wanted.parity_manifest is not None
            root = wanted.parity_manifest.parent
        sets.append(given_set(root, wanted.parity_manifest))
    return [one.limited(wanted.parity_limit) for one in sets]


class Forge:
    """Makes renditions of one network, each held against the gate.

    Args:
        wanted: What is to be exported.
        inspector: The network.
        evidence: How it shows where a defect is; None: not.
        decided: The run's decision.
        gate: Judges.
        work: A folder for what is made.
        say: Prints a line.
    """

    def __init__(
        self,
        wanted: Wanted,
        inspector: Inspector,
        evidence: Evidence | None,
        decided: Decided,
        gate: Gate,
        work: Path,
        say: Callable[[str], None],
    ) -> None:
        self.wanted = wanted
        self.gate = gate
        self.work = work
        self.say = say
        self.network = inspector.network.cpu()
        self.layers = quantisable(self.network)
        self.graph = work / "graph.onnx"
        shipped = Shipped(self.network, decided.calibration, decided.shift, evidence)
        with written(self.graph):
            export_onnx(shipped.cpu().eval(), gate.sight.side, self.graph)
        own = gate.sets[0]
        self.rows = own.spread(wanted.pictures)
        self.pixels: Pixels = gate.sight.squares([own.paths()[row] for row in self.rows])
        self._ranking: list[str] | None = None

    def make(self, runtime: str) -> Rendition:
        """Return a rendition that agrees with the checkpoint.

        Raises:
            Disagreement: If none does.
        """
        if self.wanted.precision == "int8" and not self.layers:
            raise UserError(
                f"{type(self.network).__name__} has no layer that may compute in 8 bits (the head "
                "never does): take precision=fp32"
            )
        if self.wanted.precision != "auto":
            return self._made(runtime, self.wanted.precision)
        if not self.layers:
            return self._made(runtime, "fp32")
        exact, rough = self._latency(runtime, "fp32"), self._latency(runtime, "int8")
        best = "int8" if rough < exact else "fp32"
        self.say(
            f"{runtime} on this machine: {exact:.0f} ms a picture in fp32, {rough:.0f} ms in "
            f"int8: {best} is what it does best"
        )
        if best == "int8":
            try:
                made = self._made(runtime, "int8")
            except Disagreement as refused:
                self.say(f"{refused}; fp32 is taken")
            else:
                if made.milliseconds <= exact:
                    return made
                slower = f"{made.milliseconds:.0f} ms{_keeping(made.kept)}"
                self.say(f"{slower}: fp32 is faster, and taken")
        return self._made(runtime, "fp32")

    def _latency(self, runtime: str, precision: str) -> float:
        """Return the milliseconds of one picture, nothing kept in float."""
        path = self.work / file_name(runtime, precision)
        with written(path):
            render(runtime, precision, self.graph, path, self.layers, self.pixels[:RANKED_ON])
        return milliseconds(open_model(runtime, path, heatmap=False), self.pixels[:1])

    def _made(self, runtime: str, precision: str) -> Rendition:
        said: list[str] = []
        for kept in self._kept() if precision == "int8" else [()]:
            self.say(f"{runtime} {precision}{_keeping(kept)}: made and compared")
            tried = self._tried(runtime, precision, kept)
            if isinstance(tried, Rendition):
                return tried
            said = tried
            self.say(f"{runtime} {precision}{_keeping(kept)}: {said[0]}")
        raise Disagreement(f"{runtime} {precision} disagrees with the checkpoint: {said[0]}")

    def _tried(self, runtime: str, precision: str, kept: tuple[str, ...]) -> Rendition | list[str]:
        """Return a rendition with these layers in float, or why it may not ship.

        Its engine ends with this call: a file that is mapped into memory cannot be written anew
        everywhere.
        """
        allowed = self.wanted.max_changes
        most = MAX_CHANGES[precision] if allowed is None else allowed
        path = self.work / file_name(runtime, precision)
        layers = [name for name in self.layers if name not in kept]
        with written(path):
            render(runtime, precision, self.graph, path, layers, self.pixels)
            if precision == "int8":
                move(runtime, path, self._bias(open_model(runtime, path, heatmap=False)))
        engine = open_model(runtime, path, heatmap=False)
        if precision == "int8" and (said := self.gate.hopeless(engine, most)):
            return said
        # as the line asks for verdicts, and as it asks for maps too
        finding = self.gate.judge((engine, open_model(runtime, path)), most)
        if finding.complaints:
            return finding.complaints
        model = Model(runtime, precision, path.name)
        return Rendition(model, kept, milliseconds(engine, self.pixels[:1]), finding)

    def _bias(self, engine: Engine) -> float:
        """Return by how much the checkpoint's log-odds are above a rendition's, in the mean."""
        exact = self.gate.references[0][self.rows]
        found = np.concatenate([engine(one[None]).log_odds for one in self.pixels])
        return float((exact - found).mean())

    def _kept(self) -> Iterator[tuple[str, ...]]:
        """Yield ever more layers to keep in float, the most sensitive ones first."""
        for count in KEPT:
            if count and count >= len(self.layers):
                return
            if count and self._ranking is None:
                some = self.pixels[:RANKED_ON]
                self._ranking = by_sensitivity(self.network, self.layers, some)
            yield tuple((self._ranking or [])[:count])


def _keeping(kept: Sequence[str]) -> str:
    return f" with {', '.join(kept)} in float" if kept else ""


def milliseconds(engine: Engine, pixels: Pixels) -> float:
    """Return the median time of a call, after two that warm up."""
    took = []
    for _ in range(TIMED + 2):
        started = time.perf_counter()
        engine(pixels)
        took.append(1000.0 * (time.perf_counter() - started))
    return float(np.median(took[2:]))


def _opened_once(folder: Path, gate: Gate) -> None:
    """Check that the bundle as sealed says what the checkpoint says, of a few pictures.

    Raises:
        Disagreement: If it does not: what was compared is then not what was written.
    """
    own, reference = gate.sets[0], gate.references[0]
    rows = own.spread(7)
    pictures = [read_rgb(own.paths()[row], gate.sight.window) for row in rows]
    limits = gate.decided.limits_log_odds
    scorer = Scorer(folder)
    for row, verdict in zip(rows, scorer(pictures), strict=True):
        score = float(reference[row])
        apart = min(abs(score - limits.high), abs(score - limits.low))
        if verdict.verdict != limits.divide(score) and apart > 1.0:
            raise Disagreement(f"the sealed bundle judges {own.paths()[row]} otherwise")


def _line(made: Rendition) -> str:
    own: Mapping[str, Any] = made.finding.figures["validation"]
    by_batch = [own[f"batch_{size}"] for size in BATCHES]
    changed = " and ".join(
        f"{each['verdict_changes']} (batch {size})"
        for each, size in zip(by_batch, BATCHES, strict=True)
    )
    furthest = max(each["p_normal"]["largest"] for each in by_batch)
    return (
        f"{made.model.file}: {made.model.runtime} {made.model.precision}{_keeping(made.kept)}, "
        f"{made.milliseconds:.1f} ms a picture here; of {own['n']} verdicts {changed} differ from "
        f"the checkpoint's, p_normal by {furthest:.2g} at most"
    )
