from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from casting_inspect import evaluate
from casting_inspect.errors import UserError
from casting_inspect.evaluation.casting_names import casting_names
from casting_inspect.evaluation.inspected import Labels, labelled

CASTINGS = 80
"""Of each class, two pictures of each."""


def truth() -> pd.DataFrame:
    rows = [
        {"path": f"{label}/{casting}_{view}.png", "label": label, "group": f"{label}{casting}"}
        for label in ("normal", "defective")
        for casting in range(CASTINGS)
        for view in range(2)
    ]
    return pd.DataFrame(rows).assign(kind="hole", width=300, height=300)


def verdicts(of: pd.DataFrame) -> pd.DataFrame:
    """Return what `predict` writes: all right."""
    normal = (of["label"] == "normal").to_numpy()
    p_normal = np.where(normal, 0.9999, 0.2) - np.arange(len(of)) * 1e-7
    return pd.DataFrame(
        {
            "path": of["path"],
            "verdict": np.where(normal, "normal", "defective"),
            "p_normal": [repr(value) for value in p_normal.tolist()],
            "threshold": "0.99",
            "threshold_low": "0.99",
            "model": "a" * 64,
            "milliseconds": "45.1",
            "time": "2026-01-31T14:05:00+00:00",
            "error": "",
        }
    )


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    said, labels = tmp_path / "verdicts.csv", tmp_path / "castings.csv"
    truth().to_csv(labels, index=False)
    verdicts(truth()).sample(frac=1, random_state=0).to_csv(said, index=False)
    return said, labels


def test_an_inspector_is_accepted_on_castings_of_its_own(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "acceptance"
    words = [f"predictions={files[0]}", f"labels={files[1]}", f"out={out}"]
    assert evaluate.main([*words, "max_escape=0.05", "max_overkill=0.05"]) == 0
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["test"]
    assert metrics["n_groups"] == 2 * CASTINGS
    assert metrics["escape_rate"] == metrics["overkill_rate"] == 0
    page = (out / "acceptance.html").read_text(encoding="utf-8")
    assert "Accepted" in page
    assert "a person" not in page  # threshold_low is there, and the same as threshold
    shown = capsys.readouterr().out
    assert "verdict=" not in shown  # what predict said is no property of a casting
    assert "milliseconds" not in shown


def test_what_could_not_be_read_is_no_pass_and_not_left_out(files: tuple[Path, Path]) -> None:
    said, labels = files
    table = pd.read_csv(said, dtype=str, keep_default_na=False)
    spoilt = table["path"].isin(["defective/3_0.png", "normal/4_1.png"])
    table.loc[spoilt, ["verdict", "p_normal", "error"]] = ["error", "", "cannot be decoded"]
    table.to_csv(said, index=False)
    found, remarks = labelled(said, Labels(labels))
    assert len(found) == 4 * CASTINGS
    scores = found.set_index("path")["p_normal"]
    assert scores["defective/3_0.png"] == scores["normal/4_1.png"] == 0
    assert remarks == ["2 pictures could not be read; they are no pass, and count as rejected"]
    assert set(found["kind"]) == {"hole"}
    assert not {"verdict", "milliseconds", "time", "error", "width"} & set(found)


def test_pictures_beside_the_test_are_said_and_left_out(files: tuple[Path, Path]) -> None:
    said, labels = files
    truth().iloc[2:].to_csv(labels, index=False)
    found, remarks = labelled(said, Labels(labels))
    assert len(found) == 4 * CASTINGS - 2
    assert remarks == [f"2 verdicts are on pictures that labels={labels} does not have"]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda table: table.iloc[3:], r"no verdict on 3 of the 320 pictures .* such as"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "has two verdicts"),
        (lambda table: table.drop(columns="verdict"), "has no column 'verdict'"),
        (
            lambda table: table.assign(model=["a"] * 100 + ["b"] * 220),
            "2 different values of model; one inspector",
        ),
        (
            lambda table: table.assign(threshold=["0.99"] * 100 + ["0.98"] * 220),
            "2 different values of threshold",
        ),
        (lambda table: table.assign(p_normal=["0.5"] * 7 + ["x"] * 313), "row .*: p_normal is 'x'"),
    ],
)
def test_what_would_tell_a_lie_is_refused(
    files: tuple[Path, Path], spoil: object, complaint: str
) -> None:
    said, labels = files
    assert callable(spoil)
    spoil(pd.read_csv(said, dtype=str, keep_default_na=False)).to_csv(said, index=False)
    with pytest.raises(UserError, match=complaint):
        labelled(said, Labels(labels))


