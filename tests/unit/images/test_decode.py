from __future__ import annotations

import io
import os
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from streetvision_core.errors import (
    FileMissingError,
    ImageBrokenError,
    ImageError,
    ImageFormatError,
    ImageTooLargeError,
    NotAFileError,
)
from streetvision_core.images.decode import decode_image, encode_jpeg, read_image
from streetvision_core.images.folders import list_images
from streetvision_core.images.sniff import sniff_format
from streetvision_core.settings import Decode, load_settings
from streetvision_core.types import Frame

GRADIENT = np.dstack(
    [
        np.tile(np.linspace(0, 255, 48, dtype=np.uint8), (32, 1)),
        np.tile(np.linspace(255, 0, 32, dtype=np.uint8)[:, None], (1, 48)),
        np.full((32, 48), 90, np.uint8),
    ]
)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def rgb() -> Image.Image:
    return Image.fromarray(GRADIENT)


def heic(*images: Image.Image, **options: object) -> bytes:
    """What a phone writes; only the tests' environment can write it."""
    made = pillow_heif.HeifFile()
    for image in images:
        made.add_from_pillow(image)
    buffer = io.BytesIO()
    made.save(buffer, quality=90, save_all=True, **options)
    return buffer.getvalue()


SAMPLES = {
    "JPEG": encode(rgb(), "JPEG"),
    "JPEG-progressive": encode(rgb(), "JPEG", progressive=True),
    "JPEG-cmyk": encode(rgb().convert("CMYK"), "JPEG"),
    "PNG": encode(rgb(), "PNG"),
    "PNG-palette": encode(rgb().quantize(256), "PNG"),
    "WEBP": encode(rgb(), "WEBP"),
    "WEBP-lossless": encode(rgb(), "WEBP", lossless=True),
    "WEBP-alpha": encode(rgb().convert("RGBA"), "WEBP", exif=Image.Exif().tobytes()),
    "GIF": encode(rgb(), "GIF"),
    "BMP": encode(rgb(), "BMP"),
    "TIFF": encode(rgb(), "TIFF"),
    "TIFF-lzw": encode(rgb(), "TIFF", compression="tiff_lzw"),
    "TIFF-cmyk": encode(rgb().convert("CMYK"), "TIFF"),
    "AVIF": encode(rgb(), "AVIF", quality=90),
    "HEIF": heic(rgb()),
}


@pytest.mark.parametrize("name", ["PNG", "WEBP-lossless", "BMP", "TIFF", "TIFF-lzw"])
def test_decode_image__lossless_is_exact(name: str) -> None:
    frame = decode_image(SAMPLES[name], "memory")
    np.testing.assert_array_equal(frame.pixels, GRADIENT)
    assert frame.source == "memory"
    assert len(frame.sha256) == 64


@pytest.mark.parametrize("name", [*SAMPLES])
def test_decode_image__lossy_is_close(name: str) -> None:
    frame = decode_image(SAMPLES[name], "memory")
    assert np.abs(frame.pixels.astype(int) - GRADIENT).mean() < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_decode_image__every_png_mode_becomes_rgb(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((5, 7), 128 * 257, np.uint16))
    else:
        image = Image.new("RGB", (7, 5), (128, 128, 128))
        image = image.quantize(4) if mode == "P" else image.convert("L").convert(mode)
    frame = decode_image(encode(image, "PNG"), "memory")
    assert frame.pixels.shape == (5, 7, 3)
    if mode != "1":
        np.testing.assert_array_equal(frame.pixels, 128)


def test_decode_image__sixteen_bits_use_the_whole_range() -> None:
    grey = np.linspace(0, 65_535, 256).astype(np.uint16)[None]
    frame = decode_image(encode(Image.fromarray(grey), "PNG"), "memory")
    np.testing.assert_array_equal(frame.pixels[0, :, 0], np.arange(256))


