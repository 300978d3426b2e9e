"""The one way in for pictures: any supported file becomes an array of pixels, upright and RGB."""

from __future__ import annotations

import functools
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import UnidentifiedImageError

from casting_inspect.cores import usable_cores
from casting_inspect.data.header import DecodeError, check_complete, read_header
from casting_inspect.data.pixels import WHITE_16, Pixels, pixels_of
from casting_inspect.errors import UserError
from casting_inspect.files import is_gone

__all__ = [
    "MAX_PIXELS",
    "DecodeError",
    "Window",
    "apply_window",
    "auto_window",
    "byte_limit",
    "decode",
    "place_in_square",
    "read_rgb",
    "read_square",
    "resize_square",
]

MAX_PIXELS: Final = 20_000 * 20_000 // 4
Window = tuple[float, float]


def decode(source: Path | bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a picture: JPEG, PNG, TIFF, BMP or WebP.

    Turned as EXIF (or a TIFF's tag) says. Grey and 1-bit become three equal channels, palettes are
    expanded, CMYK becomes RGB by (1 - ink)(1 - black), transparency lies on white. Colour profiles
    and gamma are not applied. A TIFF whose zero is white is inverted. Signed, 32-bit and
    floating-point TIFF are read when every value is a whole number from 0 to 65535 and refused
    otherwise: a scale guessed picture by picture would differ between pictures.

    Args:
        source: A file or its bytes.
        max_pixels: More pixels than this are refused before anything is decoded.

    Returns:
        8 bits and below: uint8, (height, width, 3), RGB. More: uint16, (height, width) for grey or
        (height, width, 3) for RGB, in the file's own linear units.

    Raises:
        DecodeError: With the reason, if the file is missing, empty, truncated, damaged, too large,
            or of a kind that is not supported.
    """
    pixels = _decoded(source, max_pixels)
    return _in_colour(pixels) if pixels.dtype == np.uint8 else pixels


def _decoded(source: Path | bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a picture as `decode` does, but leave 8-bit grey files at one channel, (H, W)."""
    data = source if isinstance(source, bytes) else _read_file(source, byte_limit(max_pixels))
    header = read_header(data)
    if header.width * header.height > max_pixels:
        raise DecodeError(
            f"absurdly large: {header.width} x {header.height} pixels, limit {max_pixels}"
        )
    check_complete(data, header)
    try:
        pixels = pixels_of(data, header)
    except DecodeError:
        raise
    except UnidentifiedImageError:
        raise DecodeError(f"damaged, or a kind of {header.format} that is not supported") from None
    except Exception as error:  # decoders of damaged files raise whatever they stumble over
        raise DecodeError(f"damaged ({' '.join(str(error).split())[:100]})") from None
    if pixels.shape[:2] != (header.height, header.width):
        raise DecodeError(f"damaged (decodes to {pixels.shape[1]} x {pixels.shape[0]} pixels)")
    return np.ascontiguousarray(pixels)


def byte_limit(max_pixels: int) -> int:
    """Return the most bytes that a file of ``max_pixels`` pixels can need."""
    return 8 * max_pixels + 2**26  # 16-bit RGBA takes 8 bytes a pixel; the rest is for metadata


def _read_file(path: Path, limit: int) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DecodeError("not a regular file")
        if status.st_size > limit:
            raise DecodeError(f"absurdly large: {status.st_size} bytes")
        return path.read_bytes()
    except OSError as error:
        pulled = is_gone(error)
        hint = ": was a stick pulled out, or a network drive cut off?" if pulled else ""
        raise DecodeError(f"cannot be opened ({error.strerror or error}){hint}") from None


def auto_window(paths: Sequence[Path]) -> Window | None:
    """Return one grey window for all files: the 0.001 and 0.999 quantiles of their pooled values.

    Files of 8 bits and below take no part. The quantiles are exact: the smallest value that at
    least that share of all values does not exceed (channels pooled).

    Args:
        paths: Pictures, usually all training pictures.

    Returns:
        (low, high) with low < high in the files' units, or None if no file has more than 8 bits.

    Raises:
        UserError: If a picture cannot be read.
    """
    with ThreadPoolExecutor(min(8, usable_cores())) as pool:
        counts = np.zeros(WHITE_16 + 1, np.int64)
        for histogram in pool.map(_histogram, paths):
            if histogram is not None:
                counts += histogram
    if not counts.any():
        return None
    share = np.cumsum(counts) / counts.sum()
    low, high = (int(np.searchsorted(share, quantile)) for quantile in (0.001, 0.999))
    return float(low), float(max(high, low + 1))


def _histogram(path: Path) -> npt.NDArray[np.int64] | None:
    try:
        if read_header(path).bits <= 8:
            return None
        return np.bincount(decode(path).ravel(), minlength=WHITE_16 + 1)
    except DecodeError as error:
        raise UserError(f"{path}: {error}") from None


def apply_window(image: Pixels, window: Window | None) -> npt.NDArray[np.uint8]:
    """Map a decoded picture to 8 bits and three channels.

    ``window`` (low, high) becomes 0 to 255 by one straight line, clipped outside, rounded. A
    picture that has 8 bits already is returned as it is.

    Args:
        image: uint8 (H, W, 3), or uint16 (H, W) or (H, W, 3).
        window: Needed for uint16 only.

    Returns:
        uint8 (H, W, 3).

    Raises:
        DecodeError: If a uint16 picture comes without a window, or low is not below high.
    """
    return _in_colour(_narrowed(image, window))


def _narrowed(image: Pixels, window: Window | None) -> npt.NDArray[np.uint8]:
    """Map a decoded picture to 8 bits; one of a single channel, (H, W), keeps it."""
    if image.dtype == np.uint8:
        return image
    if window is None:
        raise DecodeError(
            "more than 8 bits, and no window to map them: give data.window=[low,high]"
        )
    narrow: npt.NDArray[np.uint8] = _window_table(float(window[0]), float(window[1]))[image]
    return narrow


def _in_colour(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return three channels, the same one thrice where there is one."""
    return image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB))


@functools.lru_cache(maxsize=8)
def _window_table(low: float, high: float) -> npt.NDArray[np.uint8]:
    if not low < high:
        raise DecodeError(f"window [{low:g}, {high:g}]: the first value must be below the second")
    values = (np.arange(WHITE_16 + 1) - low) / (high - low)
    table: npt.NDArray[np.uint8] = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    table.flags.writeable = False
    return table


def read_rgb(path: Path, window: Window | None = None) -> npt.NDArray[np.uint8]:
    """Read a picture for a network: the one way that every stage takes.

    Args:
        path: The file.
        window: For files of more than 8 bits (see ``apply_window``).

    Returns:
        uint8 (H, W, 3), RGB, upright.

    Raises:
        UserError: With the file's name and the reason, if it cannot be read.
    """
    try:
        return apply_window(decode(path), window)
    except DecodeError as error:
        raise UserError(f"{path}: {error}") from None


def read_square(
    path: Path, side: int, fit: str = "pad", window: Window | None = None
) -> npt.NDArray[np.uint8]:
    """Read a picture for a network at the size that it takes, a grey one in a single channel.

    The same as `read_rgb` and then `resize_square`, but that a grey picture, also one stored in
    colour, is resized once and not three times. JPEG is decoded in full: at reduced scale
    (``IMREAD_REDUCED_*``) pixels come out up to 52 grey levels apart.

    Args:
        path: The file.
        side: Pixels a side of the result, at least 1.
        fit: See `resize_square`.
        window: For files of more than 8 bits (see `apply_window`).

    Returns:
        uint8 (side, side, 1) if all channels are equal, else (side, side, 3), RGB.

    Raises:
        UserError: With the file's name and the reason, if it cannot be read.
    """
    try:
        image = _narrowed(_decoded(path), window)
    except DecodeError as error:
        raise UserError(f"{path}: {error}") from None
    square = resize_square(_as_grey(image), side, fit)
    return square if square.ndim == 3 else square[..., np.newaxis]


def _as_grey(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return one channel, (H, W), of a picture whose channels are equal; another as it is."""
    if image.ndim == 2:
        return image
    some = image[::16, ::16]  # enough to tell most pictures in colour
    if (some != some[..., :1]).any():
        return image
    red, green, blue = cv2.split(image)
    equal = np.array_equal(red, green) and np.array_equal(green, blue)
    return np.asarray(red) if equal else image


def resize_square(
    image: npt.NDArray[np.uint8], side: int, fit: str = "pad"
) -> npt.NDArray[np.uint8]:
    """Bring a picture to ``side`` x ``side`` pixels without cutting anything off.

    Area averaging when it gets smaller, linear interpolation when it gets larger.

    Args:
        image: uint8 (H, W, 3), or (H, W).
        side: Pixels a side of the result, at least 1.
        fit: ``pad`` keeps the proportions, centres, and repeats the border's pixels around;
            ``stretch`` squashes.

    Returns:
        uint8 (side, side, 3), or (side, side).

    Raises:
        ValueError: If ``fit`` is neither.
    """
    height, width = image.shape[:2]
    rows, columns = place_in_square(height, width, side, fit)
    top, left = rows.start, columns.start
    new_height, new_width = rows.stop - top, columns.stop - left
    resized: Any = image
    if (height, width) != (new_height, new_width):
        method = cv2.INTER_AREA if side < max(height, width) else cv2.INTER_LINEAR
        resized = cv2.resize(image, (new_width, new_height), interpolation=method)
    if (new_height, new_width) != (side, side):
        bottom, right = side - new_height - top, side - new_width - left
        resized = cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(resized)


def place_in_square(height: int, width: int, side: int, fit: str) -> tuple[slice, slice]:
    """Return the rows and columns that a picture takes in the square of `resize_square`.

    Args:
        height: Of the picture in pixels.
        width: Of the picture in pixels.
        side: Of the square in pixels.
        fit: ``pad`` or ``stretch``.

    Raises:
        ValueError: If ``fit`` is neither.
    """
    if fit not in ("pad", "stretch"):
        raise ValueError(f"fit={fit}: must be 'pad' or 'stretch'")
    if fit == "stretch":
        return slice(0, side), slice(0, side)
    scale = side / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (side - new_height) // 2, (side - new_width) // 2
    return slice(top, top + new_height), slice(left, left + new_width)