def test_a_folder_with_a_spoilt_picture_and_castings_in_the_names(
    castings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "pictures"
    for row in pd.read_csv(castings / "manifest.csv", dtype=str).itertuples():
        to = pictures / ("gut" if row.label == "normal" else "schlecht") / Path(str(row.path)).name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(castings / str(row.path), to)
    spoilt = sorted(pictures.glob("schlecht/*"))[0]
    spoilt.write_bytes(b"")
    names = [path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png")]
    table = verdicts(pd.DataFrame({"path": names}).assign(label="normal"))
    bad = table["path"] == spoilt.relative_to(pictures).as_posix()
    table.loc[bad, ["verdict", "p_normal"]] = ["error", ""]
    said = tmp_path / "verdicts.csv"
    table.to_csv(said, index=False)
    rule = "path:part_([0-9]+)"
    found, remarks = labelled(said, Labels(pictures, group_from=rule))
    assert len(found) == len(names)
    assert remarks == ["1 pictures could not be read; they are no pass, and count as rejected"]
    assert found["group"].nunique() == 24
    words = [f"predictions={said}", f"labels={pictures}", f"out={tmp_path / 'out'}"]
    assert evaluate.main([*words, f"group_from={rule}"]) == 0
    assert "no casting named" not in (tmp_path / "out" / "acceptance.html").read_text("utf-8")
    assert evaluate.main([*words[:2], f"out={tmp_path / 'unnamed'}"]) == 0
    assert "no casting named" in (tmp_path / "unnamed" / "acceptance.html").read_text("utf-8")


def test_a_labels_table_as_it_comes(files: tuple[Path, Path]) -> None:
    """With columns that predict has too, Windows's paths, and castings of one picture unnamed."""
    said, labels = files
    table = truth().assign(time="2026-01-31", model="camera 1", fold="3")
    table.loc[[0, 1], "group"] = ["", table["path"][1]]
    table["path"] = table["path"].str.replace("/", "\\")
    table.to_csv(labels, index=False, sep=";")
    found, _ = labelled(said, Labels(labels))
    assert len(found) == 4 * CASTINGS
    assert set(found["model"]) == {"a" * 12}
    assert set(found["fold"]) == {0}
    assert casting_names(found) == (4 * CASTINGS, 0, 0)
    assert found["group"].nunique() == 2 * CASTINGS + 1


def test_a_runs_own_table_is_not_written_over(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = files[0].parent / "run"
    run.mkdir()
    (run / "run.json").write_text("{}", encoding="utf-8")
    words = [f"predictions={files[0]}", f"labels={files[1]}", f"out={run}"]
    assert evaluate.main(words) == 2
    assert "is a run's folder" in capsys.readouterr().err
    assert [path.name for path in run.iterdir()] == ["run.json"]


def test_the_table_that_is_read_is_not_written_over(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    own = files[0].with_name("predictions.csv")
    files[0].rename(own)
    before = own.read_bytes()
    words = [f"predictions={own}", f"labels={files[1]}", f"out={own.parent}"]
    assert evaluate.main(words) == 2
    assert "would be written over" in capsys.readouterr().err
    assert own.read_bytes() == before


def test_without_labels_a_table_of_predict_says_what_is_missing(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main([f"predictions={files[0]}", f"out={tmp_path / 'out'}"]) == 2
    assert "evaluate labels=DIR brings them" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
