import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from casting_inspect.deployment.bundle import FORMAT, digest_of, read_bundle, seal
from casting_inspect.errors import UserError

RECORD: dict[str, Any] = {
    "limits": {"high": 0.7, "low": 0.3, "high_log_odds": 0.8, "low_log_odds": -0.8},
    "input": {"side": 64, "fit": "pad", "window": [10, 4000]},
    "heatmap": False,
    "models": [{"runtime": "onnxruntime", "precision": "fp32", "file": "model.onnx"}],
}


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(bytes(range(256)))
    seal(folder, RECORD)
    return folder


def rewrite(folder: Path, **changes: Any) -> None:
    """Change the record as one would who knows how it is sealed."""
    path = folder / "bundle.json"
    record = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({**record, "digest": digest_of(record)}), encoding="utf-8")


def test_what_was_sealed_is_read_back(sealed: Path) -> None:
    found = read_bundle(sealed)
    assert (found.limits.high, found.limits.low, found.side, found.fit) == (0.7, 0.3, 64, "pad")
    assert found.window == (10.0, 4000.0)
    assert [model.file for model in found.models] == ["model.onnx"]
    assert found.digest == json.loads((sealed / "bundle.json").read_text())["digest"]


@pytest.mark.parametrize("at", [0, 128, 255])
def test_one_changed_byte_of_a_model_is_refused(sealed: Path, at: int) -> None:
    data = bytearray((sealed / "model.onnx").read_bytes())
    data[at] ^= 1
    (sealed / "model.onnx").write_bytes(data)
    with pytest.raises(UserError, match=r"model\.onnx is not as it was exported"):
        read_bundle(sealed)


def test_a_changed_threshold_is_refused(sealed: Path) -> None:
    path = sealed / "bundle.json"
    path.write_text(path.read_text().replace("0.7", "0.1"), encoding="utf-8")
    with pytest.raises(UserError, match=r"bundle\.json is not as it was exported"):
        read_bundle(sealed)


def test_laid_out_otherwise_the_record_is_the_same(sealed: Path) -> None:
    path = sealed / "bundle.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(dict(reversed(record.items()))), encoding="utf-8")
    assert read_bundle(sealed).digest == record["digest"]


def test_a_newer_format_is_refused_before_anything_else(sealed: Path) -> None:
    rewrite(sealed, format=FORMAT + 1, models="in another way")
    with pytest.raises(UserError, match=rf"format {FORMAT + 1}.*update casting_inspect"):
        read_bundle(sealed)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is damaged"),
        ("[]", "names no format"),
        ('{"format": 1}', "names no format, digest or files"),
        ('{"digest": "x", "files": {}}', "names no format"),
    ],
)
def test_what_is_no_record_is_refused(sealed: Path, text: str, says: str) -> None:
    (sealed / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=says):
        read_bundle(sealed)


@pytest.mark.parametrize(
    "changes",
    [
        {"limits": {}},
        {"limits": {**RECORD["limits"], "high": 0.1}},
        {"limits": {**RECORD["limits"], "high": "often"}},
        {"input": None},
        {"models": []},
        {"models": [{"runtime": "onnxruntime", "precision": "fp32", "file": "other.onnx"}]},
    ],
)
def test_an_incomplete_record_is_refused(sealed: Path, changes: dict[str, Any]) -> None:
    rewrite(sealed, **changes)
    with pytest.raises(UserError, match="export it again"):
        read_bundle(sealed)


def test_files_outside_the_bundle_are_not_read(sealed: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    for name in ("../secret", str(secret)):
        rewrite(sealed, files={name: {"sha256": "0" * 64, "bytes": 6}})
        with pytest.raises(UserError, match="not a file of the bundle"):
            read_bundle(sealed)


def test_a_link_is_no_file_of_the_bundle(sealed: Path, tmp_path: Path) -> None:
    shutil.move(sealed / "model.onnx", tmp_path / "elsewhere")
    (sealed / "model.onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="not a file of the bundle"):
        read_bundle(sealed)


def test_a_missing_file_is_named(sealed: Path) -> None:
    (sealed / "model.onnx").unlink()
    with pytest.raises(UserError, match=r"lacks model\.onnx"):
        read_bundle(sealed)


def test_a_folder_without_record_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no bundle: it has no bundle\.json"):
        read_bundle(tmp_path)


def test_numbers_come_back_to_the_last_bit(sealed: Path) -> None:
    limit = math.nextafter(0.7, 1)
    rewrite(sealed, limits={**RECORD["limits"], "high": limit})
    assert read_bundle(sealed).limits.high == limit
