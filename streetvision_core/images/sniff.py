"""What a file is, by its first bytes and never by its name.

Example:
    >>> sniff(b"GIF89a...").name
    'GIF'
    >>> sniff(b"<!DOCTYPE html><title>404</title>")
    Kind(media='other', name='HTML page', readable=False)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

Media = Literal["image", "video", "sound", "other"]
ImageFormat = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"]
FORMATS: Final[tuple[ImageFormat, ...]] = get_args(ImageFormat)
"""The still pictures that are decoded."""

HEAD_BYTES: Final = 4096
"""So many of a file's first bytes decide."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is.

    Attributes:
        media: what it would be used as.
        name: for people; of a picture that is decoded, its `ImageFormat`.
        readable: whether StreetVision has a decoder for it. A video's codec shows only when it is opened.
    """

    media: Media
    name: str
    readable: bool = False


EMPTY: Final = Kind("other", "empty file")
TEXT: Final = Kind("other", "text")
UNKNOWN: Final = Kind("other", "unknown format")


def _video(name: str) -> Kind:
    return Kind("video", name, readable=True)


def _picture(name: ImageFormat) -> Kind:
    return Kind("image", name, readable=True)


_MAGIC: Final[tuple[tuple[int, bytes, Kind], ...]] = (
    (0, b"\xff\xd8\xff", _picture("JPEG")),
    (0, b"\x89PNG\r\n\x1a\n", _picture("PNG")),
    (0, b"GIF87a", _picture("GIF")),
    (0, b"GIF89a", _picture("GIF")),
    (8, b"CR\x02", Kind("image", "camera raw file (CR2)")),
    (0, b"II*\x00", _picture("TIFF")),
    (0, b"MM\x00*", _picture("TIFF")),
    (0, b"II+\x00", _picture("TIFF")),
    (0, b"MM\x00+", _picture("TIFF")),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", Kind("image", "JPEG 2000")),
    (0, b"\xff\x4f\xff\x51", Kind("image", "JPEG 2000")),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", Kind("image", "JPEG XL")),
    (0, b"\xff\x0a", Kind("image", "JPEG XL")),
    (0, b"8BPS", Kind("image", "Photoshop document")),
    (0, b"FUJIFILMCCD-RAW", Kind("image", "camera raw file (RAF)")),
    (0, b"IIU\x00", Kind("image", "camera raw file (RW2)")),
    (0, b"IIRO", Kind("image", "camera raw file (ORF)")),
    (0, b"\x00\x00\x01\x00", Kind("other", "icon")),
    (0, b"\x1aE\xdf\xa3", _video("Matroska or WebM")),
    (0, b"FLV\x01", _video("Flash video")),
    (0, bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), _video("Windows Media")),
    (0, b"\x00\x00\x01\xba", _video("MPEG program stream")),
    (0, b"\x00\x00\x01\xb3", _video("MPEG video")),
    (0, b"ID3", Kind("sound", "MP3 sound")),
    (0, b"fLaC", Kind("sound", "FLAC sound")),
    (0, b"#!AMR", Kind("sound", "AMR sound")),
    (0, b"OggS", Kind("sound", "Ogg sound")),
    (0, b"%PDF", Kind("other", "PDF document")),
    (0, b"PK\x03\x04", Kind("other", "ZIP archive or office document")),
    (0, b"\x1f\x8b", Kind("other", "gzip archive")),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("other", "7z archive")),
    (0, b"Rar!", Kind("other", "RAR archive")),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind("other", "thumbnail cache or office document")),
    (0, b"\x00\x05\x16\x07", Kind("other", "macOS attributes file")),
    (0, b"\x00\x05\x16\x00", Kind("other", "macOS attributes file")),
    (0, b"\x00\x00\x00\x01Bud1", Kind("other", "macOS folder settings")),
    (0, b"version https://git-lfs.github.com/spec/", Kind("other", "git-LFS pointer")),
    (0, b"SQLite format 3\x00", Kind("other", "SQLite database")),
    (0, b"\x7fELF", Kind("other", "program")),
)
_RIFF: Final = {
    b"WEBP": _picture("WEBP"),
    b"AVI ": _video("AVI"),
    b"WAVE": Kind("sound", "WAV sound"),
}
_HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_STRUCTURE_BRANDS: Final = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})
"""They say how a picture is stored and not how it is coded: the compatible brands do."""
_SOUND_BRANDS: Final = frozenset({b"M4A ", b"M4B ", b"F4A "})
_QUICKTIME_BOXES: Final = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_BMP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_PACKETS: Final = (188, 192, 204)
"""Lengths of transport stream packets: plain, with a time code (cameras, Blu-ray), with error correction."""
_SYNCS: Final = 5
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def sniff(head: bytes) -> Kind:
    """What a file that begins like this is.

    Args:
        head: the whole file or at least its first `HEAD_BYTES`.
    """
    if not head:
        return EMPTY
    head = bytes(head[:HEAD_BYTES])
    for at, magic, kind in _MAGIC:
        if head.startswith(magic, at):
            return _ogg(head) if magic == b"OggS" else kind
    if head[4:8] == b"ftyp":
        return _base_media(head)
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], UNKNOWN)
    if head[4:8] in _QUICKTIME_BOXES:
        return _video("QuickTime")
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return _picture("BMP")
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE6 == 0xE2:
        return Kind("sound", "MP3 sound")
    return _text(head)


def sniff_format(data: bytes) -> ImageFormat | None:
    """The format of a picture that is decoded, None for anything else."""
    kind = sniff(data)
    return next((f for f in FORMATS if kind.readable and kind.name == f), None)


def _base_media(head: bytes) -> Kind:
    """ISO base media files name their brands: the major one, then those they are compatible with."""
    size = int.from_bytes(head[:4], "big")
    major, others = head[8:12], {head[i : i + 4] for i in range(16, min(max(size, 16), len(head)), 4)}
    brands = {major} | (others if major in _STRUCTURE_BRANDS else set())
    if brands & _AVIF_BRANDS:
        return _picture("AVIF")
    if brands & _HEIF_BRANDS or major in _STRUCTURE_BRANDS:
        return _picture("HEIF")
    if major == b"crx ":
        return Kind("image", "camera raw file (CR3)")
    if major in _SOUND_BRANDS:
        return Kind("sound", "MPEG-4 sound")
    return _video("QuickTime" if major == b"qt  " else "MP4")


def _ogg(head: bytes) -> Kind:
    return _video("Ogg video") if b"\x80theora" in head else Kind("sound", "Ogg sound")


def _is_transport_stream(head: bytes) -> bool:
    """Packets of one length that each begin with 0x47, the letter G; the first may be cut."""
    for length in _PACKETS:
        for start in range(length):
            if head[start::length][:_SYNCS] == b"G" * _SYNCS:
                return True
    return False


def _text(head: bytes) -> Kind:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1024].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return Kind("other", "HTML page")
    if start.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"<svg" in head.lower():
        return Kind("other", "SVG drawing")
    if not _CONTROLS.search(head):
        return TEXT
    return _video("MPEG transport stream") if _is_transport_stream(head) else UNKNOWN
