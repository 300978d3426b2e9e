"""The benchmark's own logic: what a row says, extrapolation, turns, tables. Nothing is timed."""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

SPEED = Path(__file__).parents[2] / "experiments" / "speed"
sys.path.insert(0, str(SPEED))

import breakdown  # noqa: E402
import castings as pictures  # noqa: E402
import ceilings  # noqa: E402
import deployment  # noqa: E402
import inspection  # noqa: E402
import peak  # noqa: E402
import plots  # noqa: E402
import record  # noqa: E402
import report  # noqa: E402
import run  # noqa: E402
import timing  # noqa: E402
import turns  # noqa: E402
from record import Goal, Row  # noqa: E402
from timing import Timed  # noqa: E402

MIB = 2**20


def test_candidates_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    found = timing.side_by_side({name: lambda n=name: calls.append(n) for name in "ab"}, repeats=3)
    assert calls == ["a", "b"] * 4
    assert {name: len(times.seconds) for name, times in found.items()} == {"a": 3, "b": 3}


def test_extrapolation_takes_the_fastest_epoch_for_every_picture_and_epoch() -> None:
    assert timing.extrapolated([12.0, 10.0], 50, 8_000, 100) == pytest.approx(160_000)
    for epochs, measured in (([], 50), ([1.0], 0)):
        with pytest.raises(ValueError, match="at least one epoch"):
            timing.extrapolated(epochs, measured, 1, 1)


def test_a_row_of_two_candidates_holds_medians_ratio_spread_and_verdict() -> None:
    ours, theirs = Timed((2.0, 1.0, 3.0)), Timed((30.0, 20.0, 10.0))
    row = record.compared("x", ours, "peer", theirs, goal=Goal("at least", 10))
    assert (row.ours, row.theirs, row.ratio) == (2.0, 20.0, 10.0)
    assert (row.low, row.high, row.repeats, row.met) == (1.0, 3.0, 3, "yes")
    rate = record.rated("x", ours, 12, "peer", theirs, goal=Goal("at least", 10.01))
    assert (rate.ours, rate.theirs, rate.ratio) == (6.0, 0.6, 10.0)
    assert (rate.low, rate.high, rate.unit, rate.met) == (4.0, 12.0, "images/s", "no")
    assert record.rated("x", ours, 12).theirs is None


@pytest.mark.parametrize(
    ("goal", "row", "text", "met"),
    [
        (Goal("at least", 3_000), Row("x", ratio=3e3), "at least 3,000 times", "yes"),
        (Goal("at least", 0.9, "share"), Row("x", share=0.8), "at least 90 % of the ceiling", "no"),
        (Goal("at most", 5, "ours"), Row("x", ours=5.1), "at most 5 s", "no"),
        (Goal("at most", 5, "ours"), Row("x"), "at most 5 s", "not measured"),
        (None, Row("x", ours=1.0), "", ""),
    ],
)
def test_goals_are_on_a_ratio_a_share_or_our_own_figure(
    goal: Goal | None, row: Row, text: str, met: str
) -> None:
    cells = record.replace(row, goal=goal).cells()
    assert (cells["goal"], cells["met"]) == (text, met)


def test_a_goal_on_anything_else_is_refused() -> None:
    with pytest.raises(ValueError, match="not a goal"):
        Goal("about", 3)


def test_results_say_what_they_were_measured_on_and_name_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    path = record.write(
        "x", [Row("a", ours=1.0), record.not_measured("b", "p", Goal("at most", 1))]
    )
    with path.open(encoding="utf-8", newline="") as stream:
        first, second = csv.DictReader(stream)
    assert set(record.MEASURED_ON) <= set(first)
    assert re.fullmatch(r"[0-9a-f]{12}\+?|unknown", first["commit"])
    assert first["torch"] == record.version_of("torch")
    assert (second["ours"], second["met"]) == ("", "not measured")
    assert not any("/" in cell or "\\" in cell for cell in first.values())


def test_the_digest_of_sources_follows_the_settings() -> None:
    first = record.digest_of_sources({"BENCH_FULL": "1"})
    assert first == record.digest_of_sources({"BENCH_FULL": "1"})
    assert first != record.digest_of_sources({})


def test_only_what_was_measured_on_this_code_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    assert not run.is_done("frozen", "key", {"frozen": "key"})  # its table is gone
    (tmp_path / "frozen.csv").touch()
    assert run.is_done("frozen", "key", {"frozen": "key"})
    assert not run.is_done("frozen", "key", {"frozen": "other"})
    assert run.read_done(tmp_path / "nothing.json") == {}
    assert all((SPEED / f"{name}.py").is_file() for name in run.SCRIPTS)
    assert set(run.SCRIPTS) == set(report.TITLES)


