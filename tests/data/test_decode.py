from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from casting_inspect.data.decode import (
    DecodeError,
    apply_window,
    auto_window,
    decode,
    read_rgb,
    read_square,
    resize_square,
)
from casting_inspect.data.header import check_complete, read_header, register_heif
from casting_inspect.errors import UserError

RNG = np.random.default_rng(20)
GREY8 = RNG.integers(0, 256, (7, 5), dtype=np.uint8)
RGBA8 = RNG.integers(0, 256, (7, 5, 4), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (7, 5)).astype(np.uint16)
RGBA16 = RNG.integers(0, 65536, (7, 5, 4)).astype(np.uint16)
SMOOTH = cv2.GaussianBlur(RNG.integers(0, 256, (61, 43, 3), dtype=np.uint8), (0, 0), 2)


def thrice(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey] * 3, axis=-1)


def on_white(rgba: np.ndarray, white: int) -> np.ndarray:
    """The definition of 'over', in floating point."""
    alpha = rgba[..., 3:].astype(float) / white
    return rgba[..., :3] * alpha + white * (1 - alpha)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + check


def png(rows: list[bytes], width: int, bits: int, colour: int, extra: bytes = b"") -> bytes:
    """A PNG from the specification: rows of packed samples, no filter."""
    head = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", head), extra, chunk(b"IDAT", body), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png16(values: np.ndarray, extra: bytes = b"") -> bytes:
    channels = 1 if values.ndim == 2 else values.shape[2]
    rows = [row.astype(">u2").tobytes() for row in values]
    return png(rows, values.shape[1], 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], extra)


def exif(orientation: int) -> bytes:
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHHI", 274, 3, 1, orientation, 0, 0)


def tiff(values: np.ndarray, order: str = "<", pages: int = 1, **tags: object) -> bytes:
    """An uncompressed TIFF 6.0 from the specification, one strip a page (a plane if planar=2)."""
    height, width = values.shape[:2]
    samples = 1 if values.ndim == 2 else values.shape[2]
    planes = [values] if tags.get("planar", 1) == 1 else list(np.moveaxis(values, 2, 0))
    blobs = [plane.astype(plane.dtype.newbyteorder(order)).tobytes() for plane in planes]
    blobs = [tags["raw"]] if "raw" in tags else blobs
    fields: dict[int, tuple[int, list[int]]] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [tags.get("bits", values.dtype.itemsize * 8)] * samples),
        259: (3, [1]),
        262: (3, [tags.get("photometric", 1 if samples < 3 else 2)]),
        274: (3, [tags.get("orientation", 1)]),
        277: (3, [samples]),
        278: (4, [height]),
        279: (4, [len(blob) for blob in blobs]),
        284: (3, [tags.get("planar", 1)]),
        339: (3, [tags.get("sample_format", 1)] * samples),
    }
    if "extra" in tags:
        fields[338] = (3, [tags["extra"]])
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0))
    link = 4
    for page in range(pages):
        fields[273] = (4, [len(out) + sum(map(len, blobs[:at])) for at in range(len(blobs))])
        out += b"".join(blobs) + b"\0" * (sum(map(len, blobs)) % 2)
        if page and "later" in tags:
            fields[254] = (4, [tags["later"]])
        struct.pack_into(order + "I", out, link, len(out))
        outside = len(out) + 2 + 12 * len(fields) + 4
        entries, more = b"", b""
        for number, (kind, items) in sorted(fields.items()):
            body = struct.pack(f"{order}{len(items)}{'I' if kind == 4 else 'H'}", *items)
            entries += struct.pack(order + "HHI", number, kind, len(items))
            if len(body) > 4:
                entries += struct.pack(order + "I", outside + len(more))
                more += body + b"\0" * (len(body) % 2)
            else:
                entries += body.ljust(4, b"\0")
        out += struct.pack(order + "H", len(fields)) + entries
        link = len(out)
        out += bytes(4) + more
    return bytes(out)


# ---- 8 bits: what is stored is what comes out


