import errno
import json
import os
import subprocess
import sys

import pytest

from streetvision_core.errors import StorageError
from streetvision_core.storage import atomic_write_bytes, atomic_write_json, file_sha256


def test_atomic_write_json__makes_folders_and_reads_back(tmp_path):
    path = tmp_path / "a" / "b.json"
    atomic_write_json(path, {"x": 1})
    assert json.loads(path.read_text()) == {"x": 1}
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]


def test_atomic_write_json__refuses_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        atomic_write_json(tmp_path / "a.json", {"x": float("nan")})


def test_atomic_write_bytes__full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    atomic_write_bytes(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        atomic_write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_atomic_write_bytes__a_really_full_disk(tmp_path):
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], check=False).returncode
    ):
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        atomic_write_bytes(tmp_path / "a", b"old")
        with pytest.raises(StorageError, match="No space left"):
            atomic_write_bytes(tmp_path / "a", b"x" * 200_000)
        assert (tmp_path / "a").read_bytes() == b"old"
        assert len(list(tmp_path.iterdir())) == 1
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_atomic_write_bytes__a_kill_leaves_old_or_new(tmp_path):
    path = tmp_path / "a"
    atomic_write_bytes(path, b"old")
    script = (
        "import os, sys, pathlib\n"
        "os.fsync = lambda _: os._exit(9)\n"
        "from streetvision_core.storage import atomic_write_bytes\n"
        "atomic_write_bytes(pathlib.Path(sys.argv[1]), b'new')\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == 9
    assert path.read_bytes() == b"old"


def test_file_sha256__known_value(tmp_path):
    atomic_write_bytes(tmp_path / "a", b"abc")
    assert file_sha256(tmp_path / "a").startswith("ba7816bf8f01cfea")