def cells(**given: object) -> dict[str, str]:
    row = {**Row("what", ours=2.0).cells(), **dict.fromkeys(record.MEASURED_ON, "1")}
    return {**row, **{key: str(value) for key, value in given.items()}}


def test_the_readme_holds_every_row_and_counts_the_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "OUT", tmp_path)
    rows = [
        cells(what="a", peer="p", theirs=9, ratio=4.5, goal="at least 4 times", met="yes"),
        cells(what="b|c", share=0.5, ceiling="memory", goal="at least 9 times", met="no"),
        cells(what="d", ours="", goal="at most 1 s", met="not measured", note="no GPU"),
    ]
    made = report.text({"frozen": rows, "curves": [cells(what="stage", pictures=250)]})
    assert "Goals met: 1; missed: 1; not measured: 1." in made
    assert "| a | 2 s | p | 9 s | 4.5 |  | at least 4 times | met |" in made
    assert "| b/c | 2 s |  |  |  | 50 % of memory | at least 9 times | **missed** |" in made
    assert "| d | not measured |" in made
    assert "- no GPU" in made
    assert "| stage | 250 | 2 |" in made
    assert "Not measured yet: Features," in made
    readme = f"before {report.BEGIN} outdated {report.END} after"
    new = report.replaced(readme, made)
    assert new.startswith("before ")
    assert new.endswith(" after")
    assert "outdated" not in new
    assert report.replaced(new, made) == new
    with pytest.raises(ValueError, match="has no"):
        report.replaced("nothing", made)


def test_plots_are_drawn_from_rows_and_left_out_without(tmp_path: Path) -> None:
    points = [
        cells(what=stage, pictures=n, ours=n / 10, peak_mib="" if stage == "a" else n)
        for stage in "ab"
        for n in (250, 500)
    ]
    plots.draw_curves(points, tmp_path / "curves.png")
    rows = [cells(what="a", peer="p", ratio=4.5, goal="at least 3 times"), cells(ratio=2)]
    plots.draw_ratios(rows, tmp_path / "ratios.png")
    plots.draw_curves([], tmp_path / "none.png")
    plots.draw_ratios([cells()], tmp_path / "none.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "ratios.png"]


def test_the_first_pictures_are_a_fair_sample_of_both_classes() -> None:
    frame = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in range(40)],
            "label": ["normal"] * 30 + ["defective"] * 10,
            "sha256": [f"{(7 * i) % 40:02d}" for i in range(40)],
        }
    )
    order = pictures.spread(frame)
    assert sorted(order["path"]) == sorted(frame["path"])
    for count in (4, 12, 20, 40):
        assert (order["label"][:count] == "defective").sum() == count // 4
    again = pictures.spread(frame.sample(frac=1.0, random_state=0))
    assert order.equals(again)


def test_pictures_are_repeated_under_other_names_for_sets_of_the_papers_size(
    castings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "source", lambda: castings)
    few = pictures.find_manifest(pictures.folder_of(tmp_path / "few", 6))
    many = pictures.find_manifest(pictures.folder_of(tmp_path / "many", 30, 6))
    new = pictures.find_manifest(pictures.folder_of(tmp_path / "new", 30, 6, as_new=True))
    assert (len(few), len(many), many["path"].nunique()) == (6, 30, 30)
    assert set(many["sha256"]) == set(few["sha256"])
    assert new["sha256"].nunique() == 30
    assert pictures.count_of(pictures.folder_of(tmp_path / "all", 1_000)) == 48  # all there are


def test_operations_are_those_of_a_convolution_counted_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 16, 2))
    by_hand = 2 * (16 * 8 * 3 * 9 + 8 * 16 * 2)
    assert ceilings.operations(network, (1, 3, 4, 4)) == by_hand
    # backward: again for the weights, and once more for the input of all but the first layer
    training = ceilings.operations(network, (5, 3, 4, 4), training=True)
    assert training == 5 * (2 * by_hand + 2 * 8 * 16 * 2)
    assert network[0].weight.device == torch.device("cpu")


