import io

import numpy as np
import pytest
from PIL import Image

from streetvision_core.images.kind import sniff_kind


def picture(kind):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF"])
def test_sniff_kind__pictures(kind):
    assert sniff_kind(picture(kind)) == "image"


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "avi", "ts", "flv", "wmv", "mpg", "3gp", "mts"])
def test_sniff_kind__videos(suffix, tmp_path):
    av = pytest.importorskip("av")
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
    assert sniff_kind(path.read_bytes()) == "video"


@pytest.mark.parametrize("data", [b"", b"G", b"hello, world", b"%PDF-1.7", b"PK\x03\x04" + bytes(400), b"BMW etc."])
def test_sniff_kind__anything_else_is_neither(data):
    assert sniff_kind(data) is None
