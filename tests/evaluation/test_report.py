"""The report: what it says first, that nothing on it comes from outside, and that it moves."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from simulated_runs import castings, predictions, write_run

from casting_inspect import evaluate
from casting_inspect.evaluation.acceptance import acceptance_of
from casting_inspect.evaluation.evaluate import evaluate_predictions
from casting_inspect.evaluation.report.sources import read_source
from casting_inspect.evaluation.report.verdict import asked, verdict
from casting_inspect.evaluation.report.write import write_report
from casting_inspect.starting.enough import Limits, answer, bounds_of

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
BOTH = {**ASKED, "report.max_overkill": 0.1}
MANY = {"normals": 60, "defectives": 80, "copies": 1}


@pytest.mark.parametrize(
    ("level", "words", "made"),
    [
        ("bad", "No: 90.0 % of the 92 files", {"notes": {"leak": LEAK}}),
        ("bad", "9 castings of a class decide", {}),
        ("warn", "the line has to say", {"files": castings(**MANY)}),
        ("warn", "Not yet: at most 5.0 % escapes", {"files": castings(**MANY), "config": ASKED}),
        (
            "warn",
            "At most 5.0 % escapes hold",
            {"files": castings(**MANY), "config": ASKED, **GOOD},
        ),
        ("good", "Yes, for parts like these", {"files": castings(**MANY), "config": BOTH, **GOOD}),
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


@pytest.mark.parametrize(("count", "enough"), [(60, True), (59, True), (58, False)])
def test_report_start_and_acceptance_record_use_one_bound(
    tmp_path: Path, count: int, enough: bool
) -> None:
    """Without an error 59 castings show 5 %: one-sided, 1 - 0.05^(1/59); two-sided 72 would."""
    both = {"decide.max_escape": 0.05, "report.max_overkill": 0.05}
    files = castings(normals=count, defectives=count, copies=1)
    run = finished(tmp_path / "run", files, config=both, skill=50.0)
    source = read_source(run, run / "predictions.csv")
    found = verdict(source)
    assert found.first.startswith("Yes" if enough else "Not yet")
    bound = f"{100 * (1 - 0.05 ** (1 / count)):.1f} %"
    assert f"one-sided 95 % upper limit, as in the acceptance record: {bound} esc" in found.more[0]
    assert f"no escape rate below {bound}" in found.second
    shown = answer(source.metrics["test"], Limits(0.05, 0.05), bounds_of(run))[1]
    assert shown.startswith("That is enough" if enough else "That is not enough")
    signed = acceptance_of(source)
    assert signed.kept is enough
    write_report(run)
    page = (run / "acceptance.html").read_text(encoding="utf-8")
    assert ("the rates keep every limit agreed on" in page) is enough
    assert ("the limits hold for inspectors made this way" in " ".join(found.more)) is enough
    assert "5 models were tested" in " ".join(signed.reasons)  # and no one of them alone


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


def test_report_card_and_acceptance_record_measure_by_the_same_limits(tmp_path: Path) -> None:
    """The run's own 10 % hold; the 1 % that are given do not, on any page."""
    run = finished(tmp_path / "run", castings(**MANY), config={"decide.max_escape": 0.1}, **GOOD)
    out = tmp_path / "out"
    words = [f"run={run}", f"out={out}", "max_escape=0.01", "max_overkill=0.2"]
    assert evaluate.main(words) == 0
    for name in ("report.html", "model_card.md"):
        text = (out / name).read_text(encoding="utf-8")
        assert "Not yet: at most 1.0 % escapes and at most 20.0 % good parts rejected" in text
    assert "At most 1 % escapes is not shown" in (out / "acceptance.html").read_text("utf-8")
    source = read_source(out, run / "predictions.csv", given={"max_escape": 0.01})
    assert asked(source) == {"max_escape": 0.01}


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
    (seen,) = in_browser(page, tmp_path)
    figures = json.loads((run / "metrics.json").read_text())["test"]
    escape = figures["escape_rate_by_group"]["value"]
    assert seen[:3] == ["0.4", f"{100 * escape:.1f} %", "give both costs"]
    # the strictest threshold rejects everything: 999,000 good ones of a million, 2 each
    assert seen[3:] == ["0.0 %", "100.0 %", "0, 999,000", "1,998,000"]


