"""One casting from its number alone: its pictures, its defect's masks and their place."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from casting_inspect.data.synthetic.config import DefectKind, SyntheticConfig, part_kind, stream
from casting_inspect.data.synthetic.defects import add_defect
from casting_inspect.data.synthetic.draws import draw_defect, draw_exposure, draw_identity
from casting_inspect.data.synthetic.photograph import (
    Bytes,
    diameter,
    photographed_mask,
    take_photograph,
)
from casting_inspect.data.synthetic.surface import casting_surface


@dataclass(frozen=True)
class Picture:
    """One photograph of one part.

    Attributes:
        part: Number of the part.
        photograph: Number of the photograph of this part.
        kind: The part's defect, or None.
        image: uint8 (size, size).
        mask: uint8 (size, size), 255 on the defect; None on a good part.
        diameter_px: The part's diameter in this picture in pixels.
        size_px: The defect's largest extent in this picture in pixels; 0 on a good part.
        x: Column of the mask's middle, y its row, in pixels; NaN on a good part.
        y: See x.
    """

    part: int
    photograph: int
    kind: DefectKind | None
    image: Bytes
    mask: Bytes | None
    diameter_px: float
    size_px: float
    x: float
    y: float


def render_part(config: SyntheticConfig, part: int, with_defect: bool = True) -> list[Picture]:
    """Return all photographs of a part: a pure function of the arguments.

    Args:
        config: The set that the part belongs to.
        part: Number of the part, 0 or above.
        with_defect: False gives the same part, pose, light and noise without its defect.
    """
    kind = part_kind(config, part) if with_defect else None
    surface = casting_surface(draw_identity(config, part), config.size)
    share, on_part = 0.0, None
    if kind is not None:
        defect = draw_defect(config, part, kind)
        share, on_part = defect.size, add_defect(surface, defect)
    pictures = []
    for photograph in range(config.photographs):
        exposure = draw_exposure(config, part, photograph)
        sensor = stream(config.seed, "sensor", part, photograph)
        image = take_photograph(surface, exposure, sensor)
        mask, x, y = None, float("nan"), float("nan")
        if on_part is not None:
            mask = photographed_mask(on_part, exposure)
            rows, columns = np.nonzero(mask)
            x, y = float(columns.mean()), float(rows.mean())
        across = diameter(exposure, config.size)
        pictures.append(Picture(part, photograph, kind, image, mask, across, share * across, x, y))
    return pictures


def png_bytes(image: Bytes) -> bytes:
    """Return a grey picture (height, width) as the bytes of an 8-bit PNG with one channel."""
    done, encoded = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture of shape {image.shape} as PNG")
    return encoded.tobytes()