def test_decode_image__transparency_is_dropped() -> None:
    image = Image.new("RGBA", (3, 3), (10, 200, 30, 0))
    assert tuple(decode_image(encode(image, "PNG"), "memory").pixels[0, 0]) == (10, 200, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_decode_image__exif_orientation_is_applied(orientation: int) -> None:
    # inverse of each orientation's display transform, so that every stored picture shows the same upright one
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = rgb() if stored is None else rgb().transpose(stored)
    for kind in ("PNG", "TIFF"):
        frame = decode_image(encode(image, kind, exif=exif), "memory")
        np.testing.assert_array_equal(frame.pixels, GRADIENT, err_msg=kind)
    for data in (encode(image, "AVIF", exif=exif.tobytes(), quality=95), heic(image, exif=exif.tobytes())):
        frame = decode_image(data, "memory")
        assert frame.pixels.shape == GRADIENT.shape and np.abs(frame.pixels.astype(int) - GRADIENT).mean() < 12


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_decode_image__broken_exif_keeps_the_picture() -> None:
    data = encode(rgb(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff" + b"\x01" * 40)
    assert decode_image(data, "memory").pixels.shape == GRADIENT.shape


def test_decode_image__first_picture_of_a_multi_picture_file() -> None:
    data = encode(rgb(), "MPO", save_all=True, append_images=[Image.new("RGB", (48, 32))])
    frame = decode_image(data, "phone")
    assert np.abs(frame.pixels.astype(int) - GRADIENT).mean() < 12


OTHERS = [Image.new("RGB", (48, 32), (i * 40, 0, 0)) for i in range(3)]


def animation(kind: str) -> bytes:
    return encode(rgb(), kind, save_all=True, append_images=OTHERS)


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (animation("PNG"), "an animation of 4 frames: the first was looked at"),
        (animation("WEBP"), "an animation of 4 frames: the first was looked at"),
        (animation("AVIF"), "an animation of 4 frames: the first was looked at"),
        (animation("GIF"), "an animation of several frames: the first was looked at"),
        (animation("TIFF"), "several pictures in one file: the first was looked at"),
        (heic(rgb(), *OTHERS), "4 pictures in one file: the first was looked at"),
    ],
    ids=["PNG", "WEBP", "AVIF", "GIF", "TIFF", "HEIF"],
)
def test_decode_image__the_first_of_several_pictures_and_it_is_said(data: bytes, note: str) -> None:
    frame = decode_image(data, "memory")
    assert np.abs(frame.pixels.astype(int) - GRADIENT).mean() < 12
    assert frame.notes == (note,)
    with pytest.raises(ImageTooLargeError, match="SV_DECODE__ANIMATION=first"):
        decode_image(data, "memory", Decode(animation="refuse"))


def test_decode_image__one_picture_has_nothing_to_note() -> None:
    assert {decode_image(data, name, Decode(animation="refuse")).notes for name, data in SAMPLES.items()} == {()}


def test_decode_image__the_main_picture_of_a_phones_file_and_not_the_first() -> None:
    data = heic(OTHERS[0], rgb(), primary_index=1)
    assert np.abs(decode_image(data, "phone").pixels.astype(int) - GRADIENT).mean() < 12


def png_with(*chunks: tuple[bytes, bytes], crc: int = 0) -> bytes:
    """The sample with more chunks behind its header."""
    data, made = SAMPLES["PNG"], b""
    for kind, body in chunks:
        made += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ crc)
    return data[:33] + made + data[33:]


def jpeg_with(*segments: tuple[int, bytes], data: bytes = SAMPLES["JPEG"], behind: bytes = b"") -> bytes:
    """The sample with more segments behind its start, and bytes behind its end."""
    made = b"".join(bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body for kind, body in segments)
    return data[:2] + made + data[2:] + behind


