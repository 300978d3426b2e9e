from __future__ import annotations

import cv2
import numpy as np
import pytest

from casting_inspect.data.audit import survey as module
from casting_inspect.data.audit.survey import survey
from casting_inspect.files import sha256_of_file


@pytest.fixture
def files(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8)
    for name in ("a.png", "b.bmp"):
        cv2.imwrite(str(tmp_path / name), picture)
    cv2.imwrite(str(tmp_path / "deep.png"), picture.astype(np.uint16) * 250)
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    (tmp_path / "empty.jpg").write_bytes(b"")
    return [tmp_path / name for name in ("a.png", "broken.png", "b.bmp", "empty.jpg", "deep.png")]


def described(files, cache):
    return survey(files, [sha256_of_file(path) for path in files], cache=cache, progress=False)


def test_layout_pixels_and_reason_of_every_file(files, tmp_path):
    table = described(files, tmp_path / "cache")
    assert table["width"].to_list() == [30, 0, 30, 0, 30]
    assert table["height"].to_list() == [20, 0, 20, 0, 20]
    assert table["format"].to_list() == ["PNG", "", "BMP", "", "PNG"]
    assert table["bits"].to_list() == [8, 0, 8, 0, 16]
    assert [bool(reason) for reason in table["reason"]] == [False, True, False, True, False]
    pixels = table["pixels"]
    assert pixels[0] == pixels[2]  # another file, the same picture
    assert pixels[0] != pixels[4]


def test_what_is_known_by_content_is_not_decoded_again(files, tmp_path, monkeypatch):
    one = described(files, tmp_path / "cache")
    monkeypatch.setattr(module, "decode", lambda path: pytest.fail(f"{path} decoded again"))
    two = described(files[::-1], tmp_path / "cache")
    assert one.iloc[::-1].to_numpy().tolist() == two.to_numpy().tolist()


def test_a_picture_that_is_gone_is_not_kept_as_a_damaged_one(files, tmp_path):
    digests = [sha256_of_file(path) for path in files]
    whole = files[0].read_bytes()
    files[0].unlink()
    with pytest.raises(FileNotFoundError):
        survey(files, digests, cache=tmp_path / "cache", progress=False)
    files[0].write_bytes(whole)
    assert described(files, tmp_path / "cache")["reason"][0] == ""