CHILD = f"""
import sys
from collections import Counter
sys.path.insert(0, {str(SPEED)!r})
from turns import Turned
name, mode = sys.argv[2:]
loader = Turned([1, 2, 3], epochs=mode == "epochs")
assert len(loader) == 3
seen = []
while mode != "fail":
    for batch in loader:
        seen.append(batch)
        open(sys.argv[0] + ".log", "a").write(f"{{name}}{{batch}} ")
"""


def test_loops_in_processes_take_a_step_each_in_turn(tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text(CHILD, encoding="utf-8")
    found = turns.take_turns(script, {"a": ["steps"], "b": ["steps"]}, rounds=3)
    assert {name: len(turn.times.seconds) for name, turn in found.items()} == {"a": 3, "b": 3}
    log = Path(f"{script}.log")
    assert log.read_text(encoding="utf-8").split() == [
        "a1",
        "b1",
        "a2",
        "b2",
        "a3",
        "b3",
        "a1",
        "b1",
    ]
    log.unlink()
    turns.take_turns(script, {"a": ["epochs"]}, rounds=1)
    assert log.read_text(encoding="utf-8").split() == ["a1", "a2", "a3", "a1", "a2", "a3"]
    with pytest.raises(RuntimeError, match="a: ended with exit code 0"):
        turns.take_turns(script, {"a": ["fail"]}, rounds=1)


def test_a_failing_command_says_why() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        peak.run_watched(["-c", "raise SystemExit('no such thing')"])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_peak_memory_counts_a_process_and_what_it_starts() -> None:
    code = "import subprocess, sys, time; a = bytearray({}); {}time.sleep(0.3)"
    inner = code.format(60 * MIB, "")
    outer = code.format(60 * MIB, f"subprocess.run([sys.executable, '-c', {inner!r}]);")
    most = peak.run_watched(["-c", outer])[1]
    assert most is not None
    assert 120 <= most <= 400


def test_candidates_of_the_line_are_held_against_eager_pytorch_in_milliseconds() -> None:
    seconds = {name: 0.2 / (at + 1) for at, name in enumerate(deployment.CANDIDATES)}
    turn = {
        name: turns.Turns(Timed((took, took, 3 * took)), 100.0) for name, took in seconds.items()
    }
    rows = deployment.rows_of(turn)
    assert [round(row.ours or 0, 6) for row in rows[:5]] == [200.0, 100.0, 66.666667, 50.0, 40.0]
    assert [row.theirs and round(row.theirs) for row in rows[:5]] == [None, 200, 200, 200, 200]
    by_name = {row.what.removesuffix(", one picture"): row for row in rows}
    assert (by_name["bundle, fp32"].met, by_name["bundle, int8"].met) == ("yes", "yes")
    assert by_name["bundle, int8"].note == "p50 40 ms, p99 118 ms, 100 MiB"
    assert (rows[-1].ours, rows[-1].met) == (pytest.approx(40.0), "yes")


def test_a_folder_is_held_against_eager_pytorch_and_against_the_network_alone() -> None:
    seconds = {
        inspection.EAGER: 20.0,
        inspection.FLOAT: 16.0,
        f"{inspection.FLOAT}, {inspection.ALONE}": 12.0,
        inspection.EIGHT: 4.0,
        f"{inspection.EIGHT}, {inspection.ALONE}": 3.6,
    }
    turn = {name: turns.Turns(Timed((took,) * 3), 100.0) for name, took in seconds.items()}
    rows = {row.what: row for row in inspection.rows_of(turn)}
    assert rows["folder, bundle, fp32"].ratio == pytest.approx(1.25)
    assert rows["folder, bundle, int8"].ours == pytest.approx(inspection.FILES / 4)
    hidden = {kind: rows[f"folder, bundle, {kind}, decoding hidden"] for kind in ("fp32", "int8")}
    assert (hidden["fp32"].share, hidden["fp32"].met) == (0.75, "no")
    assert (hidden["int8"].share, hidden["int8"].met) == (pytest.approx(0.9), "yes")


def test_operators_are_shares_of_their_stage_the_longest_first() -> None:
    times = Counter({f"aten::op{number}": float(number) for number in range(1, 12)})
    rows = breakdown.rows_of("stage", times)
    assert [row.what for row in rows[:2]] == ["stage: op11", "stage: op10"]
    assert rows[-1].what == "stage: all others"
    assert sum(row.share or 0 for row in rows) == pytest.approx(1)
    assert sum(row.ours or 0 for row in rows) == pytest.approx(66)
    measured = breakdown.own_times(lambda: torch.ones(64, 64) @ torch.ones(64, 64))
    assert measured["aten::mm"] > 0