def profile(size: int) -> list[tuple[int, bytes]]:
    """A colour profile over several segments; its bytes are any, markers of scans among them."""
    parts = [(b"\xff\xda" * 32_000)[:65_000]] * (size // 65_000)
    return [(0xE2, b"ICC_PROFILE\0" + bytes([i + 1, len(parts)]) + part) for i, part in enumerate(parts)]


XMP = b"<x:xmpmeta>" + b"<a/>" * 300_000 + b"</x:xmpmeta>"
MOTION = struct.pack(">I", 24) + b"ftypmp42" + b"\xff\xda\xff\xd8\xff" * 40_000


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "data",
    [
        png_with((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
        png_with((b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP))),
        png_with((b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 80_000_000))),
        png_with((b"zTXt", b"Comment\0\0no zlib at all")),
        png_with((b"iCCP", b"icc\0\0" + zlib.compress(os.urandom(3_000_000)))),
        png_with((b"tEXt", b"Title\0" + b"\xff" * 2_000_000)),
        png_with((b"tIME", b"short"), crc=1),
        png_with((b"eXIf", b"II*\0" + b"\xff" * 70)),
        jpeg_with(behind=MOTION),
        jpeg_with(behind=b"\0" * 4096 + SAMPLES["JPEG-progressive"] * 40),
        jpeg_with(*profile(2_000_000)),
        jpeg_with(*profile(2_000_000)[::-1]),
        jpeg_with((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP[:60_000])),
        jpeg_with(*[(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 60_000)] * 20),
        jpeg_with((0xE1, b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 900)),
        jpeg_with((0xE1, b"Exif\0\0" + b"\0" * 20)),
        jpeg_with((0xED, b"Photoshop 3.0\x008BIM\x04\x04" + b"\xff" * 30)),
        jpeg_with((0xE0, b"JFIF\0"), (0xE0, b"JFXX\0\x10" + SAMPLES["JPEG"][:300])),
        jpeg_with((0xFE, b"\xff\xd9" * 5000)),
        jpeg_with((0xE2, b"MPF\0II*\0" + b"\xff" * 40)),
    ],
)
def test_decode_image__metadata_never_decides_over_pixels(data: bytes) -> None:
    frame = decode_image(data, "memory")
    np.testing.assert_array_equal(frame.pixels, decode_image(SAMPLES[sniff_format(data) or ""], "memory").pixels)


@given(segments=st.lists(st.tuples(st.sampled_from([*range(0xE0, 0xF0), 0xFE]), st.binary(max_size=400)), max_size=4))
@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_decode_image__any_segment_of_metadata_leaves_the_pixels(segments: list[tuple[int, bytes]]) -> None:
    # Adobe's segment says how the colours are coded, so it is no mere metadata
    kept = [(kind, body) for kind, body in segments if not body.startswith(b"Adobe")]
    np.testing.assert_array_equal(decode_image(jpeg_with(*kept), "m").pixels, decode_image(SAMPLES["JPEG"], "m").pixels)


def test_decode_image__scans_of_the_picture_itself_still_count() -> None:
    data = SAMPLES["JPEG-progressive"]
    scan = data[data.index(b"\xff\xda") : -2]
    with pytest.raises(ImageTooLargeError, match="very many scans"):
        decode_image(data[:-2] + scan * 101 + b"\xff\xd9" + MOTION, "memory")
    with pytest.raises(ImageTooLargeError, match="very many segments"):
        decode_image(jpeg_with(*[(0xFE, b"")] * 20_000), "memory")


def test_decode_image__a_raw_files_thumbnail_is_not_taken_for_the_photo() -> None:
    with pytest.raises(ImageFormatError, match="camera raw"):
        decode_image(encode(rgb(), "TIFF", tiffinfo={254: 1}), "photo.nef")


def test_decode_image__bounds_hold_for_every_format() -> None:
    for name, data in SAMPLES.items():
        with pytest.raises(ImageTooLargeError, match="SV_DECODE__MAX_PIXELS"):
            decode_image(data, name, Decode(max_pixels=48 * 32 - 1))
        with pytest.raises(ImageTooLargeError, match="SV_DECODE__MAX_BYTES"):
            decode_image(data, name, Decode(max_bytes=len(data) - 1))


def test_decode_image__advice_names_settings_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SV_DECODE__MAX_PIXELS", str(48 * 32 - 1))
    monkeypatch.setenv("SV_DECODE__MAX_BYTES", "1000000")
    monkeypatch.setenv("SV_DECODE__ANIMATION", "refuse")
    assert load_settings("embedded").decode == Decode(max_pixels=48 * 32 - 1, max_bytes=1_000_000, animation="refuse")


