"""The acceptance record: its verdict against sampling plans, and the page that is signed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import binom

from casting_inspect import evaluate
from casting_inspect.evaluation.acceptance import acceptance_of
from casting_inspect.evaluation.escape import castings_needed
from casting_inspect.evaluation.evaluate import evaluate_predictions
from casting_inspect.evaluation.report.sources import Source, read_source
from casting_inspect.evaluation.report.write import write_report

AGREED = {"max_escape": 0.01, "max_overkill": 0.03}


def table(
    defective: int = 299, escapes: int = 0, good: int = 99, rejects: int = 0, copies: int = 1
) -> pd.DataFrame:
    """Return predictions of castings, the first of each class judged wrongly."""
    rows = [
        {
            "path": f"{label}/{number}_{copy}.png",
            "label": label,
            "group": f"{label}{number}",
            "p_normal": 0.9 if (label == "normal") != (number < wrong) else 0.1,
        }
        for label, count, wrong in (("defective", defective, escapes), ("normal", good, rejects))
        for number in range(count)
        for copy in range(copies)
    ]
    return pd.DataFrame(rows)


def source(
    folder: Path,
    rows: pd.DataFrame,
    notes: dict[str, Any] | None = None,
    given: dict[str, float | None] | None = None,
    **config: dict[str, Any],
) -> Source:
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / "predictions.csv", index=False)
    settings = {"data": {"split": "group"}, **config}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    evaluate_predictions(folder / "predictions.csv", folder, notes)
    return read_source(folder, folder / "predictions.csv", given=AGREED if given is None else given)


@pytest.mark.parametrize(("escapes", "castings"), [(0, 299), (1, 473), (2, 628)])
def test_the_numbers_of_the_plan_are_accepted_and_one_casting_less_is_not(
    escapes: int, castings: int, tmp_path: Path
) -> None:
    enough = source(tmp_path / "a", table(castings, escapes))
    assert acceptance_of(enough).verdict == "accepted"
    short = source(tmp_path / "b", table(castings - 1, escapes))
    found = acceptance_of(short)
    assert (found.verdict, found.escape.needed) == ("not shown", castings)
    assert found.reasons == [
        f"At most 1 % escapes is not shown: with {castings - 1} castings up to "
        f"{100 * found.escape.high:.2f} % cannot be excluded; {castings} defective castings would "
        "do, if no further one were judged wrongly."
    ]


def test_copies_of_a_casting_are_no_further_evidence(tmp_path: Path) -> None:
    found = acceptance_of(source(tmp_path, table(30, good=99, copies=10)))
    assert (found.verdict, found.escape.castings) == ("not shown", 30)
    assert found.escape.high == pytest.approx(1 - 0.05 ** (1 / 30))
    assert len(found.rows) == 1290


def test_failed_needs_as_much_evidence_as_accepted(tmp_path: Path) -> None:
    # P(X >= 7) with 299 castings at 1 % is 3.4 %, P(X >= 6) is 8.2 %: only seven refute it
    assert binom.sf(6, 299, 0.01) < 0.05 < binom.sf(5, 299, 0.01)
    assert acceptance_of(source(tmp_path / "6", table(299, 6))).verdict == "not shown"
    found = acceptance_of(source(tmp_path / "7", table(299, 7)))
    assert (found.verdict, found.escape.result, found.overkill.result) == (
        *("failed", "failed", "accepted"),
    )
    assert found.reasons == [
        f"At most 1 % escapes is refuted: at least {100 * found.escape.low:.2f} %."
    ]


def test_good_castings_count_too(tmp_path: Path) -> None:
    found = acceptance_of(source(tmp_path, table(rejects=30)))
    assert (found.verdict, found.overkill.errors) == ("failed", 30)


@pytest.mark.parametrize(
    ("notes", "config", "words"),
    [
        (
            {"leak": {"share": 0.5, "files": 199, "of": 398, "part": "test"}},
            {},
            "50.0 % of the 398",
        ),
        (None, {"data": {"split": "vendor"}}, "split by vendor"),
        (None, {"report": {"max_escape": None}, "decide": {"max_escape": None}}, "No limit"),
    ],
)
def test_what_keeps_good_figures_from_being_accepted(
    notes: dict[str, Any] | None, config: dict[str, Any], words: str, tmp_path: Path
) -> None:
    given = {} if "report" in config else AGREED
    found = acceptance_of(source(tmp_path, table(), notes, given, **config))
    assert found.verdict == "not shown"
    (reason,) = found.reasons
    assert words in reason


def test_several_models_or_validation_rows_are_no_test_of_one_model(tmp_path: Path) -> None:
    rows = table()
    folds = rows.assign(fold=np.arange(len(rows)) % 5)
    (reason,) = acceptance_of(source(tmp_path / "a", folds)).reasons
    assert reason.startswith("5 models were tested")
    assert "has still to judge castings that it has not learnt" in reason
    assert reason.endswith("evaluate with labels=DIR.")
    (reason,) = acceptance_of(source(tmp_path / "b", rows.assign(split="val"))).reasons
    assert reason.startswith("Nothing was tested")


def test_limits_are_those_given_then_the_reports_then_the_rules(tmp_path: Path) -> None:
    decide = {"name": "review", "max_escape": 0.2, "max_overkill": 0.4}
    made = source(tmp_path, table(), given={}, report={"max_escape": 0.1}, decide=decide)
    found = acceptance_of(made)
    assert (found.escape.limit, found.overkill.limit) == (0.1, 0.4)
    found = acceptance_of(replace(made, given={"max_escape": 0.05, "max_overkill": None}))
    assert (found.escape.limit, found.overkill.limit) == (0.05, 0.4)


def test_a_part_is_judged_once(tmp_path: Path) -> None:
    rows = table(copies=2)
    rows["part"] = rows["group"]
    rows.loc[0, "p_normal"] = 0.9  # one of two pictures of a defective part passes
    rows.to_csv(tmp_path / "p.csv", index=False)
    words = ["predictions=p.csv", "unit=part", "max_escape=0.01", "max_overkill=0.03"]
    out = tmp_path / "out"
    assert evaluate.main([f"predictions={tmp_path / 'p.csv'}", f"out={out}", *words[1:]]) == 0
    found = acceptance_of(read_source(out, tmp_path / "p.csv", given=AGREED))
    assert (found.escape.errors, len(found.rows)) == (0, 398)
    assert found.verdict == "accepted"


def test_a_class_that_was_not_tested(tmp_path: Path) -> None:
    found = acceptance_of(source(tmp_path, table(defective=0)))
    assert found.escape.needed == castings_needed(0.01)
    assert "At most 1 % escapes: no defective casting was tested." in found.reasons


def test_the_page_has_all_parts_and_a_place_to_sign(tmp_path: Path) -> None:
    rows = table()
    rows["kind"] = np.where(rows["label"] == "defective", "<crack>", "")
    rows["lot"] = [f"lot{number % 7}" for number in range(len(rows))]
    source(tmp_path, rows)
    write_report(tmp_path, limits=AGREED)
    page = (tmp_path / "acceptance.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>|\s+", " ", page.split("<body>")[1])
    for words in (
        *("Accepted: every limit", "Slip (escape)", "Pseudo-reject (overkill)", "Test piece set"),
        *("Limits of this claim", "not for another lot", "Supplier", "Customer", "Signature"),
        *("&lt;crack&gt;", "VDI/VDE/VDMA 2632 Part 3", "no statement of conformity"),
    ):
        assert words in text, words
    assert text.count("Name") == text.count("Date") == 2
    assert "http" not in page
    assert "@page { size: A4" in page
    assert re.search(r"defective\s+299\s+299\s+7\s+not recorded\s+1", text)


def test_another_tools_table_is_for_the_supplier_to_vouch_for(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "p.csv", index=False)
    out = tmp_path / "out"
    words = [f"predictions={tmp_path / 'p.csv'}", f"out={out}", "max_escape=0.01"]
    assert evaluate.main(words) == 0
    page = (out / "acceptance.html").read_text(encoding="utf-8")
    assert "is for the supplier to confirm" in page
    assert "Accepted" in page


@pytest.mark.parametrize("words", [["max_escape=0"], ["max_overkill=1"], ["max_escape=half"]])
def test_limits_out_of_range_are_refused(words: list[str], tmp_path: Path) -> None:
    assert evaluate.main(["predictions=p.csv", f"out={tmp_path / 'o'}", *words]) == 2
