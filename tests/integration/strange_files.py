"""Some seventy kinds of files that people have in folders of photos, and what `predict` is to say of each.

    python -m tests.integration.strange_files FOLDER     # makes them, to look at by hand

Each entry of `KINDS` names a file, how it is made, and what becomes of it: `photo` or `video` (answered), the name of
an error (reported), or the reason it is not looked at. None of the pictures is a real photo.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import sys
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pillow_heif
from PIL import Image

from streetvision_core.data import scenes

PHOTO, VIDEO = "photo", "video"


@dataclass(frozen=True)
class Strange:
    """One file.

    Attributes:
        name: its name, as the file system has it.
        make: writes it, or makes its bytes.
        becomes: `photo`, `video`, an error's name or the reason it is left out.
        says: part of what is noted or of the error's text.
    """

    name: str
    make: Callable[[Path], bytes | None]
    becomes: str
    says: str = ""


def _pixels(side: int = 320) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.fromarray(scenes.render(3, roadwork=True).frame.pixels).resize((side, side * 3 // 4)))


STREET = Image.fromarray(_pixels())
OTHER = Image.fromarray(np.full((240, 320, 3), 90, np.uint8))


def picture(kind: str, image: Image.Image = STREET, **options: Any) -> bytes:
    """An encoded picture."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


JPEG, PNG = picture("JPEG"), picture("PNG")


def of(data: bytes) -> Callable[[Path], bytes]:
    """A file of these bytes."""
    return lambda path: data


def segment(kind: int, body: bytes) -> bytes:
    """A JPEG's segment."""
    return bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG's chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def inside_jpeg(*segments: bytes) -> bytes:
    """The picture with more segments."""
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


def inside_png(*chunks: bytes) -> bytes:
    """The picture with more chunks."""
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def turned(orientation: int) -> bytes:
    """A picture with a camera's orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return picture("JPEG", exif=exif)


def heic(**options: Any) -> bytes:
    """A phone's picture."""
    made = pillow_heif.HeifFile()
    made.add_from_pillow(STREET)
    buffer = io.BytesIO()
    made.save(buffer, quality=80, **options)
    return buffer.getvalue()


def film(
    container: str,
    codec: str = "libx264",
    times: Iterable[float] = tuple(i / 5 for i in range(6)),
    sizes: Iterable[tuple[int, int]] = ((288, 352),),
    options: dict[str, str] | None = None,
) -> bytes:
    """A film of a second, with one track per size."""
    buffer = io.BytesIO()
    tick = Fraction(1, 1000) if codec in ("libx264", "libvpx-vp9") else Fraction(1, 25)
    with av.open(buffer, "w", format=container, options=options or {}) as output:
        tracks = []
        for height, width in sizes:
            track: Any = output.add_stream(codec, rate=25)
            track.height, track.width, track.pix_fmt = height, width, "yuv420p"
            track.time_base = track.codec_context.time_base = tick
            tracks.append(track)
        for track in tracks:
            street = np.asarray(STREET.resize((track.width, track.height)))
            for at in times:
                frame = av.VideoFrame.from_ndarray(street, format="rgb24")
                frame.pts, frame.time_base = round(at / tick), tick
                output.mux(track.encode(frame))
            output.mux(track.encode())
    return buffer.getvalue()


def every(fps: float, start: float = 0.0) -> tuple[float, ...]:
    """The times of a film of a second."""
    return tuple(start + i / fps for i in range(round(fps)))


def on_its_side() -> bytes:
    """A film whose header says that the camera was held upright."""
    data = bytearray(film("mp4"))
    at, one = data.index(b"tkhd") + 4 + 40, 1 << 16
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    return bytes(data)


def sound(path: Path) -> None:
    """A film without pictures."""
    with av.open(str(path), "w", format="mp4") as output:
        track: Any = output.add_stream("aac", rate=16_000, layout="mono")
        for start in range(0, 16_000, 1024):
            wave = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            wave.sample_rate, wave.pts = 16_000, start
            output.mux(track.encode(wave))
        output.mux(track.encode())


def a_socket(path: Path) -> None:
    """A socket that nobody listens on any more."""
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)  # a socket's path may have 108 bytes
        server.bind(path.name)
        os.chdir(here)


def link_to(target: str) -> Callable[[Path], None]:
    """A symbolic link."""
    return lambda path: path.symlink_to(target)


def folder_with(name: str, data: bytes) -> Callable[[Path], None]:
    """A folder with one file."""

    def make(path: Path) -> None:
        path.mkdir()
        (path / name).write_bytes(data)

    return make


XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"<a/>" * 270_000 + b"</x:xmpmeta>"
PROFILE = [segment(0xE2, b"ICC_PROFILE\0" + bytes([i + 1, 30]) + b"\xff\xda" * 32_000) for i in range(30)]
ANIMATION = {"save_all": True, "append_images": [OTHER, OTHER.rotate(9)]}
TS = film("mpegts", times=every(5, 50.0))
SIXTEEN = Image.fromarray(np.asarray(STREET.convert("L")).astype(np.uint16) * 257)
BOMB = picture("PNG", Image.new("1", (9000, 9000)))
CUT = "ImageBrokenError"

KINDS: tuple[Strange, ...] = (
    # pictures as they are
    Strange("plain.jpg", of(JPEG), PHOTO),
    Strange("progressive.jpg", of(picture("JPEG", progressive=True)), PHOTO),
    Strange("grey.jpg", of(picture("JPEG", STREET.convert("L"))), PHOTO),
    Strange("cmyk.jpg", of(picture("JPEG", STREET.convert("CMYK"))), PHOTO),
    Strange("sixteen-bit.png", of(picture("PNG", SIXTEEN)), PHOTO),
    Strange("palette.png", of(picture("PNG", STREET.quantize(64))), PHOTO),
    Strange("transparent.png", of(picture("PNG", STREET.convert("RGBA"))), PHOTO),
    Strange("one-bit.png", of(picture("PNG", STREET.convert("1"))), PHOTO),
    Strange("tiny.png", of(picture("PNG", STREET.resize((2, 2)))), PHOTO),
    Strange("street.webp", of(picture("WEBP")), PHOTO),
    Strange("street.gif", of(picture("GIF")), PHOTO),
    Strange("street.bmp", of(picture("BMP")), PHOTO),
    Strange("street.tif", of(picture("TIFF", compression="tiff_lzw")), PHOTO),
    Strange("street.avif", of(picture("AVIF")), PHOTO),
    Strange("phone.heic", of(heic()), PHOTO),
    *(Strange(f"turned-{n}.jpg", of(turned(n)), PHOTO) for n in (3, 6, 8)),
    # several pictures
    Strange("moving.gif", of(picture("GIF", **ANIMATION)), PHOTO, "an animation of several frames"),
    Strange("moving.webp", of(picture("WEBP", **ANIMATION)), PHOTO, "an animation of 3 frames"),
    Strange("moving.png", of(picture("PNG", **ANIMATION)), PHOTO, "an animation of 3 frames"),
    Strange("moving.avif", of(picture("AVIF", **ANIMATION)), PHOTO, "an animation of 3 frames"),
    Strange("pages.tiff", of(picture("TIFF", **ANIMATION)), PHOTO, "several pictures in one file"),
    Strange("stereo.mpo", of(picture("MPO", **ANIMATION)), PHOTO),
    # more than a picture
    Strange("motion.jpg", of(JPEG + film("mp4") + b"\xff\xda" * 5000), PHOTO),
    Strange("trailing.jpg", of(JPEG + b"\0" * 5000 + b"garbage"), PHOTO),
    Strange("xmp.png", of(inside_png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)))), PHOTO),
    Strange("text.png", of(inside_png(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 9_000_000)))), PHOTO),
    Strange("profile.png", of(inside_png(chunk(b"iCCP", b"p\0\0" + zlib.compress(os.urandom(2_000_000))))), PHOTO),
    Strange("profile.jpg", of(inside_jpeg(*PROFILE)), PHOTO),
    Strange("odd-exif.jpg", of(inside_jpeg(segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 900))), PHOTO),
    Strange("odd-comment.jpg", of(inside_jpeg(segment(0xFE, b"\xff\xd9" * 900))), PHOTO),
    # names
    Strange("camera.jfif", of(JPEG), PHOTO),
    Strange("camera.jpe", of(JPEG), PHOTO),
    Strange("LOUD.JPG", of(JPEG), PHOTO),
    Strange("no-suffix", of(JPEG), PHOTO),
    Strange("really-a-jpeg.png", of(JPEG), PHOTO),
    Strange("really-a-png.txt", of(PNG), PHOTO),
    Strange("really-a-film.jpg", of(film("mp4")), VIDEO),
    Strange("with some spaces.jpg", of(JPEG), PHOTO),
    Strange("two\nlines.jpg", of(JPEG), PHOTO),
    Strange("[bold] & <b>.jpg", of(JPEG), PHOTO),
    Strange("صورة שלום.jpg", of(JPEG), PHOTO),
    Strange("straße 山 🚧.jpg", of(JPEG), PHOTO),
    Strange("=SUM(A1).jpg", of(JPEG), PHOTO),
    Strange(os.fsdecode(b"caf\xe9.jpg"), of(JPEG), PHOTO),
    Strange("n" * 240 + ".jpg", of(JPEG), PHOTO),
    # not whole, or something else
    Strange("empty.jpg", of(b""), CUT, "zero bytes"),
    Strange("cut.jpg", of(JPEG[: len(JPEG) // 3]), CUT, "runcated"),
    Strange("cut.png", of(PNG[: len(PNG) // 3]), CUT),
    Strange("cut.heic", of(heic()[:600]), CUT),
    Strange("page.jpg", of(b"<!DOCTYPE html><title>404</title>"), "ImageFormatError", "HTML page"),
    Strange("pointer.jpg", of(b"version https://git-lfs.github.com/spec/v1\n"), "ImageFormatError", "git lfs pull"),
    Strange("drawing.jp2", of(picture("JPEG2000")), "ImageFormatError", "JPEG 2000"),
    Strange("camera.nef", of(picture("TIFF", tiffinfo={254: 1})), "ImageFormatError", "camera raw"),
    Strange(
        "bomb.png", of(picture("PNG", Image.new("1", (9000, 9000)))), "ImageTooLargeError", "SV_DECODE__MAX_PIXELS"
    ),
    Strange("pipe.jpg", lambda path: os.mkfifo(path), "NotAFileError", "a pipe"),
    # not looked at
    Strange("drawing.svg", of(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "SVG drawing"),
    Strange("paper.pdf", of(b"%PDF-1.7\n"), "PDF document"),
    Strange("Thumbs.db", of(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600), "thumbnail cache or office document"),
    Strange("._plain.jpg", of(b"\x00\x05\x16\x07" + b"\0" * 80), "hidden"),
    Strange("notes.txt", of(b"buy cones\n"), "text"),
    Strange("code.ts", of(b"export const cones = 3;\n"), "text"),
    Strange("nothing", of(b""), "empty file"),
    Strange("socket", a_socket, "a socket"),
    Strange("gone.jpg", link_to("nowhere.jpg"), "a link to nothing"),
    Strange("in-a-circle", link_to("in-a-circle"), "too many levels of symbolic links"),
    Strange("up", link_to("."), "a folder that was entered already"),
    # videos
    Strange("drive.mp4", of(film("mp4")), VIDEO),
    Strange("drive.mkv", of(film("matroska")), VIDEO),
    Strange("drive.webm", of(film("webm", "libvpx-vp9")), VIDEO),
    Strange("drive.avi", of(film("avi", "mpeg4", every(25))), VIDEO),
    Strange("drive.3gp", of(film("3gp", "mpeg4", every(25))), VIDEO),
    Strange("drive.mts", of(film("mpegts", options={"mpegts_m2ts_mode": "1"})), VIDEO),
    Strange("drive.mpg", of(film("mpeg", "mpeg2video", every(25))), VIDEO),
    Strange("drive.wmv", of(film("asf", "wmv2", every(25))), VIDEO),
    Strange("drive.flv", of(film("flv", "flv", every(25))), VIDEO),
    Strange("joined.ts", of(TS + TS), VIDEO, "the clock starts again once"),
    Strange("two-cameras.mp4", of(film("mp4", sizes=((96, 96), (288, 352)))), VIDEO, "2 video tracks: the largest"),
    Strange("unsteady.mp4", of(film("mp4", times=(0.0, 0.04, 1.2, 3.0, 6.6))), VIDEO),
    Strange("upright.mp4", of(on_its_side()), VIDEO),
    Strange("a-film-without-suffix", of(film("mp4")), VIDEO),
    Strange("song.mp4", sound, "VideoFormatError", "sound alone"),
    Strange("cut.mp4", of(film("mp4")[:900]), "VideoBrokenError"),
    Strange("noise.mp4", of(b"\x01\x02" * 600), "VideoBrokenError"),
    Strange("empty.mov", of(b""), "VideoBrokenError", "zero bytes"),
)


def make_all(folder: Path) -> None:
    """Writes every kind into a folder that does not exist yet."""
    folder.mkdir()
    for strange in KINDS:
        path = folder / strange.name
        data = strange.make(path)
        if data is not None:
            path.write_bytes(data)
    folder_with("beside.jpg", JPEG)(folder.parent / "elsewhere")
    (folder / "linked").symlink_to(folder.parent / "elsewhere")


if __name__ == "__main__":
    make_all(Path(sys.argv[1]))