LOOK = """
<script>
const light = color => {
  const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3).map(value => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = node => {
  for (let at = node; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (color !== "rgba(0, 0, 0, 0)") return color;
  }
  return "rgb(255, 255, 255)";
};
const pale = [...document.querySelectorAll("body *")].filter(node => {
  const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
  if (!own || ["SCRIPT", "STYLE"].includes(node.tagName)) return false;
  const style = getComputedStyle(node);
  const [low, high] = [light(node instanceof SVGElement ? style.fill : style.color),
                       light(behind(node))].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05) < 3;
}).map(node => node.textContent.trim());
const root = document.documentElement;
frameElement.dataset.seen = JSON.stringify([innerWidth, root.scrollWidth - root.clientWidth,
  light(getComputedStyle(document.body).backgroundColor) < 0.05, pale]);
</script>
"""


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this system")
@pytest.mark.parametrize("dark", [False, True])
def test_pages_fit_a_phone_and_can_be_read_by_night(tmp_path: Path, dark: bool) -> None:
    """Frames have the width of a phone and of a desk; no browser window is as narrow."""
    files = castings(**MANY)
    files["path"] = "a_folder_with_a_long_name_that_has_no_blank/" + files["path"]
    lots = ["a lot with quite a long name", "another"] * len(files)
    run = finished(tmp_path / "run", files=files, config=BOTH, lot=lots)
    write_report(run)
    frames = [
        f'<iframe style="width: {width}px; height: 800px; border: 0" srcdoc="'
        + html.escape(page.read_text(encoding="utf-8").replace("</body>", f"{LOOK}</body>"))
        + '"></iframe>'
        for page in (run / "report.html", run / "acceptance.html")
        for width in (390, 1200)
    ]
    harness = tmp_path / "frames.html"
    style = "<style>:root { color-scheme: light dark }</style>"
    harness.write_text(f"<!doctype html>{style}{''.join(frames)}", encoding="utf-8")
    found = in_browser(harness, tmp_path, *(["--force-dark-mode"] if dark else []))
    assert [width for width, *_ in found] == [390, 1200] * 2
    for _, beyond, is_dark, pale in found:
        assert beyond <= 0
        assert is_dark is dark
        assert pale == []


def in_browser(page: Path, folder: Path, *flags: str) -> list[Any]:
    """Return what the scripts of a page left in ``data-seen``, in its order."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", *flags]
    command += [f"--user-data-dir={folder / 'profile'}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, encoding="utf-8")
    found = re.findall(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr
    return [json.loads(html.unescape(each)) for each in found]


def evaluated(folder: Path, rows: pd.DataFrame, *words: str) -> tuple[int, Path]:
    """Evaluate another tool's table as its user would."""
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / "theirs.csv", index=False)
    out = folder / "out"
    return evaluate.main([f"predictions={folder / 'theirs.csv'}", f"out={out}", *words]), out


@pytest.mark.parametrize("label", ["defective", "normal"])
def test_one_class_alone_still_has_a_report(tmp_path: Path, label: str) -> None:
    rows = predictions(castings(**MANY), "theirs")
    code, out = evaluated(tmp_path, rows[rows["label"] == label][["path", "label", "p_normal"]])
    assert code == 0
    other = {"defective": "normal", "normal": "defective"}[label]
    assert f"no {other} castings were tested" in (out / "report.html").read_text(encoding="utf-8")


def test_the_same_score_for_everything_is_said_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = predictions(castings(**MANY), "theirs").assign(p_normal=0.7, logit="")
    code, out = evaluated(tmp_path, rows[["path", "label", "p_normal"]])
    assert code == 0
    assert "Every score is the same, 0.7" in capsys.readouterr().out
    level, first = verdict_of(out, tmp_path / "theirs.csv")
    assert level == "bad"
    assert "every casting has the same score, 0.7" in first


