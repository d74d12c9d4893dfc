from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streetvision_core.errors import ManifestError, RegistryError, StorageError, StreetVisionError
from streetvision_core.registry.archive import export_version, import_version
from streetvision_core.registry.versions import ModelVersion, Registry

MADE = datetime(2026, 3, 1, tzinfo=UTC)
Members = dict[str, bytes]


@pytest.fixture
def here(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "here", clock=lambda: MADE)


@pytest.fixture
def there(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "there")
    registry.install_first(registry.create({"head.json": b"[]"}, {}), by="loop")
    return registry


@pytest.fixture
def version(here: Registry) -> ModelVersion:
    return here.create({"head.json": b'{"backbone": "b"}', "notes.md": b"# Notes"}, {"mcc": 0.7, "by": "Zoë"})


def test_export_import__is_the_same_version_and_serves_nothing(
    here: Registry, there: Registry, version: ModelVersion, tmp_path: Path
) -> None:
    export_version(here, "v0001", tmp_path)
    path = tmp_path / f"{version.name}.zip"
    got = import_version(there, path, by="Ada")
    assert (got.digest, got.created_at, dict(got.card)) == (version.digest, MADE, dict(version.card))
    assert got.name == f"v0002-{version.digest[:8]}"
    assert there.promotions.serving() == there.get("v0001").name
    event = there.history()[-1]
    assert (event.action, event.by, event.sha256) == ("import", "Ada", version.digest)
    assert version.name in event.reason
    with pytest.raises(RegistryError, match="neither served nor passed"):
        there.pin(got, "Ada", "it came by mail")
    with pytest.raises(RegistryError, match="--override"):
        there.approve(got, "Ada")
    assert import_version(there, path, by="Ada") == got
    assert len(there.history()) == 2, "the same archive again changes nothing"


def test_export__never_over_another_file(here: Registry, version: ModelVersion, tmp_path: Path) -> None:
    path = tmp_path / "mine.zip"
    path.write_text("mine")
    with pytest.raises(StorageError, match="file exists"):
        export_version(here, version.name, path)
    assert path.read_text() == "mine"


def _edit(name: str, old: bytes, new: bytes) -> Callable[[Members], Members]:
    return lambda members: {**members, name: members[name].replace(old, new)}


def _facts(**changes: object) -> Callable[[Members], Members]:
    def change(members: Members) -> Members:
        return {**members, "export.json": json.dumps({**json.loads(members["export.json"]), **changes}).encode()}

    return change


HARMS: dict[str, tuple[Callable[[Members], Members], type[StreetVisionError], str]] = {
    "a weight": (_edit("head.json", b'"b"', b'"c"'), ManifestError, "head.json"),
    "the card": (_edit("card.json", b"0.7", b"0.9"), ManifestError, "card.json"),
    "the date": (_edit("manifest.json", b"2026-03", b"2026-04"), ManifestError, "manifest.json"),
    "one file less": (lambda m: {k: v for k, v in m.items() if k != "notes.md"}, ManifestError, "notes.md"),
    "one file more": (lambda m: {**m, "more.json": b"{}"}, ManifestError, "more.json"),
    "a path out": (lambda m: {**m, "../x.json": b"{}"}, ManifestError, "../x.json"),
    "a longer file": (_edit("notes.md", b"# Notes", b"# Notes" * 9), ManifestError, "63 bytes"),
    "another format": (_facts(format="other/1"), RegistryError, "the format 'other/1'"),
    "no facts": (lambda m: {k: v for k, v in m.items() if k != "export.json"}, RegistryError, "no export.json"),
    "facts no JSON": (lambda m: {**m, "export.json": b"["}, RegistryError, "cannot be read"),
    "facts deeply nested": (lambda m: {**m, "export.json": b"[" * 100_000}, RegistryError, "cannot be read"),
    "no manifest": (lambda m: {k: v for k, v in m.items() if k != "manifest.json"}, RegistryError, "no manifest"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_import__refuses_what_was_changed_on_the_way(
    here: Registry, there: Registry, version: ModelVersion, tmp_path: Path, harm: str
) -> None:
    change, error, message = HARMS[harm]
    path, harmed = tmp_path / "good.zip", tmp_path / "harmed.zip"
    export_version(here, version.name, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(harmed, "w") as archive:
        for name, data in change(members).items():
            archive.writestr(name, data)
    with pytest.raises(error) as caught:
        import_version(there, harmed, by="Ada")
    assert message in str(caught.value)
    assert len(there.list()) == 1
    assert not list(there.root.glob(".staging-*"))


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all"])
def test_import__no_zip(there: Registry, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with pytest.raises(RegistryError, match=r"x\.zip, which is no archive of a version"):
        import_version(there, path, by="Ada")
    with pytest.raises(RegistryError, match="no archive"):
        import_version(there, tmp_path / "absent.zip", by="Ada")
    for cut in (40, 200):
        path.write_bytes(b"PK\x03\x04" + b"\0" * cut)
        with pytest.raises(RegistryError):
            import_version(there, path, by="Ada")
