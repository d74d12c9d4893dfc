import io
import os
import struct

import av
import numpy as np
import pytest
from PIL import Image

from streetvision_core.images.sniff import EMPTY, HEAD_BYTES, TEXT, UNKNOWN, sniff, sniff_format


def picture(kind, **options):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (90, 120, 30)).save(buffer, kind, **options)
    return buffer.getvalue()


def boxes(brand, *others):
    return struct.pack(">I4s4sI", 16 + 4 * len(others), b"ftyp", brand, 0) + b"".join(others)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_sniff__pictures_as_pillow_writes_them(kind):
    found = sniff(picture(kind))
    assert (found.media, found.name, found.readable) == ("image", kind, True)
    assert sniff_format(picture(kind)) == kind


@pytest.mark.parametrize(
    ("head", "media", "name"),
    [
        (boxes(b"heic", b"mif1", b"heic"), "image", "HEIF"),
        (boxes(b"mif1", b"mif1", b"heic"), "image", "HEIF"),
        (boxes(b"mif1", b"mif1", b"avif"), "image", "AVIF"),
        (boxes(b"avis", b"msf1"), "image", "AVIF"),
        (boxes(b"crx ", b"isom"), "image", "camera raw file (CR3)"),
        (boxes(b"isom", b"avc1"), "video", "MP4"),
        (boxes(b"3gp5"), "video", "MP4"),
        (boxes(b"qt  "), "video", "QuickTime"),
        (struct.pack(">I4s", 8, b"wide") + b"\0" * 20, "video", "QuickTime"),
        (boxes(b"M4A "), "sound", "MPEG-4 sound"),
        (b"RIFF\0\0\0\0AVI LIST", "video", "AVI"),
        (b"RIFF\0\0\0\0WAVEfmt ", "sound", "WAV sound"),
        (b"OggS\0\x02" + b"\0" * 22 + b"\x01\x1e\x01vorbis", "sound", "Ogg sound"),
        (b"OggS\0\x02" + b"\0" * 22 + b"\x01\x2a\x80theora", "video", "Ogg video"),
        (b"\x00\x00\x01\xba\x44", "video", "MPEG program stream"),
        (b"\xff\xfb\x90\x64" + b"\0" * 30, "sound", "MP3 sound"),
        (b"ID3\x04", "sound", "MP3 sound"),
        (b"\xff\x0a\x00\x00", "image", "JPEG XL"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image", "JPEG 2000"),
        (b"\xef\xbb\xbf \n<!DOCTYPE HTML><title>404</title>", "other", "HTML page"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "other", "SVG drawing"),
        (b"%PDF-1.7", "other", "PDF document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "other", "git-LFS pointer"),
        (b"\x00\x05\x16\x07\x00\x02", "other", "macOS attributes file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "other", "thumbnail cache or office document"),
        (b"RIFF\0\0\0\0ABCD", "other", "unknown format"),
        (b"BM just text that begins so", "other", "text"),
    ],
)
def test_sniff__by_content(head, media, name):
    found = sniff(head)
    assert (found.media, found.name) == (media, name)


@pytest.mark.parametrize("length", [188, 192, 204])
@pytest.mark.parametrize("cut", [0, 100])
def test_sniff__transport_streams_of_any_packet_and_with_a_cut_first_one(length, cut):
    lead = b"\0\0\0\1" if length == 192 else b""
    packet = (lead + b"G" + b"\x1f\xff\x10").ljust(length, b"\xff")
    assert sniff((packet * 12)[cut:]).name == "MPEG transport stream"


def test_sniff__text_and_noise_are_no_video():
    assert sniff(b"") == EMPTY
    assert sniff(b"G" * HEAD_BYTES) == TEXT
    assert sniff("straße\n".encode() * 50) == TEXT
    assert sniff(b"\x01\x02" + os.urandom(3000)).media == "other"
    assert sniff(b"\x00" * 100) == UNKNOWN


def test_sniff__needs_no_more_than_the_head():
    data = picture("TIFF") + os.urandom(50_000)
    assert sniff(data) == sniff(data[:HEAD_BYTES])


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi", "ts", "flv", "wmv", "mpg", "3gp", "mts"])
def test_sniff__videos_as_ffmpeg_writes_them(suffix, tmp_path):
    codec = {"webm": "libvpx", "flv": "flv", "wmv": "wmv2", "mpg": "mpeg1video"}.get(suffix, "mpeg4")
    form = {"mts": "mpegts", "wmv": "asf", "mpg": "mpeg", "mkv": "matroska", "ts": "mpegts"}.get(suffix, suffix)
    options = {"mpegts_m2ts_mode": "1"} if suffix == "mts" else {}
    path = tmp_path / f"drive.{suffix}"
    with av.open(str(path), "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 352, 288, "yuv420p"
        for value in range(25):
            pixels = np.full((288, 352, 3), 9 * value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())
    assert sniff(path.read_bytes()).media == "video"