def test_decode_image__blocks_of_a_gif_are_counted() -> None:
    data = SAMPLES["GIF"]
    comment = b"!\xfe" + b"\x01x" * 600_000 + b"\0"
    at = data.index(b",", 13 + 3 * 256)
    with pytest.raises(ImageTooLargeError, match="very many blocks"):
        decode_image(data[:at] + comment + data[at:], "memory")
    frame = decode_image(data[:at] + b"!\xfe" + b"\xffx" + b"y" * 254 + b"\0" + data[at:], "memory")
    np.testing.assert_array_equal(frame.pixels, decode_image(data, "memory").pixels)


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (b"", ImageBrokenError, "zero bytes"),
        (b"garbage\0not an image at all", ImageFormatError, "unknown format from memory|first bytes 67617262"),
        (b"garbage, not an image at all", ImageFormatError, "got text"),
        (b"<!DOCTYPE html><html>404", ImageFormatError, "HTML page.*download the picture itself"),
        (b"version https://git-lfs.github.com/spec/v1\n", ImageFormatError, "git-LFS pointer.*git lfs pull"),
        (b"%PDF-1.7", ImageFormatError, "PDF document"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", ImageFormatError, "JPEG 2000.*save it as a plain JPEG"),
        (b"\0\0\0\x18ftypmp42", ImageFormatError, "MP4 from memory.*/v1/predict/video"),
        (b"\xff\xd8\xff", ImageBrokenError, "complete picture"),
        (SAMPLES["GIF"][:900], ImageBrokenError, "memory"),
        (SAMPLES["TIFF"][:900], ImageBrokenError, "memory"),
        (SAMPLES["BMP"][:900], ImageBrokenError, "memory"),
        (SAMPLES["AVIF"][:300], ImageBrokenError, "memory"),
        (SAMPLES["HEIF"][:300], ImageBrokenError, "memory"),
        (SAMPLES["JPEG"][:400], ImageBrokenError, "(?i)truncated"),
        (SAMPLES["PNG"][:80], ImageBrokenError, "memory"),
        (SAMPLES["WEBP"][:60], ImageBrokenError, "memory"),
        (SAMPLES["WEBP"][:20], ImageBrokenError, "WebP header"),
        (SAMPLES["JPEG"][:-2] + b"\xff\xda" * 200, ImageTooLargeError, "scans"),
    ],
)
def test_decode_image__refuses(data: bytes, error: type[ImageError], text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        decode_image(data, "memory")
    assert caught.value.data["source"] == "memory"


def test_decode_image__caller_narrows_the_formats() -> None:
    with pytest.raises(ImageFormatError, match="got PNG"):
        decode_image(SAMPLES["PNG"], "axon", formats=("JPEG",))


def test_decode_image__byte_limit() -> None:
    data = SAMPLES["JPEG"]
    decode_image(data, "memory", Decode(max_bytes=len(data)))
    with pytest.raises(ImageTooLargeError, match="bytes"):
        decode_image(data, "memory", Decode(max_bytes=len(data) - 1))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "WEBP-lossless", "WEBP-alpha"])
def test_decode_image__pixel_limit_is_exact(name: str) -> None:
    decode_image(SAMPLES[name], "memory", Decode(max_pixels=48 * 32))
    with pytest.raises(ImageTooLargeError, match="48x32 pixels"):
        decode_image(SAMPLES[name], "memory", Decode(max_pixels=48 * 32 - 1))


