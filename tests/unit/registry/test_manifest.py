from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streetvision_core.errors import ManifestError
from streetvision_core.registry.manifest import MANIFEST_FILE, check_file, check_folder, read_manifest, scan_folder

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SAFETENSORS = (2).to_bytes(8, "little") + b"{}" + b"\0" * 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "head.safetensors").write_bytes(SAFETENSORS)
    (tmp_path / "head.json").write_text("{}")
    manifest = scan_folder(tmp_path, NOW)
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(manifest.to_dict()))
    return tmp_path


def test_check_folder__whole(folder: Path) -> None:
    manifest = check_folder(folder)
    assert set(manifest.files) == {"head.safetensors", "head.json"}
    assert manifest.created_at == NOW
    assert manifest == read_manifest(folder)


def _edit(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "file", "got"),
    [
        (_edit("head.json", b"[]"), "head.json", "4f53cda18c2baa0c"),
        (_edit("head.safetensors", SAFETENSORS + b"\0"), "head.safetensors", ""),
        (lambda f: (f / "head.json").unlink(), "head.json", "no such file"),
        (_edit("extra.json", b"{}"), "extra.json", "does not name"),
        (lambda f: (f / MANIFEST_FILE).unlink(), MANIFEST_FILE, "FileNotFoundError"),
        (_edit(MANIFEST_FILE, b"{"), MANIFEST_FILE, "JSONDecodeError"),
        (_edit(MANIFEST_FILE, b"[]"), MANIFEST_FILE, "TypeError"),
        (lambda f: (f / "x.json").symlink_to("/etc/hostname"), "x.json", "does not name"),
    ],
)
def test_check_folder__names_the_file(folder: Path, harm: Callable[[Path], object], file: str, got: str) -> None:
    harm(folder)
    with pytest.raises(ManifestError, match="never edit a version in place") as raised:
        check_folder(folder)
    assert raised.value.data["file"] == file
    assert got in raised.value.data["got_sha256"]
    assert raised.value.data["want_sha256"] in str(raised.value)


def test_check_folder__manifest_of_other_files(folder: Path) -> None:
    data = json.loads((folder / MANIFEST_FILE).read_text())
    del data["files"]["head.json"]
    (folder / "head.json").unlink()
    (folder / MANIFEST_FILE).write_text(json.dumps(data))
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        check_folder(folder)


@pytest.mark.parametrize("name", ["../outside.json", "sub/file.json"])
def test_read_manifest__refuses_paths(folder: Path, name: str) -> None:
    data = json.loads((folder / MANIFEST_FILE).read_text())
    data["files"][name] = data["files"]["head.json"]
    (folder / MANIFEST_FILE).write_text(json.dumps(data))
    with pytest.raises(ManifestError):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("name", "content", "refused"),
    [
        ("a.safetensors", SAFETENSORS, False),
        ("a.safetensors", (640).to_bytes(8, "little") + b"{" + b" " * 700, False),
        ("a.safetensors", pickle.dumps({"w": [1.0] * 9}), True),
        ("a.safetensors", b"PK\x03\x04" + b"\0" * 99, True),
        ("a.safetensors", b"", True),
        ("a.onnx", b"\x08\x0a\x12", False),
        ("a.onnx", pickle.dumps([1]), True),
        ("a.onnx", b"PK\x03\x04rest", True),
        ("a.json", b"{}", False),
        ("a.md", b"# Card", False),
        ("a.pkl", b"{}", True),
        ("a.pt", b"{}", True),
        ("a.npz", b"PK", True),
        ("a.joblib", b"", True),
        ("a", b"{}", True),
    ],
)
def test_check_file__formats(tmp_path: Path, name: str, content: bytes, refused: bool) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    if not refused:
        check_file(path)
        return
    with pytest.raises(ManifestError, match="pickles can run code and are never loaded"):
        check_file(path)


def test_scan_folder__refuses_links_and_folders(tmp_path: Path) -> None:
    (tmp_path / "sub.json").mkdir()
    with pytest.raises(ManifestError, match="folder"):
        scan_folder(tmp_path, NOW)
    (tmp_path / "sub.json").rmdir()
    (tmp_path / "link.json").symlink_to("/etc/hostname")
    with pytest.raises(ManifestError, match="link"):
        scan_folder(tmp_path, NOW)
