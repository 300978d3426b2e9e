from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casting_inspect.data.synthetic.config import KINDS, DefectKind
from casting_inspect.data.synthetic.draws import Defect
from casting_inspect.data.synthetic.outlines import defect_outlines, largest_distance


def test_the_largest_distance_of_a_square_is_its_diagonal() -> None:
    square = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0], [0.0, 4.0]])
    assert largest_distance(square) == pytest.approx(5.0)


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    size=st.floats(0.02, 0.20),
    angle=st.floats(0.0, 6.28),
    seed=st.integers(0, 2**31 - 1),
)
def test_the_outline_is_as_large_as_was_drawn(
    kind: DefectKind, size: float, angle: float, seed: int
) -> None:
    radius = 1.0 if kind in ("chipped_rim", "flash") else 0.82
    points = np.concatenate(defect_outlines(Defect(kind, size, angle, radius, seed)))
    # in outer radii, of which the diameter has two
    assert largest_distance(points) == pytest.approx(2.0 * size, rel=0.03)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2.0
    place = radius * np.array([np.cos(angle), np.sin(angle)])
    assert np.hypot(*(middle - place)) < 1.2 * size


@pytest.mark.parametrize("kind", ["chipped_rim", "flash"])
def test_rim_defects_lie_at_the_rim(kind: DefectKind) -> None:
    for seed in range(20):
        points = np.concatenate(defect_outlines(Defect(kind, 0.1, 1.0, 1.0, seed)))
        out = np.hypot(*points.T)
        assert out.min() < 1.0
        assert out.max() > 1.0
        # within what pose and scale leave of the picture
        assert out.max() < 1.07


def test_a_scratch_is_long_and_thin_and_a_hole_is_not() -> None:
    for seed in range(20):
        for kind, thin in (("scratch", True), ("blow_hole", False)):
            (outline,) = defect_outlines(Defect(kind, 0.1, 0.5, 0.8, seed))  # type: ignore[arg-type]
            area = cv2.contourArea(outline.astype(np.float32))
            assert (area < 0.25 * 0.2**2) == thin


def test_pinholes_are_several() -> None:
    assert len(defect_outlines(Defect("pinholes", 0.02, 0.0, 0.8, 1))) >= 3
