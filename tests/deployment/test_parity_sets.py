from pathlib import Path

import pandas as pd
import pytest
from made_runs import make_run

from casting_inspect.deployment.parity_sets import given_set, own_set
from casting_inspect.errors import UserError
from casting_inspect.training.trained_run import TrainedRun


@pytest.mark.parametrize(
    ("fold", "inner", "learnt"), [("final", "", True), (0, "1", True), (0, "", False)]
)
def test_the_whole_validation_set_is_taken_once(
    castings: Path, tmp_path: Path, fold: object, inner: str, learnt: bool
) -> None:
    run = make_run(tmp_path / "run", castings, fold=fold, inner=inner)
    found = own_set(TrainedRun(run))
    assert found.learnt is learnt
    assert len(found.table) == found.table["path"].nunique() == 48
    assert all(path.is_file() for path in found.paths())


def test_a_run_without_validation_pictures_is_refused(castings: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", castings, fold=0)
    table = pd.read_csv(run / "predictions.csv").assign(split="test")
    table.to_csv(run / "predictions.csv", index=False)
    with pytest.raises(UserError, match="holds no validation pictures"):
        own_set(TrainedRun(run))
    (run / "predictions.csv").unlink()
    with pytest.raises(UserError, match=r"has no predictions\.csv"):
        own_set(TrainedRun(run))


def test_pictures_that_have_moved_are_asked_for(run: Path, castings: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="root=DIR says where"):
        own_set(TrainedRun(run, root=tmp_path))


def test_some_pictures_are_spread_over_groups(run: Path) -> None:
    found = own_set(TrainedRun(run))
    few = found.limited(10)
    assert len(few.table) == 10
    assert few.table["group"].nunique() == 10
    assert "10 of 48" in few.words
    assert found.limited(None) is found


def test_a_further_set_needs_no_manifest(castings: Path) -> None:
    found = given_set(castings, None)
    assert (found.learnt, len(found.table)) == (False, 48)
    assert set(found.table["label"]) == {"normal", "defective"}
