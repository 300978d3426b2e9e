"""The files that a comparison writes: read back by other parsers, escaped, the same every time."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from simulated_runs import castings, predictions, write_run

from casting_inspect.errors import UserError
from casting_inspect.evaluation.casting_names import CastingNames
from casting_inspect.evaluation.claims import claims, least_upper_limit, most_balanced_accuracy
from casting_inspect.evaluation.comparison_figure import escape_overkill_figure
from casting_inspect.evaluation.comparison_report import compare_runs
from casting_inspect.evaluation.comparison_tables import csv_text, latex, markdown, p_words
from casting_inspect.evaluation.disagreements import disagreements

FILES = castings(6, 7, copies=2)
ODD = r"we_ird & <b>|*na$me*|</b> 50 % #1 \x {y} ~z^"


class Words(HTMLParser):
    """Collects the texts of table cells and headings, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.addresses: list[str] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [str(value) for key, value in attrs if key in ("src", "href")]
        if tag in ("td", "th"):
            self.inside = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.cells[-1] += data


def words(html: str) -> Words:
    parser = Words()
    parser.feed(html)
    return parser


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return runs whose pictures exist, one of them changed since."""
    root = tmp_path_factory.mktemp("runs")
    data = root / "data"
    for number, path in enumerate(FILES["path"]):
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(data / path), np.full((48, 64, 3), 8 * number % 256, np.uint8))
    leak = {"leak": {"share": 0.25, "files": 6, "of": 26}}
    leak["second_look"] = {"part": "test", "share": 0.125, "files": 3, "of": 26}
    floors = {"floors": {"floor_histogram": {"accuracy": 0.875}}}
    for seed, (model, skill) in enumerate({"cnn": 1.0, "vgg19": 1.5, ODD: 0.2}.items()):
        table = predictions(FILES, model, skill=skill)
        folder = root / "sweep" / str(seed)
        config = {"data.root": "data", "data.split": "file"}
        write_run(folder, table, config=config, metrics={**leak, **floors}, tuning={"trials": 20})
        pd.DataFrame({"path": FILES["path"], "sha256": ""}).to_csv(folder / "manifest.csv")
    return root / "sweep"


@pytest.fixture(scope="module")
def out(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "comparison"
    compare_runs([runs], folder)
    return folder


def test_four_files_and_nothing_else(out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == [
        *("comparison.html", "table.csv", "table.md", "table.tex"),
    ]


def test_the_same_input_gives_the_same_bytes(runs: Path, out: Path, tmp_path: Path) -> None:
    compare_runs([runs], tmp_path)
    for path in out.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
        assert b"\r" not in path.read_bytes()


def test_the_csv_has_measured_and_quoted_rows(out: Path) -> None:
    with (out / "table.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["model"]: row for row in csv.DictReader(stream)}
    assert list(rows) == [
        *("cnn", "vgg19", ODD),
        *("VGG-19, the paper", "Nguyen et al. 2021, CNN", "Lin et al. 2018, CNN"),
    ]
    paper = rows["VGG-19, the paper"]
    assert [paper[key] for key in ("accuracy", "precision", "recall", "f1")] == [
        *("0.99251", "0.98974", "0.99265", "0.99119"),
    ]
    for row in list(rows.values())[3:]:
        assert "measured on other data: not comparable" in row["measured_on"]
        assert row["escape_rate_by_group"] == ""
    ends = [float(rows["cnn"][f"escape_rate_by_group{end}"]) for end in ("_low", "", "_high")]
    assert ends == sorted(ends)
    assert (rows["cnn"]["leak_share"], rows["cnn"]["floor_histogram_accuracy"]) == ("0.25", "0.875")
    assert (rows["cnn"]["seconds"], rows["cnn"]["tuning_trials"]) == ("12.5", "20")


def test_markdown_shows_names_as_they_are(out: Path) -> None:
    text = (out / "table.md").read_text(encoding="utf-8")
    html = MarkdownIt("commonmark").enable("table").render(text)
    cells = words(html).cells
    assert ODD in cells
    assert "<b>" not in html
    assert len([cell for cell in cells if cell == "VGG-19, the paper"]) == 1
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(re.sub(r"\\\|", "", row).count("|") in (6, 7, 8) for row in rows)


@pytest.mark.parametrize("text", [ODD, "a|b", r"\|", "_x_", "&lt;", "1 < 2 > 0", "``", "[a](b)"])
def test_markdown_is_undone_by_a_markdown_reader(text: str) -> None:
    parsed = MarkdownIt("commonmark").enable("table").render(f"| a |\n| - |\n| {markdown(text)} |")
    assert words(parsed).cells[1] == " ".join(text.split())


def test_latex_escapes_every_sign_of_its_own(out: Path) -> None:
    escaped = latex(ODD)
    assert escaped.startswith(r"we\_ird \& \textless{}b\textgreater{}\textbar{}*na\$me*")
    bare = re.sub(r"\\text[a-z]+\{\}|\\[&%$#_{}]", "", escaped)
    assert not re.search(r"[\\&%$#_{}~^<>|]", bare)
    text = (out / "table.tex").read_text(encoding="utf-8")
    assert escaped in text
    for table in re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL):
        ends = [len(re.findall(r"(?<!\\)&", line)) for line in table.strip().splitlines()]
        assert len(set(ends)) == 1
    assert text.count("{") == text.count("}")


def test_the_page_is_self_contained_and_escaped(out: Path) -> None:
    html = (out / "comparison.html").read_text(encoding="utf-8")
    parsed = words(html)
    assert all(address.startswith("data:image/") for address in parsed.addresses)
    assert "<b>" not in html
    assert any(cell.startswith(ODD) for cell in parsed.cells)
    assert "measured on other data: not comparable" in html
    assert "25.0 % of the test files have another file of their photograph or casting in" in html
    assert "floor_histogram 87.5 %" in html
    assert "suspects a copy in training" not in html  # a known leak says it already
    assert '<div class="verdict bad">' in html


def test_the_pictures_on_which_models_disagree_are_shown(runs: Path, out: Path) -> None:
    html = (out / "comparison.html").read_text(encoding="utf-8")
    found = disagreements(compare_runs([runs], out).contenders)
    assert 0 < len(found) <= 24
    jpegs = [one for one in words(html).addresses if one.startswith("data:image/jpeg")]
    assert len(jpegs) == len(found)
    assert all(one.path in html for one in found)


def test_a_second_look_stands_beside_figures_without_a_known_leak(tmp_path: Path) -> None:
    metrics = {"second_look": {"part": "test", "share": 0.0125, "files": 3, "of": 26}}
    write_run(tmp_path / "a", predictions(FILES, "a"), metrics=metrics)
    compare_runs([tmp_path], tmp_path / "out")
    html = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert "suspects a copy in training for 1.2 % of the test files" in html
    assert '<div class="verdict bad">' not in html


def test_a_picture_that_changed_is_named_and_not_shown(runs: Path, tmp_path: Path) -> None:
    for manifest in runs.rglob("manifest.csv"):
        table = pd.read_csv(manifest).assign(sha256="0" * 64)
        table.to_csv(manifest, index=False)
    compare_runs([runs], tmp_path)
    html = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert "data:image/jpeg" not in html
    assert "pictures are named only" in html


def test_disagreements_are_one_file_a_group_and_the_files_are_counted(tmp_path: Path) -> None:
    one = predictions(FILES, "a", skill=9.0)
    wrong = FILES["group"].isin(["normal_0", "defective_1"])
    other = one.assign(model="b", p_normal=one["p_normal"].where(~wrong, 1 - one["p_normal"]))
    write_run(tmp_path / "a", one)
    write_run(tmp_path / "b", other.assign(logit=np.nan))
    found = disagreements(compare_runs([tmp_path], tmp_path / "out").contenders)
    assert [(each.group, each.alike) for each in found] == [("defective_1", 2), ("normal_0", 2)]
    assert all(each.wrong == {"a": 0.0, "b": 1.0} for each in found)


def test_one_model_alone_is_a_page_without_tests(tmp_path: Path) -> None:
    write_run(tmp_path / "a", predictions(FILES, "a"))
    compare_runs([tmp_path], tmp_path / "out")
    html = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert "Figures of a" in html
    assert "Tests against" not in html
    assert "Where the models disagree" not in html


def test_tables_with_one_class_are_compared_as_far_as_they_go(tmp_path: Path) -> None:
    good = FILES[FILES["label"] == "normal"]
    for name in ("a", "bb"):
        predictions(good, name).to_csv(tmp_path / f"{name}.csv", index=False)
    found = compare_runs([tmp_path / "a.csv", tmp_path / "bb.csv"], tmp_path / "out")
    claimed = {test.what: test.claim for test in found.tests}
    assert claimed["escapes"] == "not tested"
    assert "How these tables were split is not known" in (tmp_path / "out" / "table.md").read_text(
        encoding="utf-8"
    )


def test_out_that_is_a_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="is a file; name a folder"):
        compare_runs([tmp_path / "nowhere"], tmp_path / "out")


def test_the_figure_has_a_point_and_two_intervals_a_model(runs: Path, tmp_path: Path) -> None:
    contenders = compare_runs([runs], tmp_path).contenders
    (axes,) = escape_overkill_figure(contenders).axes
    assert len(axes.containers) == 3
    for one, bars in zip(contenders, axes.containers, strict=True):
        point = [one.figures[f"{key}_rate_by_group"] for key in ("overkill", "escape")]
        assert [float(line[0]) for line in bars[0].get_data()] == [each["value"] for each in point]
        across, up = (bar.get_segments()[0] for bar in bars[2])
        assert across[:, 0] == pytest.approx([point[0]["low"], point[0]["high"]])
        assert up[:, 1] == pytest.approx([point[1]["low"], point[1]["high"]])
        assert axes.get_xlim()[1] >= point[0]["high"]


def test_what_28_good_photographs_can_show() -> None:
    assert f"{least_upper_limit(28):.3f}" == "0.123"
    assert f"{most_balanced_accuracy(28, 142):.3f}" == "0.937"
    text = " ".join(claims(28, 142, CastingNames(8648, 0, 0), ["group"]))
    assert "an overkill rate up to 12.3 %" in text
    assert "no balanced accuracy above 0.937" in text
    assert "never for a new lot" in text
    assert "copies of one photograph in training" in " ".join(
        claims(28, 142, CastingNames(8648, 0, 0), ["vendor"])
    )
    assert "no casting named" in " ".join(claims(3, 4, CastingNames(0, 0, 7), ["file"]))
    assert "no casting named" not in " ".join(claims(3, 4, CastingNames(7, 0, 0), ["group"]))


def test_small_p_values_are_not_rounded_to_zero() -> None:
    assert [p_words(p) for p in (0.2, 0.0004, float("nan"))] == ["0.200", "< 0.001", "-"]


def test_csv_cells_without_a_value_are_empty() -> None:
    rows = [{"a": 1.0, "b": None}, {"c": float("nan"), "a": 1 / 3}]
    assert csv_text(rows) == "a,b,c\n1,,\n0.3333333333,,\n"
