"""The bytes of each supported format become an array of pixels; ``decode`` is the way in."""

from __future__ import annotations

import io
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from casting_inspect.data.header import DecodeError, Header, pillow_unlimited

Pixels = npt.NDArray[Any]  # uint8 or uint16
WHITE_16: Final = 65_535


def pixels_of(data: bytes, header: Header) -> Pixels:
    """Decode a picture whose header has been read and whose bytes are all there.

    Args:
        data: The file's bytes.
        header: What ``read_header`` says of them.

    Returns:
        uint8, or uint16 when the file has more than 8 bits; (H, W, 3), or (H, W) where the file
        is grey and its decoder says so; upright.

    Raises:
        DecodeError: If the kind is not supported.
        Exception: Whatever a decoder raises on damaged data.
    """
    pixels = _deep(data, header) if header.bits > 8 else _shallow(data, header)
    # OpenCV and Pillow turn a TIFF themselves, whatever they are told.
    return pixels if header.format == "TIFF" else _turned(pixels, header.orientation)


def _shallow(data: bytes, header: Header) -> Pixels:
    """Decode up to 8 bits to uint8 (H, W, 3) or, if grey, perhaps (H, W); not turned yet."""
    plain = header.format == "JPEG" or (header.format == "PNG" and header.bits == 8)
    if plain and header.mode in ("L", "RGB") and not header.key:
        fast = _by_opencv(data, grey=header.mode == "L")
        if fast is not None:
            return fast
    if header.format == "TIFF" and header.tag(339, 1) != 1:
        raise DecodeError("TIFF with signed 8-bit values: save it unsigned")
    with _open(data, header.format) as image:
        if image.mode == "CMYK":
            # Pillow takes every CMYK JPEG for an inverted one; only Adobe's are.
            plain_ink = header.format == "JPEG" and "adobe" not in image.info
            return _from_cmyk(np.asarray(image), inverted=plain_ink)
        if image.has_transparency_data:
            return _on_white(np.asarray(image.convert("RGBA")), 255)
        rgb: Pixels = np.asarray(image.convert("RGB"))
        return rgb


def _open(data: bytes, name: str) -> Image.Image:
    with pillow_unlimited():
        return Image.open(io.BytesIO(data), formats=[name])


def _by_opencv(data: bytes, grey: bool) -> Pixels | None:
    flag = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        return None
    return pixels if grey else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))


def _from_cmyk(ink: Pixels, inverted: bool) -> Pixels:
    light = (ink if inverted else 255 - ink).astype(np.uint16)
    return ((light[..., :3] * light[..., 3:] + 127) // 255).astype(np.uint8)


def _on_white(rgba: Pixels, white: int, premultiplied: bool = False) -> Pixels:
    colour, alpha = rgba[..., :3].astype(np.uint32), rgba[..., 3:].astype(np.uint32)
    if premultiplied:
        mixed = np.minimum(colour + (white - alpha), white)
    else:
        mixed = (colour * alpha + white * (white - alpha) + white // 2) // white
    flat: Pixels = mixed.astype(rgba.dtype)
    return flat


def _deep(data: bytes, header: Header) -> Pixels:
    """Decode more than 8 bits to uint16 (H, W) or (H, W, 3); a TIFF comes turned."""
    samples, tiff = header.tag(277, 1), header.format == "TIFF"
    by_opencv = not tiff or (
        header.bits == 16
        and header.tag(339, 1) == 1
        and header.tag(262, 1) <= 2
        and (samples == 1 or (samples in (3, 4) and header.tag(284, 1) == 1))
    )
    if not by_opencv:
        return _whole_numbers(data, header)
    flags = cv2.IMREAD_UNCHANGED if tiff else cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None or pixels.dtype != np.uint16:
        raise DecodeError(f"damaged, or a kind of 16-bit {header.format} that is not supported")
    if pixels.ndim == 2:
        if header.key:
            pixels[pixels == header.key[0]] = WHITE_16
        return WHITE_16 - pixels if tiff and header.tag(262, 1) == 0 else np.asarray(pixels)
    channels = cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    colour = np.asarray(cv2.cvtColor(pixels, channels))
    if tiff and samples == 4 and header.tag(338, 0) not in (1, 2):
        return colour[..., :3]  # a fourth channel that is no transparency
    if colour.shape[2] == 4:
        return _on_white(colour, WHITE_16, premultiplied=tiff and header.tag(338, 0) == 1)
    if header.key:
        colour[(colour == np.array(header.key, np.uint16)).all(axis=2)] = WHITE_16
    return colour


def _whole_numbers(data: bytes, header: Header) -> Pixels:
    """Decode signed, 12-bit, 32-bit and floating-point grey TIFF where no value gets lost."""
    try:
        with _open(data, "TIFF") as image:
            kind, values = image.mode, np.asarray(image)
    except UnidentifiedImageError:
        kind, values = "", np.empty(0)
    if kind not in ("I", "F", "I;16", "I;16B", "I;16L") or header.tag(262, 1) != 1:
        raise DecodeError(
            f"a kind of {header.bits}-bit TIFF that is not supported: save it as 8-bit, or as "
            "16-bit grey or RGB"
        )
    whole: Pixels = np.clip(np.nan_to_num(values), 0, WHITE_16).astype(np.uint16)
    if not np.array_equal(whole, values):
        raise DecodeError(
            f"{header.bits}-bit TIFF with values other than whole numbers from 0 to 65535: "
            "save it as 16-bit unsigned"
        )
    return whole


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """Turn and mirror as EXIF's tag 274 says (1 upright to 8)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