def verdict_of(out: Path, table: Path) -> tuple[str, str]:
    found = verdict(read_source(out, table))
    return found.level, found.first


def test_a_file_of_somebody_else_is_not_read(tmp_path: Path) -> None:
    rows = predictions(castings(**MANY), "theirs")[["path", "label", "p_normal"]]
    for place in (tmp_path, tmp_path / "out"):
        place.mkdir(exist_ok=True)
        for name in ("history.csv", "stress.csv", "heatmaps.csv", "neighbours.csv"):
            (place / name).write_text("day,sold\n1,2\n", encoding="utf-8")
    code, out = evaluated(tmp_path, rows)
    assert code == 0
    assert "<h2>Training</h2>" not in (out / "report.html").read_text(encoding="utf-8")


def test_where_parts_are_judged_every_figure_is_of_parts(tmp_path: Path) -> None:
    """Two pictures of each part, the second looks good: by mean no escape, by file half of them."""
    files = castings(normals=60, defectives=80, copies=2)
    second = files["path"].str.endswith("_1.png")
    truly = files["label"] == "normal"
    rows = files.assign(part=files["group"], p_normal=0.99)
    rows.loc[~truly, "p_normal"] = 0.001
    rows.loc[~truly & second, "p_normal"] = 0.9
    code, out = evaluated(tmp_path, rows, "unit=part", "aggregate=mean")
    assert code == 0
    source = read_source(out, tmp_path / "theirs.csv")
    figures = json.loads((out / "metrics.json").read_text())["test"]
    assert figures["escape_rate"] == 0.5
    assert "about 0.0 (0.0 to 4.5) of 100 defective" in verdict(source).first
    assert len(source.rows) == 140
    assert len(source.files) == 280
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "140 parts in 280 test files" in page
    assert "Parts: the truth in rows" in page
    cells = re.findall(r"<b>([\d,]+)</b>", page)
    assert cells == ["60", "0", "0", "80"]
    assert "50.00 %" in page  # by file, as in the paper


def test_what_a_person_looks_at_is_no_error(tmp_path: Path) -> None:
    """Bands of 0.2 to 0.8: every good one is passed or looked at, a fifth of them the latter."""
    files = castings(normals=300, defectives=300, copies=1)
    number = files.groupby("label").cumcount()
    good = files["label"] == "normal"
    score = np.where(good, np.where(number % 5 == 0, 0.5, 0.9), np.where(number % 4 == 0, 0.5, 0.1))
    rows = files.assign(p_normal=score, threshold=0.8, threshold_low=0.2)
    code, out = evaluated(tmp_path, rows, "max_escape=0.02", "max_overkill=0.02")
    assert code == 0
    level, first = verdict_of(out, tmp_path / "theirs.csv")
    assert "about 0.0 (0.0 to 1.2) of 100 good ones be rejected" in first.replace("and ", "")
    assert "a person looks at 25.0 of the defective and 20.0 of the good ones" in first
    page = (out / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"<b>([\d,]+)</b>", page) == ["240", "60", "0", "0", "75", "225"]
    assert "left to a person" in page
    assert "None: no defective file passed." in page
    assert "None: no good file was rejected." in page
    assert "every defective file was rejected" not in page
    assert "what a person looks at counts as rejected" in page
    card = (out / "model_card.md").read_text(encoding="utf-8")
    assert "what a person looks at counts as rejected" in card
    assert "| Overkill rate | 0.00 % |" in card
    assert "| Recall | 80.00 % |" in card
    assert "Balanced accuracy" not in card
    assert "normal: 0 of 300 rejected (overkill), 60 left to a person" in page
    assert "If more of the doubtful ones went to a person" in page
    signed = (out / "acceptance.html").read_text(encoding="utf-8")
    assert "Accepted" in signed
    assert (
        "A person looks at 25.0 % of the defective castings and 20.0 % of the good ones" in signed
    )
    assert level == "warn"  # the line has named no limit for the rule
