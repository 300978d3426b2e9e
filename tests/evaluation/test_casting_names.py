"""Where groups come from: named, found or neither, whatever their number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casting_inspect import evaluate
from casting_inspect.data.audit.groups import with_groups
from casting_inspect.data.manifest import read_manifest
from casting_inspect.evaluation.acceptance import acceptance_of
from casting_inspect.evaluation.casting_names import CastingNames, casting_names, casting_note
from casting_inspect.evaluation.predictions import complete_predictions
from casting_inspect.evaluation.report.acceptance_page import limits
from casting_inspect.evaluation.report.sources import Source, read_source

FOUND = [f"g{number:012x}" for number in range(400)]


def table(**columns: object) -> pd.DataFrame:
    """Return 300 defective and 100 good pictures without an error."""
    number = np.arange(400)
    good = number >= 300
    rows = {
        "path": [f"{at}.png" for at in number],
        "label": np.where(good, "normal", "defective"),
        "p_normal": np.where(good, 0.9, 0.1),
    }
    return pd.DataFrame({**rows, **columns})


def evaluated(folder: Path, rows: pd.DataFrame, *words: str) -> Source:
    rows.to_csv(folder / "p.csv", index=False)
    words = (f"predictions={folder / 'p.csv'}", f"out={folder / 'out'}", *words)
    assert evaluate.main([*words, "max_escape=0.01"]) == 0
    return read_source(folder / "out", folder / "p.csv", given={"max_escape": 0.01})


def test_each_picture_is_counted_once() -> None:
    wide = [f"w{number:012x}" for number in range(400)]
    mixed = ["a casting", "", *FOUND[2:]]
    for columns, expected in (
        ({}, (0, 0, 400)),
        ({"group": FOUND}, (0, 400, 0)),
        ({"group": [f"casting {at}" for at in range(400)], "group_wide": wide}, (400, 0, 0)),
        ({"group": "", "group_wide": [f"c{at}" for at in range(400)]}, (400, 0, 0)),
        ({"group": mixed}, (1, 398, 1)),
    ):
        assert casting_names(complete_predictions(table(**columns))) == CastingNames(*expected)
    assert casting_note(CastingNames(7, 0, 0)) == ""
    assert casting_note(CastingNames(6, 0, 1)).startswith("1 of the 7 pictures has no casting")


def test_the_search_for_copies_names_groups_so_that_they_can_be_told(
    castings: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(castings / "manifest.csv").iloc[:12]
    assert casting_names(manifest) == CastingNames(12, 0, 0)
    found, _ = with_groups(manifest.assign(group=""), castings, cache=tmp_path, progress=False)
    assert casting_names(found) == CastingNames(0, 12, 0)


@pytest.mark.parametrize("twins", [False, True])
def test_a_copy_found_by_chance_does_not_make_castings_named(tmp_path: Path, twins: bool) -> None:
    groups = [FOUND[0], *FOUND[:-1]] if twins else FOUND
    source = evaluated(tmp_path, table(group=groups))
    found = acceptance_of(source)
    assert found.verdict == "accepted"
    assert "copies of one photograph were found" in " ".join(limits(source, found))
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "copies of one photograph were found" in page


def test_castings_named_with_one_picture_each_are_named(tmp_path: Path) -> None:
    source = evaluated(tmp_path, table(group=[f"casting {at}" for at in range(400)]))
    assert "no casting named" not in " ".join(limits(source, acceptance_of(source)))
    assert "no casting named" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_parts_that_are_judged_are_castings_that_are_named(tmp_path: Path) -> None:
    rows = table(part=[f"part {at}" for at in range(400)])
    source = evaluated(tmp_path, rows, "unit=part")
    assert acceptance_of(source).verdict == "accepted"
    assert "no casting named" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_pictures_of_which_nobody_knows_the_casting_are_not_accepted(tmp_path: Path) -> None:
    found = acceptance_of(evaluated(tmp_path, table()))
    assert (found.verdict, found.kept) == ("not shown", True)
    (reason,) = found.reasons
    assert reason.startswith("The pictures have no casting named")
    assert "group_from" in reason