def lossless_cases() -> dict[str, tuple[bytes, np.ndarray]]:
    grey, rgb = Image.fromarray(GREY8), Image.fromarray(RGBA8[..., :3])
    binary = GREY8 > 127
    palette = Image.fromarray(GREY8 % 4, "P")
    colours = np.array([[9, 8, 7], [200, 0, 3], [5, 250, 5], [90, 91, 92]], np.uint8)
    palette.putpalette(colours.tobytes())
    indexed = colours[GREY8 % 4]
    cases = {"grey": (grey, thrice(GREY8)), "rgb": (rgb, RGBA8[..., :3])}
    cases["1-bit"] = (Image.fromarray(binary), thrice(binary * np.uint8(255)))
    cases["palette"] = (palette, indexed)
    kinds = {"png": "PNG", "tiff": "TIFF", "bmp": "BMP"}
    found = {
        f"{name} {suffix}": (saved(image, kind), expected)
        for name, (image, expected) in cases.items()
        for suffix, kind in kinds.items()
    }
    found["rgb webp"] = (saved(rgb, "WEBP", lossless=True), RGBA8[..., :3])
    found["rgb lzw tiff"] = (saved(rgb, "TIFF", compression="tiff_lzw"), RGBA8[..., :3])
    found["white is zero"] = (tiff(GREY8, photometric=0), thrice(255 - GREY8))
    see_through = indexed.copy()
    see_through[GREY8 % 4 == 2] = 255
    found["palette, one clear"] = (saved(palette, "PNG", transparency=2), see_through)
    keyed = GREY8.copy()
    keyed[GREY8[0, 0] == GREY8] = 255
    found["grey, key"] = (saved(grey, "PNG", transparency=int(GREY8[0, 0])), thrice(keyed))
    rgb_key = RGBA8[..., :3].copy()
    rgb_key[0, 0] = 255
    key = tuple(int(value) for value in RGBA8[0, 0, :3])
    found["rgb, key"] = (saved(rgb, "PNG", transparency=key), rgb_key)
    for bits in (2, 4):
        values = GREY8 % 2**bits
        digits = ["".join(f"{value:0{bits}b}" for value in row) for row in values]
        rows = [
            int(row.ljust(24, "0"), 2).to_bytes(3, "big")[: -(-5 * bits // 8)] for row in digits
        ]
        expected = thrice(values * np.uint8(255 // (2**bits - 1)))
        found[f"{bits}-bit png"] = (png(rows, 5, bits, 0), expected)
    return found


LOSSLESS = lossless_cases()


@pytest.mark.parametrize("name", LOSSLESS)
def test_eight_bit_pictures_come_out_as_stored(name: str) -> None:
    data, expected = LOSSLESS[name]
    pixels = decode(data)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_lies_on_white(mode: str, kind: str) -> None:
    rgba = RGBA8 if mode == "RGBA" else np.dstack([thrice(GREY8), RGBA8[..., 3]])
    image = Image.fromarray(rgba).convert(mode)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    if kind == "WEBP":
        image = image.convert("RGBA")
    pixels = decode(saved(image, kind, **options))
    assert np.abs(pixels - on_white(rgba, 255)).max() <= 0.5


def test_palette_with_graded_transparency() -> None:
    image = Image.fromarray(GREY8 % 4, "P")
    colours = RGBA8[:4, 0, :3]
    image.putpalette(colours.tobytes())
    graded = np.array([0, 100, 200, 255], np.uint8)
    data = saved(image, "PNG", transparency=graded.tobytes())
    rgba = np.dstack([colours[GREY8 % 4], graded[GREY8 % 4]])
    assert np.abs(decode(data) - on_white(rgba, 255)).max() <= 0.5


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_has_the_pixels_that_pillow_sees(subsampling: int, progressive: bool) -> None:
    image = Image.fromarray(SMOOTH)
    data = saved(image, "JPEG", quality=85, subsampling=subsampling, progressive=progressive)
    reference = np.asarray(Image.open(io.BytesIO(data)))
    assert np.abs(decode(data).astype(int) - reference).max() <= 1  # two builds of one library
    assert np.abs(decode(data).astype(int) - SMOOTH).mean() < 12


def test_grey_jpeg_has_three_equal_channels() -> None:
    data = saved(Image.fromarray(SMOOTH[..., 0]), "JPEG", quality=95)
    pixels = decode(data)
    assert (pixels == pixels[..., :1]).all()
    assert np.abs(pixels[..., 0].astype(int) - SMOOTH[..., 0]).max() < 12


# ---- for a network: grey in one channel, the same pixels


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    side=st.integers(1, 100),
    fit=st.sampled_from(["pad", "stretch"]),
    kind=st.sampled_from(["grey", "grey in colour", "colour", "colour in one pixel", "deep"]),
)
def test_a_picture_for_a_network_is_the_same_with_one_channel(
    tmp_path_factory: pytest.TempPathFactory,
    size: tuple[int, int],
    side: int,
    fit: str,
    kind: str,
) -> None:
    rng = np.random.default_rng(size)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    path, window = tmp_path_factory.mktemp("square") / "picture.png", None
    if kind == "deep":
        path.write_bytes(png16(rng.integers(0, 65536, size).astype(np.uint16)))
        window = (1000.0, 50_000.0)
    else:
        if kind != "colour":
            image[:] = image[..., :1]
        if kind == "colour in one pixel":
            image[-1, -1, 1] ^= 255
        Image.fromarray(image[..., 0] if kind == "grey" else image).save(path)
    square = read_square(path, side, fit, window)
    expected = resize_square(read_rgb(path, window), side, fit)
    assert square.shape[2] == (3 if kind.startswith("colour") else 1)
    assert square.dtype == np.uint8
    np.testing.assert_array_equal(np.broadcast_to(square, expected.shape), expected)


@pytest.mark.parametrize("side", [300, 224, 150, 128, 75, 64, 448])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_grey_jpeg_for_a_network_is_the_same_with_one_channel(
    tmp_path: Path, side: int, mode: str
) -> None:
    """As vendors deliver them: grey castings in JPEG files of three channels."""
    noise = np.random.default_rng(side).integers(0, 256, (300, 300), dtype=np.uint8)
    smooth = Image.fromarray(cv2.GaussianBlur(noise, (0, 0), 1.5)).convert(mode)
    (tmp_path / "a.jpg").write_bytes(saved(smooth, "JPEG", quality=88))
    square = read_square(tmp_path / "a.jpg", side)
    assert square.shape == (side, side, 1)
    expected = resize_square(decode(tmp_path / "a.jpg"), side)
    np.testing.assert_array_equal(np.broadcast_to(square, expected.shape), expected)


def test_what_cannot_be_read_for_a_network_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png16(GREY16))
    with pytest.raises(UserError, match=r"a\.png: more than 8 bits"):
        read_square(tmp_path / "a.png", 8)


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_jpeg_inverted_as_adobe_writes_it_or_plain(adobe: bool) -> None:
    ink = np.full((16, 16, 4), (40, 200, 90, 60), np.uint8)
    data = saved(Image.fromarray(ink, "CMYK"), "JPEG", quality=100)
    at = data.index(b"\xff\xee")
    assert data[at + 4 : at + 9] == b"Adobe"
    if not adobe:  # without the mark the stored numbers, 255 - ink, are the ink themselves
        data = data[:at] + data[at + 2 + struct.unpack(">H", data[at + 2 : at + 4])[0] :]
        ink = 255 - ink
    share = 1 - ink / 255
    expected = 255 * share[..., :3] * share[..., 3:]
    assert np.abs(decode(data) - expected).max() <= 2


def test_cmyk_tiff() -> None:
    share = 1 - RGBA8 / 255
    data = saved(Image.fromarray(RGBA8, "CMYK"), "TIFF")
    assert np.abs(decode(data) - 255 * share[..., :3] * share[..., 3:]).max() <= 0.51


def test_colour_profile_and_second_picture_of_a_phone_change_nothing() -> None:
    image = Image.fromarray(SMOOTH)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = decode(saved(image, "JPEG", quality=90))
    np.testing.assert_array_equal(
        decode(saved(image, "JPEG", quality=90, icc_profile=profile)), plain
    )
    both = saved(image, "MPO", quality=90, save_all=True, append_images=[image.rotate(180)])
    np.testing.assert_array_equal(decode(both), plain)


# ---- turned


def turned(stored: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF 2.3, tag 274: where the stored row 0 and column 0 are seen."""
    row0 = ["", "top", "top", "bottom", "bottom", "left", "right", "right", "left"][orientation]
    col0 = ["", "left", "right", "right", "left", "top", "top", "bottom", "bottom"][orientation]
    height, width = stored.shape[:2]
    size = (height, width) if row0 in ("top", "bottom") else (width, height)
    seen = np.empty((*size, *stored.shape[2:]), stored.dtype)
    for row in range(height):
        for column in range(width):
            at = {
                "top": row,
                "bottom": height - 1 - row,
                "left": row,
                "right": height - 1 - row,
            }[row0]
            across = column if col0 in ("left", "top") else width - 1 - column
            where = (at, across) if row0 in ("top", "bottom") else (across, at)
            seen[where] = stored[row, column]
    return seen


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_as_exif_says(orientation: int, tmp_path: Path) -> None:
    mark = chunk(b"eXIf", exif(orientation))
    rows = [row.tobytes() for row in GREY8]
    cases = [
        (png(rows, 5, 8, 0, mark), turned(thrice(GREY8), orientation)),
        (png16(GREY16, mark), turned(GREY16, orientation)),
        (png16(RGBA16[..., :3], mark), turned(RGBA16[..., :3], orientation)),
        (tiff(GREY8, orientation=orientation), turned(thrice(GREY8), orientation)),
    ]
    for order in "<>":
        for values in (GREY16, RGBA16[..., :3]):
            data = tiff(values, order, orientation=orientation)
            cases.append((data, turned(values, orientation)))
    signed = (GREY16 // 2).astype(np.int16)
    data = tiff(signed, orientation=orientation, sample_format=2)
    cases.append((data, turned(GREY16 // 2, orientation)))
    block = b"Exif\0\0" + exif(orientation)
    for image in (Image.fromarray(SMOOTH), Image.fromarray(SMOOTH[..., 0])):
        plain = decode(saved(image, "JPEG"))
        cases.append((saved(image, "JPEG", exif=block), turned(plain, orientation)))
    webp = saved(Image.fromarray(RGBA8[..., :3]), "WEBP", lossless=True, exif=block)
    cases.append((webp, turned(RGBA8[..., :3], orientation)))
    for data, expected in cases:
        np.testing.assert_array_equal(decode(data), expected)
        header = read_header(data)
        assert (header.height, header.width) == expected.shape[:2]
        assert header.orientation == orientation


def test_a_damaged_or_senseless_exif_block_leaves_the_picture_upright() -> None:
    image = Image.fromarray(SMOOTH)
    plain = decode(saved(image, "JPEG"))
    for block in (b"Exif\0\0rubbish", b"Exif\0\0" + exif(77)):
        np.testing.assert_array_equal(decode(saved(image, "JPEG", exif=block)), plain)


# ---- more than 8 bits


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["grey", "rgb", "rgbx", "white is zero", "signed", "int", "float"])
def test_deep_tiff_keeps_its_numbers(name: str, order: str) -> None:
    colour = RGBA16[..., :3]
    half = GREY16 // 2
    data, expected = {
        "grey": (tiff(GREY16, order), GREY16),
        "rgb": (tiff(colour, order), colour),
        "rgbx": (tiff(RGBA16, order, extra=0), colour),
        "white is zero": (tiff(GREY16, order, photometric=0), 65535 - GREY16),
        "signed": (tiff(half.astype(np.int16), order, sample_format=2), half),
        "int": (tiff(GREY16.astype(np.int32), order, sample_format=2), GREY16),
        "float": (tiff(GREY16.astype(np.float32), order, sample_format=3), GREY16),
    }[name]
    pixels = decode(data)
    assert pixels.dtype == np.uint16
    assert pixels.dtype.isnative
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("big", [False, True])
def test_compressed_deep_tiff(compression: str, big: bool) -> None:
    data = saved(Image.fromarray(GREY16), "TIFF", compression=compression, big_tiff=big)
    np.testing.assert_array_equal(decode(data), GREY16)


def test_packed_twelve_bit_tiff() -> None:
    rows = ["".join(f"{value >> 4:012b}" for value in row) + "0000" for row in GREY16]
    raw = b"".join(int(row, 2).to_bytes(8, "big") for row in rows)
    np.testing.assert_array_equal(decode(tiff(GREY16, bits=12, raw=raw)), GREY16 >> 4)


def test_deep_png_keeps_its_numbers() -> None:
    np.testing.assert_array_equal(decode(png16(GREY16)), GREY16)
    np.testing.assert_array_equal(decode(png16(RGBA16[..., :3])), RGBA16[..., :3])
    for values in (RGBA16, RGBA16[..., [0, 3]]):
        rgba = values if values.shape[2] == 4 else RGBA16[..., [0, 0, 0, 3]]
        assert np.abs(decode(png16(values)) - on_white(rgba, 65535)).max() <= 0.5


def test_deep_png_with_a_transparent_colour() -> None:
    expected = GREY16.copy()
    expected[expected == GREY16[3, 3]] = 65535
    mark = chunk(b"tRNS", struct.pack(">H", int(GREY16[3, 3])))
    np.testing.assert_array_equal(decode(png16(GREY16, mark)), expected)
    colour = RGBA16[..., :3].copy()
    mark = chunk(b"tRNS", colour[2, 2].astype(">u2").tobytes())
    data = png16(colour, mark)
    colour[2, 2] = 65535
    np.testing.assert_array_equal(decode(data), colour)


def test_deep_tiff_with_alpha_premultiplied_or_not() -> None:
    apart = decode(tiff(RGBA16, extra=2))
    assert np.abs(apart - on_white(RGBA16, 65535)).max() <= 0.5
    mixed = RGBA16.copy()
    mixed[..., :3] = np.rint(mixed[..., :3] * (mixed[..., 3:] / 65535))
    assert np.abs(decode(tiff(mixed, extra=1)) - on_white(RGBA16, 65535)).max() <= 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(GREY16.astype(np.int16), sample_format=2), "whole numbers from 0 to 65535"),
        (tiff((GREY16 / 65535).astype(np.float32), sample_format=3), "whole numbers"),
        (tiff(np.full((4, 4), np.nan, np.float32), sample_format=3), "whole numbers"),
        (tiff(GREY16.astype(np.int32) + 70_000, sample_format=2), "whole numbers"),
        (tiff(GREY16.astype(np.float64), sample_format=3), "64-bit TIFF that is not supported"),
        (tiff(RGBA16, photometric=5), "16-bit TIFF that is not supported"),
        (tiff(RGBA16[..., :3], planar=2), "16-bit TIFF that is not supported"),
        (tiff(RGBA16[..., :2], extra=2), "16-bit TIFF that is not supported"),
        (tiff(GREY8.astype(np.int8), sample_format=2), "signed 8-bit"),
    ],
)
def test_what_would_lose_values_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode(data)


def test_one_picture_a_file_but_previews_do_not_count() -> None:
    with pytest.raises(DecodeError, match="3 pictures in one file"):
        decode(tiff(GREY16, pages=3))
    np.testing.assert_array_equal(decode(tiff(GREY16, pages=2, later=1)), GREY16)
    frames = [Image.fromarray(GREY8), Image.fromarray(255 - GREY8)]
    for kind in ("PNG", "WEBP", "TIFF"):
        moving = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        with pytest.raises(DecodeError, match="2 pictures in one file"):
            decode(moving)


# ---- broken


def broken_cases() -> dict[str, bytes]:
    image = Image.fromarray(SMOOTH)
    small = Image.fromarray(SMOOTH[:20, :20])
    thumbnail = b"Exif\0\0" + exif(1) + saved(small, "JPEG")
    return {
        "jpeg": saved(image, "JPEG"),
        "progressive": saved(image, "JPEG", progressive=True),
        "jpeg with preview": saved(image, "JPEG", exif=thumbnail),
        "grey jpeg": saved(image.convert("L"), "JPEG"),
        "png": saved(image, "PNG"),
        "png16": png16(GREY16),
        "palette png": saved(image.quantize(8), "PNG"),
        "tiff": tiff(SMOOTH),
        "tiff, header first": saved(image, "TIFF"),
        "lzw tiff": saved(image, "TIFF", compression="tiff_lzw"),
        "tiff16": saved(Image.fromarray(GREY16), "TIFF"),
        "bmp": saved(image, "BMP"),
        "webp": saved(image, "WEBP", lossless=True),
    }


BROKEN = broken_cases()


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_truncated_is_never_filled_up(name: str, share: float) -> None:
    data = BROKEN[name]
    decode(data)
    with pytest.raises(DecodeError):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("name", ["jpeg", "progressive", "png", "tiff"])
def test_a_file_whose_tail_was_never_written_is_truncated(name: str) -> None:
    data = BROKEN[name]
    kept = len(data) // 2
    with pytest.raises(DecodeError):
        decode(data[:kept] + bytes(len(data) - kept))


@settings(deadline=None)
@given(st.integers(1, 70), st.sampled_from(["L", "RGB", "RGBA", "1", "P"]))
def test_a_bmp_is_complete_with_its_last_pixel(width: int, mode: str) -> None:
    """What Pillow writes ends with 3 bytes at most that fill up the last row."""
    image = Image.fromarray(np.arange(7 * width, dtype=np.uint8).reshape(7, width)).convert(mode)
    data = saved(image, "BMP")
    check_complete(data, read_header(data))
    with pytest.raises(DecodeError, match="truncated"):
        check_complete(data[:-4], read_header(data))


def test_a_flipped_bit_in_a_png_is_noticed() -> None:
    data = bytearray(BROKEN["png"])
    data[len(data) // 2] ^= 4
    with pytest.raises(DecodeError, match="damaged"):
        decode(bytes(data))


@settings(deadline=None)
@given(st.data())
def test_rubbish_after_a_true_start_is_a_decode_error_or_a_picture(draw: st.DataObject) -> None:
    data = bytearray(BROKEN[draw.draw(st.sampled_from(sorted(BROKEN)))])
    for at in draw.draw(st.lists(st.integers(0, min(len(data), 400) - 1), min_size=1, max_size=4)):
        data[at] = draw.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pixels = decode(bytes(data), max_pixels=100_000)
        except DecodeError:
            return
    assert pixels.dtype in (np.uint8, np.uint16)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello, this is a text", "not a picture"),
        (b"GIF89a" + bytes(30), "not a picture"),
        (b"\xff\xd8\xff\xe0 rubbish", "JPEG header"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "PNG header"),
        (b"II*\0\x08\0\0\0\0\0\0\0\0\0", "TIFF header"),
        (b"MM\0*", "TIFF header"),
        (tiff(GREY8[:0]), "0 pixels"),
    ],
)
def test_the_reason_is_said(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode(data)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_absurdly_large_is_known_from_the_header(bits: int) -> None:
    head = struct.pack(">IIBBBBB", 30_000, 30_000, bits, 0, 0, 0, 0)
    huge = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(DecodeError, match=r"absurdly large: 30000 x 30000 pixels, limit 100000000"):
        decode(huge)


def test_the_limit_is_ours_alone_and_pillows_is_left_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS
    data = saved(Image.new("1", (10_000, 9_500)), "PNG")  # Pillow warns from 89.5 million on
    assert read_header(data).width == 10_000
    decode(saved(Image.fromarray(GREY8), "BMP"), max_pixels=35)
    with pytest.raises(DecodeError, match="limit 34"):
        decode(saved(Image.fromarray(GREY8), "BMP"), max_pixels=34)
    assert before == Image.MAX_IMAGE_PIXELS


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="No such file"):
        decode(tmp_path / "missing.png")
    with pytest.raises(DecodeError, match="No such file"):
        read_header(tmp_path / "missing.png")
    with pytest.raises(DecodeError, match="not a regular file"):
        decode(tmp_path)
    (tmp_path / "big.bmp").write_bytes(b"BM")
    os.truncate(tmp_path / "big.bmp", 2**33)  # sparse: takes no room
    with pytest.raises(DecodeError, match="absurdly large: 8589934592 bytes"):
        decode(tmp_path / "big.bmp")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DecodeError, match="not a regular file"):
        decode(tmp_path / "pipe.png")


def test_file_and_bytes_give_the_same(tmp_path: Path) -> None:
    file = tmp_path / "Gußteil #1 [a]=b&c~d.jpeg"
    file.write_bytes(BROKEN["jpeg"])
    np.testing.assert_array_equal(decode(file), decode(BROKEN["jpeg"]))
    np.testing.assert_array_equal(read_rgb(file), decode(BROKEN["jpeg"]))
    file.write_bytes(BROKEN["jpeg"][:-5])
    with pytest.raises(UserError, match=r"Gußteil #1 .*truncated"):
        read_rgb(file)


# ---- windows


def xray() -> np.ndarray:
    """A 12-bit radiograph in a 16-bit file: a bright wedge, a dark edge, some hot pixels."""
    values = np.linspace(300, 3900, 200 * 100).reshape(200, 100).astype(np.uint16)
    values[:3] = 5
    values[50, :4] = 4095
    return values


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_twelve_bit_radiograph_keeps_its_grey_levels(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"x.{kind.lower()}"
    Image.fromarray(xray()).save(file, kind)
    pixels = read_rgb(file, auto_window([file]))
    assert pixels.shape == (200, 100, 3)
    assert len(np.unique(pixels)) >= 200
    plain = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)  # what it is compared with
    assert len(np.unique(plain)) < 20


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 65535), min_size=6, max_size=6), min_size=1, max_size=3))
def test_auto_window_is_the_pooled_quantile(
    tmp_path_factory: pytest.TempPathFactory, pictures: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("window")
    files = []
    for number, values in enumerate(pictures):
        files.append(folder / f"{number}.png")
        files[-1].write_bytes(png16(np.array(values, np.uint16).reshape(2, 3)))
    pooled = np.array(pictures).ravel()
    low, high = np.quantile(pooled, [0.001, 0.999], method="inverted_cdf")
    assert auto_window(files) == (low, max(high, low + 1))


def test_auto_window_leaves_eight_bit_pictures_out(tmp_path: Path) -> None:
    Image.fromarray(GREY8).save(tmp_path / "a.png")
    assert auto_window([tmp_path / "a.png"]) is None
    assert auto_window([]) is None
    (tmp_path / "b.png").write_bytes(png16(np.full((3, 3), 700, np.uint16)))
    assert auto_window([tmp_path / "a.png", tmp_path / "b.png"]) == (700.0, 701.0)
    with pytest.raises(UserError, match=r"c\.png: cannot be opened"):
        auto_window([tmp_path / "c.png"])


@settings(deadline=None)
@given(st.integers(0, 65534), st.integers(1, 65535))
def test_a_window_is_one_rising_line(low: int, width: int) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    mapped = apply_window(values, (low, low + width))
    assert mapped.shape == (256, 256, 3)
    assert (mapped == mapped[..., :1]).all()
    line = mapped[..., 0].ravel().astype(int)
    assert (np.diff(line) >= 0).all()
    assert line[low] == 0
    if low + width <= 65535:
        assert line[low + width] == 255
    exact = np.clip((np.arange(65536) - low) / width, 0, 1) * 255
    assert np.abs(line - exact).max() <= 0.5


def test_windows_that_cannot_be(tmp_path: Path) -> None:
    rgb = RGBA16[..., :3]
    assert apply_window(rgb, (0, 65535)).shape == (7, 5, 3)
    assert apply_window(RGBA8[..., :3], None) is not None
    with pytest.raises(DecodeError, match=r"data\.window"):
        apply_window(rgb, None)
    with pytest.raises(DecodeError, match="must be below"):
        apply_window(rgb, (5, 5))
    (tmp_path / "x.png").write_bytes(png16(GREY16))
    with pytest.raises(UserError, match=r"x\.png: more than 8 bits"):
        read_rgb(tmp_path / "x.png")


# ---- size


@settings(deadline=None)
@given(
    st.integers(1, 90), st.integers(1, 90), st.integers(1, 64), st.sampled_from(["pad", "stretch"])
)
def test_resize_gives_the_side_asked_for(height: int, width: int, side: int, fit: str) -> None:
    image = np.full((height, width, 3), 77, np.uint8)
    resized = resize_square(image, side, fit)
    assert resized.shape == (side, side, 3)
    assert (resized == 77).all()  # nothing but the picture and its own border


def test_padding_keeps_the_proportions_and_the_rim() -> None:
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, :20] = 200
    image[0] = 90  # a defect in the first row
    resized = resize_square(image, 40)
    np.testing.assert_array_equal(resized[10:30], image)
    assert (resized[:11] == 90).all()
    assert (resized[30:, :20] == 200).all()
    assert (resized[30:, 20:] == 0).all()
    stretched = resize_square(image, 40, "stretch")
    assert (stretched[-1, 0] == 200).all()
    assert (stretched[0] == 90).all()


def test_shrinking_averages_areas() -> None:
    image = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    blocks = image.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize_square(image, 16) - blocks).max() <= 0.51
    assert resize_square(image, 64).tobytes() == image.tobytes()
    with pytest.raises(ValueError, match="fit=crop"):
        resize_square(image, 16, "crop")


def test_a_phones_picture_is_read(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    register_heif()
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24, :, 0] = 200  # red above
    path = tmp_path / "IMG_1.jpg"  # phones' pictures are renamed often
    Image.fromarray(pixels).save(path, format="HEIF", quality=95)
    header = read_header(path)
    assert (header.format, header.bits, header.width, header.height) == ("HEIF", 8, 64, 48)
    found = decode(path)
    assert found.shape == (48, 64, 3)
    assert np.abs(found[4:20].astype(int) - pixels[4:20]).max() < 24
    assert found[28:, :, 0].max() < 24
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DecodeError, match="damaged"):
        decode(path)
