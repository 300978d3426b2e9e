"""What a picture's header says, and whether its bytes are all there; no pixel is decoded."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_MAGIC: Final = (
    (b"\xff\xd8", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
)
END_SHOWN: Final = frozenset(("JPEG", "PNG"))
"""Formats whose end marker or checksums show that no byte between is yet to be written."""
_HEIF_BRANDS: Final = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
)
NO_HEIF: Final = (
    'a HEIC picture, as phones save them: pip install "casting-inspect[phone]" reads it; or let '
    "the phone save JPEG (iPhone: Settings, Camera, Formats, Most Compatible)"
)
_PILLOW_LOCK: Final = threading.Lock()
# In the coded data of a JPEG a byte 0xFF is followed by 0x00, a restart marker or another 0xFF;
# anything else is the next marker.
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class DecodeError(Exception):
    """A picture that cannot be read; the message is the reason in a few words."""


@dataclass(frozen=True)
class Header:
    """What is known of a picture without decoding it.

    Attributes:
        format: JPEG, PNG, TIFF, BMP, WEBP or HEIF (HEIC).
        mode: Pillow's name of the pixel layout, such as ``L`` or ``RGB``; empty for TIFF.
        width: Pixels across, after the turn that EXIF asks for.
        height: Pixels down, after that turn.
        bits: Bits of a channel, 1 to 64.
        orientation: EXIF orientation, 1 (upright) to 8.
        key: The transparent colour of a PNG without alpha channel; empty where there is none.
        tiff: TIFF tags by number; empty for other formats.
    """

    format: str
    mode: str
    width: int
    height: int
    bits: int
    orientation: int = 1
    key: tuple[int, ...] = ()
    tiff: tuple[tuple[int, tuple[int, ...]], ...] = ()

    def tag(self, number: int, default: int) -> int:
        """Return the first value of a TIFF tag, or ``default``."""
        values = dict(self.tiff).get(number, ())
        return values[0] if values else default


def format_of(start: bytes) -> str:
    """Return the format that the first 16 bytes announce, or an empty string."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS:
        return "HEIF"
    return next((name for magic, name in _MAGIC if start.startswith(magic)), "")


def read_header(source: Path | bytes) -> Header:
    """Read a picture's header.

    Args:
        source: A file or its bytes.

    Returns:
        The header, with width and height as seen after turning.

    Raises:
        DecodeError: If this is no JPEG, PNG, TIFF, BMP, WebP or HEIC, or its header is damaged.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source))
    try:
        with source.open("rb") as stream:
            return _read(stream)
    except OSError as error:
        raise DecodeError(f"cannot be opened ({error.strerror or error})") from None


def _read(stream: BinaryIO) -> Header:
    start = stream.read(16)
    if not start:
        raise DecodeError("empty file (0 bytes)")
    name = format_of(start)
    if not name:
        raise DecodeError("not a picture that can be read (JPEG, PNG, TIFF, BMP or WebP)")
    if name == "HEIF":
        register_heif()
    stream.seek(0)
    try:
        header = _read_tiff(stream) if name == "TIFF" else _read_by_pillow(stream, name)
    except DecodeError:
        raise
    except UnidentifiedImageError:
        raise DecodeError(f"damaged or unusual {name} header") from None
    except Exception as error:  # parsers of damaged files raise whatever they stumble over
        reason = " ".join(str(error).split())[:100]
        raise DecodeError(f"damaged {name} header ({reason})") from None
    if header.width < 1 or header.height < 1:
        raise DecodeError(f"damaged {name} header ({header.width} x {header.height} pixels)")
    return header


@functools.cache
def register_heif() -> None:
    """Let Pillow open HEIC files.

    Raises:
        DecodeError: If the extra that reads them is not installed.
    """
    try:
        import pillow_heif
    except ImportError:
        raise DecodeError(NO_HEIF) from None
    pillow_heif.register_heif_opener(thumbnails=False)


@contextlib.contextmanager
def pillow_unlimited() -> Iterator[None]:
    """Lift Pillow's own limit on pixels while a header is read, and silence its complaints.

    That limit is one number for the process, lower than ours, and for some sizes only a warning.
    Whoever reads the header compares with a limit of its own. One thread at a time.
    """
    with _PILLOW_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _read_by_pillow(stream: BinaryIO, name: str) -> Header:
    with pillow_unlimited(), Image.open(stream, formats=[name]) as image:
        frames = 1 if name == "JPEG" else getattr(image, "n_frames", 1)
        orientation = _orientation(image)
        width, height = image.size
        mode, key = image.mode, image.info.get("transparency", ())
    if frames > 1:
        raise DecodeError(f"{frames} pictures in one file: save them one a file")
    bits = 8
    if name == "PNG":
        stream.seek(24)
        bits = stream.read(1)[0]
    if orientation >= 5:
        width, height = height, width
    colours = (key,) if isinstance(key, int) else tuple(key)
    return Header(name, mode, width, height, bits, orientation, colours)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none or it is damaged."""
    keys = " ".join(map(str, image.info)).lower()
    if "exif" not in keys and "xmp" not in keys:
        return 1  # asking Pillow would decode the whole of a PNG
    try:
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged EXIF block says nothing about the turn
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _read_tiff(stream: BinaryIO) -> Header:
    """Read the tags of the first page: Pillow opens fewer kinds of TIFF than OpenCV decodes."""
    start = stream.read(8)
    if 43 in start[2:4]:  # BigTIFF
        start += stream.read(8)
    pages, seen, tags = 0, set[int](), dict[int, tuple[int, ...]]()
    with pillow_unlimited():
        directory = ImageFileDirectory_v2(start)
        offset = cast(int, directory.next)
        while offset and offset not in seen:
            seen.add(offset)
            stream.seek(offset)
            directory.load(stream)
            tags = tags or {number: _whole(directory.get(number)) for number in _TIFF_TAGS}
            # 1: a smaller copy of another page
            pages += 1 not in _whole(directory.get(254))
            offset = cast(int, directory.next)
    if pages > 1:
        raise DecodeError(f"{pages} pictures in one file: save them one a file")
    first = {number: values[0] for number, values in tags.items() if values}
    if 256 not in first or 257 not in first:
        raise DecodeError("damaged TIFF header (no width or height)")
    orientation = first.get(274, 1) if 1 <= first.get(274, 1) <= 8 else 1
    width, height = first[256], first[257]
    if orientation >= 5:
        width, height = height, width
    return Header(
        "TIFF",
        "",
        width,
        height,
        max(tags[258] or (1,)),
        orientation,
        tiff=tuple(tags.items()),
    )


