from __future__ import annotations

import cv2
import numpy as np
import pytest

from casting_inspect.data.synthetic.config import KINDS, DefectKind, SyntheticConfig, part_kind
from casting_inspect.data.synthetic.draws import draw_defect, draw_exposure
from casting_inspect.data.synthetic.outlines import largest_distance
from casting_inspect.data.synthetic.render import png_bytes, render_part

CONFIG = SyntheticConfig(photographs=2, size=128, seed=4)


def parts_of(kind: DefectKind | None, count: int) -> list[int]:
    return [part for part in range(400) if part_kind(CONFIG, part) == kind][:count]


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_lies_where_the_defect_changes_the_picture(kind: DefectKind) -> None:
    inside = total = outside = 0
    for part in parts_of(kind, 4):
        without = render_part(CONFIG, part, with_defect=False)
        for bad, good in zip(render_part(CONFIG, part), without, strict=True):
            assert good.mask is None
            assert bad.mask is not None
            changed = cv2.absdiff(bad.image, good.image) > 6
            # the lens blurs, and holes have a bright lip
            near = cv2.dilate(bad.mask, np.ones((7, 7), np.uint8)) > 0
            outside += int((changed & ~near).sum())
            inside += int((changed & (bad.mask > 0)).sum())
            total += int((bad.mask > 0).sum())
    assert outside == 0
    assert inside > 0.6 * total > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_is_as_large_as_the_table_says(kind: DefectKind) -> None:
    for part in parts_of(kind, 3):
        for picture in render_part(CONFIG, part):
            assert picture.mask is not None
            rows, columns = np.nonzero(picture.mask)
            extent = largest_distance(np.stack([columns, rows], axis=1).astype(float)) + 1.0
            assert extent == pytest.approx(picture.size_px, rel=0.12, abs=2.5)
            assert set(np.unique(picture.mask)) == {0, 255}
            share = picture.size_px / picture.diameter_px
            assert share == pytest.approx(draw_defect(CONFIG, part, kind).size)


def test_all_photographs_of_a_part_show_the_same_defect_turned() -> None:
    for part in parts_of("blow_hole", 5):
        places = []
        for number, picture in enumerate(render_part(CONFIG, part)):
            exposure = draw_exposure(CONFIG, part, number)
            x = picture.x - (CONFIG.size - 1) / 2 - exposure.shift[0] * CONFIG.size
            y = picture.y - (CONFIG.size - 1) / 2 - exposure.shift[1] * CONFIG.size
            # complex multiplication turns it back; tilt is small enough to leave out
            back = complex(x, y) * np.exp(-1j * exposure.turn) / exposure.scale
            places.append(back / (0.42 * CONFIG.size))
        assert abs(places[0] - places[1]) < 0.06


def test_a_good_part_has_no_mask_and_no_defect() -> None:
    (part,) = parts_of(None, 1)
    for picture in render_part(CONFIG, part):
        assert picture.kind is None
        assert picture.mask is None
        assert picture.size_px == 0.0
        assert np.isnan([picture.x, picture.y]).all()


def test_the_whole_part_is_in_the_picture() -> None:
    for part in range(10):
        for number in range(CONFIG.photographs):
            exposure = draw_exposure(CONFIG, part, number)
            reach = 0.42 * exposure.scale * 1.07 + max(map(abs, exposure.shift))
            assert reach < 0.5


def test_photographs_of_one_part_differ_and_parts_differ() -> None:
    images = [picture.image for part in (0, 1) for picture in render_part(CONFIG, part)]
    for first in range(len(images)):
        for second in range(first):
            difference = cv2.absdiff(images[first], images[second])
            assert float(difference.mean()) > 3.0


@pytest.mark.parametrize("size", [64, 129])
def test_other_sizes_work(size: int) -> None:
    config = SyntheticConfig(photographs=1, size=size)
    for part in range(6):
        (picture,) = render_part(config, part)
        assert picture.image.shape == (size, size)
        assert picture.image.dtype == np.uint8
        assert 20.0 < float(picture.image.mean()) < 235.0


def test_png_keeps_every_grey_level() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    read = cv2.imdecode(np.frombuffer(png_bytes(image), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read, image)


def test_a_picture_that_cannot_be_written_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, None))
    with pytest.raises(RuntimeError, match=r"\(4, 4\)"):
        png_bytes(np.zeros((4, 4), np.uint8))
