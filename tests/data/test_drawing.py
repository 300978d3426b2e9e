from __future__ import annotations

from pathlib import Path

import pytest

from casting_inspect.data.intake import prepare
from casting_inspect.data.manifest import read_manifest, scan_folder
from casting_inspect.data.synthetic import SyntheticConfig
from casting_inspect.errors import UserError

SMALL = {"parts": 4, "photographs": 2, "size": 64, "seed": None}


def test_drawn_castings_are_a_data_root_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "drawn"
    first = prepare(None, out, "synthetic", synthetic=SMALL)
    assert (first.n_normal, first.n_defective, first.unchanged) == (4, 4, False)
    frame = read_manifest(first.manifest)
    assert frame["group"].nunique() == 4
    for file in ("prepare.json", "rejected.csv", "defects.csv"):
        assert (out / file).is_file()
    (out / "masks").rename(tmp_path / "masks")
    found = scan_folder(out)
    assert sorted(found["sha256"]) == sorted(frame["sha256"])
    assert "8/8" in capsys.readouterr().err
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    config = SyntheticConfig(parts=4, photographs=2, size=64)
    again = prepare(None, out, "synthetic", synthetic=config, progress=False)
    assert again.unchanged
    assert "nothing to do" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times


def test_other_castings_or_damaged_ones_are_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "drawn"
    prepare(None, out, "synthetic", synthetic=SMALL, progress=False)
    with pytest.raises(UserError, match="other pictures"):
        prepare(None, out, "synthetic", synthetic={**SMALL, "seed": 8}, progress=False)
    next((out / "normal").iterdir()).write_bytes(b"")
    with pytest.raises(UserError, match="damaged, 1 files"):
        prepare(None, out, "synthetic", synthetic=SMALL, progress=False)
    with pytest.raises(UserError, match=r"synthetic\.part: .*Did you mean 'parts'"):
        prepare(None, tmp_path / "b", "synthetic", synthetic={"part": 3})
    assert [path.name for path in tmp_path.iterdir()] == ["drawn"]
