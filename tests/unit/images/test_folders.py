import io
import os
import shutil
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from streetvision_core.errors import FileMissingError, FileUnreadableError, NoImagesError, NotAFileError, PathError
from streetvision_core.images.decode import read_image
from streetvision_core.images.folders import HIDDEN, find, list_images, walk


def picture(kind="JPEG"):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (90, 120, 30)).save(buffer, kind)
    return buffer.getvalue()


JPEG = picture()


def fill(root, names):
    for name, data in names.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def taken(root, **options):
    return [one.path.relative_to(root).as_posix() for one in walk(root, **options) if not one.reason]


def left_out(root):
    return {one.path.relative_to(root).as_posix(): one.reason for one in walk(root) if one.reason}


def test_walk__content_decides_and_not_the_name(tmp_path):
    fill(
        tmp_path,
        {
            "a.jfif": JPEG,
            "b.jpe": JPEG,
            "c.MPO": JPEG,
            "d": JPEG,
            "e.txt": picture("PNG"),
            "f.mts": (b"\0\0\0\1G" + b"\xff" * 187) * 20,
            "g.jpg": b"<html>not found</html>",
            "h.ts": b"const a: number = 1;\n",
            "i.pdf": b"%PDF-1.4",
            "j": b"",
            "k.svg": b"<svg/>",
        },
    )
    assert taken(tmp_path) == ["a.jfif", "b.jpe", "c.MPO", "d", "e.txt", "f.mts", "g.jpg"]
    assert left_out(tmp_path) == {"h.ts": "text", "i.pdf": "PDF document", "j": "empty file", "k.svg": "SVG drawing"}
    assert taken(tmp_path, media=("image",)) == ["a.jfif", "b.jpe", "c.MPO", "d", "e.txt", "g.jpg"]


def test_walk__follows_linked_folders_and_never_in_a_circle(tmp_path):
    fill(tmp_path, {"elsewhere/b.jpg": JPEG, "photos/a.jpg": JPEG, "photos/sub/c.jpg": JPEG})
    photos = tmp_path / "photos"
    (photos / "drive").symlink_to(tmp_path / "elsewhere")
    (photos / "again").symlink_to(tmp_path / "elsewhere")
    (photos / "sub" / "up").symlink_to(photos)
    (photos / "self").symlink_to(photos / "self")
    (photos / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    assert taken(photos) == ["a.jpg", "again/b.jpg", "sub/c.jpg"]
    assert left_out(photos) == {
        "drive": "a folder that was entered already",
        "sub/up": "a folder that was entered already",
        "self": "too many levels of symbolic links",
        "gone.jpg": "a link to nothing",
    }


def test_walk__what_is_no_file_is_named_and_waited_for_never(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        fill(tmp_path, {".git/a.jpg": JPEG, "._b.jpg": JPEG, "b.jpg": JPEG})
        reasons = left_out(tmp_path)
    assert reasons == {".git": HIDDEN, "._b.jpg": HIDDEN, "socket": "a socket"}
    found = [one for one in walk(tmp_path) if not one.reason]
    assert [one.path.name for one in found] == ["b.jpg", "pipe.jpg"], "called like a picture, it is not left out"
    assert isinstance(found[1].error, NotAFileError) and "a pipe" in found[1].error.got


@contextmanager
def as_somebody_else():
    """Root may read everything, so for a while we are not root."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_walk__what_may_not_be_read_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the folders above are closed to others
    tmp_path.chmod(0o755)
    fill(tmp_path, {"a.jpg": JPEG, "b": JPEG, "c.jpg": JPEG, "locked/d.jpg": JPEG})
    for name in ("a.jpg", "b", "locked"):
        Path(name).chmod(0)
    Path("c.jpg").chmod(0o644)
    with as_somebody_else():
        found = {one.path.as_posix(): one for one in walk(Path())}
        (named,) = find([Path("locked")])
    Path("locked").chmod(0o755)
    assert {name: one.reason for name, one in found.items() if one.reason} == {
        "b": "permission denied",
        "locked": "permission denied",
    }
    assert isinstance(found["a.jpg"].error, FileUnreadableError) and isinstance(named.error, FileUnreadableError)
    assert found["c.jpg"].kind is not None


def test_find__a_file_that_vanishes_meanwhile_is_missing(tmp_path):
    fill(tmp_path, {"a.jpg": JPEG, "b.jpg": JPEG})
    found = find([tmp_path])
    first = next(found)
    first.path.unlink()
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(FileMissingError):
        read_image(first.path)
    assert [one.reason or type(one.error) for one in found] == [FileMissingError]


def test_walk__is_lazy_and_takes_any_depth(tmp_path, monkeypatch):
    depth = 1200
    monkeypatch.chdir(tmp_path)
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    Path("deep.jpg").write_bytes(JPEG)
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, {"a.jpg": JPEG})
    entries = walk(Path())
    assert next(entries).path == Path("a.jpg")
    (tmp_path / "a.jpg").unlink()
    assert len(next(entries).path.parts) == depth + 1
    while Path("d/d").exists():  # whoever removes the tests' folder calls himself once for each level
        Path("d/d").rename("e")
        shutil.rmtree("d")
        Path("e").rename("d")


def test_walk__bytes_that_are_no_text_are_a_name_like_any_other(tmp_path):
    fill(tmp_path, {os.fsdecode(b"caf\xe9.jpg"): JPEG})
    (found,) = walk(tmp_path)
    assert os.fsencode(found.path.name) == b"caf\xe9.jpg" and found.path.exists()


def test_find__files_folders_and_what_is_missing(tmp_path):
    fill(tmp_path, {"in/a.jpg": JPEG, "b": JPEG, "note.txt": b"text"})
    named = ["in", "b", "note.txt", "gone", "n" * 300]
    found = list(find(tmp_path / name for name in named))
    assert [one.kind.name if one.kind else one.error for one in found[:3]] == ["JPEG", "JPEG", "text"]
    assert [type(one.error) for one in found[3:]] == [FileMissingError, PathError]
    with pytest.raises(FileMissingError, match="no file"):
        list(walk(tmp_path / "gone"))


def test_list_images__says_what_it_left_out(tmp_path, capsys):
    fill(tmp_path, {"a.jpg": JPEG, "b.pdf": b"%PDF-1.4", "c.pdf": b"%PDF-1.4", ".hidden": b"x"})
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg"]
    logged = capsys.readouterr().err
    assert "files not looked at" in logged and "'PDF document': 2" in logged and HIDDEN not in logged


def test_list_images__none(tmp_path):
    with pytest.raises(NoImagesError, match="no image in"):
        list_images(tmp_path)
    with pytest.raises(NoImagesError, match="no folder"):
        list_images(tmp_path / "absent")
