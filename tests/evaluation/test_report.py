"""The report: what it says first, that nothing on it comes from outside, and that it moves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from simulated_runs import castings, predictions, write_run

from casting_inspect.evaluation.evaluate import evaluate_predictions
from casting_inspect.evaluation.report.sources import read_source
from casting_inspect.evaluation.report.verdict import verdict
from casting_inspect.evaluation.report.write import write_report

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
GOOD: dict[str, Any] = {"skill": 12.0}


def finished(
    folder: Path,
    files: pd.DataFrame | None = None,
    notes: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    skill: float = 1.2,
    **columns: Any,
) -> Path:
    """Write a run with test and out-of-fold rows and what `evaluate_predictions` makes of it."""
    rows = predictions(castings() if files is None else files, "net", skill=skill)
    inner = rows.assign(split="val", inner="0", fold=(rows["fold"] + 1) % 5)
    table = pd.concat([rows, inner], ignore_index=True).assign(**columns)
    write_run(folder, table, config=config, command=["casting-inspect", "train", "model=net"])
    evaluate_predictions(folder / "predictions.csv", folder, notes)
    return folder


def first_words(folder: Path) -> tuple[str, str]:
    found = verdict(read_source(folder, folder / "predictions.csv"))
    return found.level, found.first


LEAK = {"share": 0.9, "files": 83, "of": 92, "part": "test", "groups": "manifest"}
ASKED = {"decide.name": "escape", "decide.max_escape": 0.05}
MANY = {"normals": 60, "defectives": 80, "copies": 1}


@pytest.mark.parametrize(
    ("level", "words", "made"),
    [
        ("bad", "No: 90.0 % of the 92 files", {"notes": {"leak": LEAK}}),
        ("bad", "9 castings of a class decide", {}),
        ("warn", "the line has to say", {"files": castings(**MANY)}),
        ("warn", "Not yet: at most 5.0 % escapes", {"files": castings(**MANY), "config": ASKED}),
        ("good", "Yes, for parts like these", {"files": castings(**MANY), "config": ASKED, **GOOD}),
        ("bad", "no defective castings were tested", {"label": "normal"}),
        ("bad", "nothing was tested", {"split": "train"}),
    ],
)
def test_the_verdict(tmp_path: Path, level: str, words: str, made: dict[str, Any]) -> None:
    if made.get("split"):
        made = {**made, "inner": [str(at % 2) for at in range(184)]}
    found = first_words(finished(tmp_path / "run", **made))
    assert found[0] == level
    assert words in found[1]


def test_a_page_and_a_card(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", files=castings(**MANY), config=ASKED)
    page = write_report(run).read_text(encoding="utf-8")
    for words in ("Not yet:", "By casting", "On the line", "What another threshold would do"):
        assert words in page
    figures = json.loads((run / "metrics.json").read_text())["test"]
    escape = figures["escape_rate_by_group"]["value"]
    assert f"{100 * escape:.1f} %" in page
    assert f"<b>{figures['confusion']['TN']:,}</b>" in page
    card = (run / "model_card.md").read_text(encoding="utf-8")
    assert f"| {100 * escape:.1f} % |" in card
    assert "casting-inspect train model=net" in card
    assert write_report(run).read_text(encoding="utf-8") == page  # the same input, the same bytes


def test_nothing_comes_from_outside(tmp_path: Path) -> None:
    page = write_report(finished(tmp_path / "run")).read_text(encoding="utf-8")
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "@import" not in page


def test_names_are_no_markup(tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script>"
    files = castings()
    files["path"] = [f"{name}{path}" for path in files["path"]]
    page = write_report(finished(tmp_path / "run", files=files, lot=name)).read_text("utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_another_tools_table(tmp_path: Path) -> None:
    table = predictions(castings(), "theirs")[["path", "label", "p_normal"]]
    table.to_csv(tmp_path / "theirs.csv", index=False)
    evaluate_predictions(tmp_path / "theirs.csv", tmp_path / "out")
    page = write_report(tmp_path / "out", tmp_path / "theirs.csv").read_text(encoding="utf-8")
    assert "not known" in page
    assert "how the table was split" in page


def test_slices_stand_on_the_page(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", files=castings(**MANY))
    table = pd.read_csv(run / "predictions.csv")
    table["lot"] = ["a" if at % 3 else "b" for at in range(len(table))]
    table.to_csv(run / "predictions.csv", index=False)
    evaluate_predictions(run / "predictions.csv", run)
    page = write_report(run).read_text(encoding="utf-8")
    assert "<td>lot a</td>" in page
    assert "<td>lot b</td>" in page


def test_pictures_heatmaps_and_neighbours(tmp_path: Path, castings: Path) -> None:
    manifest = pd.read_csv(castings / "manifest.csv")
    files = manifest.assign(group_wide=manifest["group"])[["path", "label", "group", "group_wide"]]
    run = finished(tmp_path / "run", files=files, config={"data.root": str(castings)}, skill=0.2)
    table = pd.read_csv(run / "predictions.csv")
    escape = table[(table["label"] == "defective") & (table["p_normal"] > 0.5)]["path"].iloc[0]
    (run / "heatmaps").mkdir()
    (run / "heatmaps" / "one.png").write_bytes(b"picture")
    pd.DataFrame([(escape, "one.png")], columns=["path", "overlay"]).to_csv(
        run / "heatmaps.csv", index=False
    )
    near = [(escape, 0, files["path"][0], files["label"][0])]
    pd.DataFrame(near, columns=["path", "rank", "neighbour", "label"]).to_csv(
        run / "neighbours.csv", index=False
    )
    page = write_report(run).read_text(encoding="utf-8")
    assert "data:image/png;base64,cGljdHVyZQ==" in page
    assert page.count("data:image/jpeg;base64,") > 3
    assert "nearest in training" in page


PUSH = """
<script>
const box = document.getElementById("explorer-slider");
const read = id => document.getElementById(id).textContent;
const seen = [read("out-threshold"), read("out-escape"), read("out-cost")];
box.value = box.max;
document.getElementById("explorer-escape").value = "100";
document.getElementById("explorer-overkill").value = "2";
box.dispatchEvent(new Event("input"));
seen.push(read("out-escape"), read("out-overkill"), read("out-million"), read("out-cost"));
document.body.setAttribute("data-seen", JSON.stringify(seen));
</script>
"""


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this system")
def test_the_slider_moves_in_a_browser(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", files=castings(**MANY), threshold=0.4)
    page = write_report(run)
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{PUSH}</body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr
    seen = json.loads(found.group(1).replace("&quot;", '"'))
    figures = json.loads((run / "metrics.json").read_text())["test"]
    escape = figures["escape_rate_by_group"]["value"]
    assert seen[:3] == ["0.4", f"{100 * escape:.1f} %", "give both costs"]
    # the strictest threshold rejects everything: 999,000 good ones of a million, 2 each
    assert seen[3:] == ["0.0 %", "100.0 %", "0, 999,000", "1,998,000"]
