import errno
import os

import pytest

from streetvision_core.errors import (
    FileMissingError,
    FileUnreadableError,
    ImageError,
    NotAFileError,
    PathError,
    VideoError,
)
from streetvision_core.images.files import as_text, named, open_file, printable, read_bytes, read_head
from streetvision_core.images.sniff import HEAD_BYTES


def test_read_bytes__one_more_than_the_limit_shows_that_there_are_more(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 9000)
    assert len(read_bytes(path, 100)) == 101
    assert len(read_head(path)) == HEAD_BYTES


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda p: None, FileMissingError, "no file"),
        (lambda p: (p.parent / "file").write_bytes(b"") and None, FileMissingError, "no file"),
        (lambda p: p.mkdir(), NotAFileError, "a folder"),
        (lambda p: os.mkfifo(p), NotAFileError, "a pipe"),
        (lambda p: p.symlink_to(p), PathError, "symbolic links"),
        (lambda p: p.symlink_to("/dev/zero"), NotAFileError, "a device"),
    ],
)
def test_open_file__names_what_is_no_file(tmp_path, make, error, text):
    path = tmp_path / "a.jpg"
    make(path)
    with pytest.raises(error, match=text) as caught:
        open_file(path)
    assert str(path) in caught.value.got and caught.value.action
    assert isinstance(caught.value, ImageError) and isinstance(caught.value, VideoError)


@pytest.mark.parametrize("name", ["n" * 300, "d/" * 4000 + "a.jpg", "nul\0.jpg"])
def test_open_file__a_path_that_no_file_system_takes(tmp_path, name):
    with pytest.raises(PathError) as caught:
        open_file(tmp_path / name)
    assert len(caught.value.got) < 400


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_named__what_the_system_refuses(tmp_path, code):
    error = named(OSError(code, os.strerror(code)), tmp_path / "a.jpg")
    assert isinstance(error, FileUnreadableError)
    assert os.strerror(code) in error.got


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        (b"plain name.jpg", "plain name.jpg", "plain name.jpg"),
        ("straße 山.jpg".encode(), "straße 山.jpg", "straße 山.jpg"),
        (b"caf\xe9.jpg", "caf\\xe9.jpg", "caf\\xe9.jpg"),
        (b"two\nlines\x1b[31m.jpg", "two\nlines\x1b[31m.jpg", "two\\nlines\\x1b[31m.jpg"),
        ("gpj.\u202egpj.exe".encode(), "gpj.\u202egpj.exe", "gpj.\\u202egpj.exe"),
        ("10.11\u202fAM.png".encode(), "10.11\u202fAM.png", "10.11\u202fAM.png"),
    ],
)
def test_printable__stays_on_one_line_and_can_be_encoded(name, text, line):
    path = os.fsdecode(name)
    assert (as_text(path), printable(path)) == (text, line)
    assert printable(path).encode() and as_text(path).encode()