# width, height, bits, compression, photometric, strip offsets, orientation, samples, strip
# lengths, planar, tile offsets, tile lengths, extra samples, sample format
_TIFF_TAGS: Final = (256, 257, 258, 259, 262, 273, 274, 277, 279, 284, 324, 325, 338, 339)


def _whole(value: object) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(item for item in values if isinstance(item, int))


def check_complete(data: bytes, header: Header) -> None:
    """Check that a JPEG, PNG, TIFF or BMP is there to its end.

    Decoders differ in what they make of a truncated file: an exception, a grey area or black rows,
    by format and version. JPEG: the end marker after the last scan. PNG: every chunk with its
    checksum. TIFF: every strip or tile inside the file. BMP: the last pixel, or all of what is
    compressed. WebP is left to Pillow, which refuses it. A TIFF or BMP whose writer began with
    a file of full length passes (see ``END_SHOWN``).

    Raises:
        DecodeError: If bytes are missing or a PNG's checksum is wrong.
    """
    if header.format == "JPEG" and not _jpeg_ends(data):
        raise DecodeError("truncated (the end of the JPEG is missing)")
    if header.format == "PNG":
        _check_png(data)
    if header.format == "TIFF":
        tags = dict(header.tiff)
        for offsets, lengths in ((273, 279), (324, 325)):
            ends = [at + size for at, size in zip(tags[offsets], tags[lengths], strict=False)]
            if ends and max(ends) > len(data):
                raise DecodeError(f"truncated ({max(ends) - len(data)} bytes are missing)")
    if header.format == "BMP" and (missing := _bmp_end(data) - len(data)) > 0:
        raise DecodeError(f"truncated ({missing} bytes are missing)")


def _bmp_end(data: bytes) -> int:
    """Return where the pixels of a BMP end; rows take multiples of 4 bytes, the last may lack some.

    The size in its header is not asked: writers get it wrong.
    """
    start, kind = struct.unpack_from("<II", data, 10)
    if kind == 12:  # OS/2
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = size = 0
    else:
        width, height, _, bits, compression, size = struct.unpack_from("<iiHHII", data, 18)
    if compression not in (0, 3, 6):  # neither plain nor with masks of its own
        return int(start + size)
    row = (width * bits + 31) // 32 * 4
    return int(start + row * (abs(height) - 1) + (width * bits + 7) // 8)


def _jpeg_ends(data: bytes) -> bool:
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xD9:
            return True
        if marker == 0xFF:
            position += 1
            continue
        position += 2
        if marker not in (0x01, *range(0xD0, 0xD9)):
            position += struct.unpack_from(">H", data, position)[0]
        if marker == 0xDA:
            found = _NEXT_MARKER.search(data, position)
            if found is None:
                return False
            position = found.start()
    return data[position : position + 2] == b"\xff\xd9"


def _check_png(data: bytes) -> None:
    position, view = 8, memoryview(data)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[position + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise DecodeError("damaged (a PNG checksum is wrong)")
        if data[position + 4 : position + 8] == b"IEND":
            return
        position = end
    raise DecodeError("truncated (the end of the PNG is missing)")