def png_bomb(width: int, height: int) -> bytes:
    """A few hundred bytes that claim to be a huge image."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9_500, 14_000, 60_000])
def test_decode_image__bombs_are_refused_from_the_header_without_a_warning(side: int) -> None:
    # 90 megapixels is where Pillow would only warn, 196 where it would raise an error of its own
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageTooLargeError, match=f"{side}x{side}"):
            decode_image(png_bomb(side, side), "memory")


def test_decode_image__webp_bomb_is_refused_before_the_decoder_allocates() -> None:
    data = bytearray(SAMPLES["WEBP-alpha"])
    assert data[12:16] == b"VP8X"
    data[24:30] = (16_382).to_bytes(3, "little") * 2
    with pytest.raises(ImageTooLargeError, match="16383x16383"):
        decode_image(bytes(data), "memory")


def test_decode_image__a_heic_that_understates_its_size_is_refused_before_it_is_decoded() -> None:
    data = bytearray(heic(Image.new("RGB", (4000, 3000))))
    at = data.index(b"ispe") + 8
    assert struct.unpack(">II", data[at : at + 8]) == (4000, 3000)
    data[at : at + 8] = struct.pack(">II", 64, 64)
    with pytest.raises(ImageBrokenError, match="exceeds the maximum image size"):
        decode_image(bytes(data), "memory", Decode(max_pixels=10_000))


def test_decode_image__leaves_pillow_as_it_was() -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    decode_image(SAMPLES["JPEG"], "memory")
    with pytest.raises(ImageError):
        decode_image(png_bomb(20_000, 20_000), "memory")
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))


def test_decode_image__threads_agree() -> None:
    expected = {name: decode_image(data, name).pixels for name, data in SAMPLES.items()}
    failures: list[str] = []

    def work() -> None:
        for _ in range(20):
            for name, data in SAMPLES.items():
                if not np.array_equal(decode_image(data, name).pixels, expected[name]):
                    failures.append(name)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(sorted(SAMPLES)),
    cut=st.floats(0, 1),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
)
def test_decode_image__mutated_files_give_a_frame_or_an_image_error(
    name: str, cut: float, edits: list[tuple[float, int]]
) -> None:
    data = bytearray(SAMPLES[name])
    for where, value in edits:
        data[int(where * len(data))] = value
    try:
        frame = decode_image(bytes(data[: int(cut * len(data)) or None] if cut < 0.5 else data), "fuzz")
    except ImageError as error:
        assert error.got
    else:
        assert isinstance(frame, Frame)


@settings(max_examples=100, deadline=None)
@given(magic=st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x00\x00WEBP"]), rest=st.binary())
def test_decode_image__random_bytes_behind_the_magic_give_an_image_error(magic: bytes, rest: bytes) -> None:
    with pytest.raises(ImageError):
        decode_image(magic + rest, "fuzz")


def test_read_image__reads_and_names_the_source(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(SAMPLES["PNG"])
    frame = read_image(path)
    assert frame.source == str(path)
    assert (frame.width, frame.height) == (48, 32)


def test_read_image__missing_folder_and_too_large(tmp_path: Path) -> None:
    with pytest.raises(FileMissingError, match="no file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(NotAFileError, match="a folder"):
        read_image(tmp_path)
    path = tmp_path / "big.jpg"
    path.write_bytes(SAMPLES["JPEG"])
    with pytest.raises(ImageTooLargeError, match="bytes"):
        read_image(path, Decode(max_bytes=100))


def test_list_images__sorted_recursive_without_hidden(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "a.png", "b/1.webp", "notes.txt", ".hidden.jpg", "c.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.jpg").mkdir()
    assert [p.relative_to(tmp_path).as_posix() for p in list_images(tmp_path)] == [
        "a.png",
        "b/1.webp",
        "b/2.JPG",
        "c.jpeg",
    ]


def test_encode_jpeg__equals_pillows_default() -> None:
    plain = io.BytesIO()
    rgb().save(plain, format="JPEG")
    assert encode_jpeg(GRADIENT) == plain.getvalue()
    ours, theirs = Image.open(io.BytesIO(encode_jpeg(GRADIENT))), Image.open(plain)
    assert ours.quantization == theirs.quantization  # type: ignore[attr-defined]


def test_encode_jpeg__refuses_impossible_sizes() -> None:
    for shape in ((0, 5, 3), (1, 65_536, 3)):
        with pytest.raises(ImageTooLargeError, match="65,535"):
            encode_jpeg(np.zeros(shape, np.uint8))


@pytest.mark.skipif(sys.platform == "win32", reason="no symbolic links")
def test_list_images__dangling_link_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert [p.name for p in list_images(tmp_path)] == ["a.jpg"]


@pytest.mark.streets
def test_read_image__real_photos() -> None:
    folder = load_settings("embedded").paths.resolve("streets")
    if not folder.is_dir():
        pytest.skip("the real photos are not beside the project")
    for path in list_images(folder)[::60]:
        frame = read_image(path)
        assert min(frame.width, frame.height) >= 100
        assert frame.pixels.std() > 5
