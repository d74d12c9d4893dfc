"""The local folder of big models: where each lies, and whether it is what was recorded.

A model's folder is used only with a `manifest.json` that names every file, its bytes and its sha256. Digests are taken
again whenever a file's size or time differs from when they were last taken, so a checked 20 GB model loads at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import ManifestError, ModelError
from streetvision_core.models.hub.catalogue import UNKNOWN, entries, entry, wanted
from streetvision_core.models.hub.content import content_fault
from streetvision_core.settings import Settings
from streetvision_core.storage import atomic_write_json, file_sha256

MANIFEST: Final = "manifest.json"
_STAMP: Final = ".checked.json"
_FORMAT: Final = "model/1"
WEIGHTS: Final = (".safetensors", ".onnx")
NEEDED_ROLES: Final = frozenset({"backbone", "detector", "vlm", "ocr"})
"""Without a model of these a stage of the cascade cannot run; the others are for video, review and synthesis."""
PICKLES: Final = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".msgpack", ".h5")
"""Formats that can run code when read, or that we never load; none may lie in a model's folder."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check of one model's folder found.

    Attributes:
        model: its id.
        folder: where it lies.
        revision: the commit it was pulled at, `local` where it was put there by hand.
        files: number of files with their recorded digest.
        bytes: of all of them.
    """

    model: str
    folder: Path
    revision: str
    files: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "model": self.model,
            "folder": str(self.folder),
            "revision": self.revision,
            "files": self.files,
            "bytes": self.bytes,
        }


def root(settings: Settings) -> Path:
    """The folder of all big models: `models.folder`, else `hub` in the data folder."""
    chosen = settings.models.folder
    return (settings.paths.home / chosen).resolve() if chosen is not None else settings.paths.resolve("data") / "hub"


def folder_of(model_id: str, settings: Settings) -> Path:
    """Where a model lies or would lie: `zai-org/GLM-4.6V-Flash` in a folder of that name."""
    return root(settings).joinpath(*model_id.split("/"))


def resolve(model_id: str, settings: Settings) -> Path:
    """The local folder of a model, checked; nothing is downloaded.

    Args:
        model_id: an id of the catalogue, or of any folder that `record` was called on.
        settings: for the folder of big models.

    Raises:
        ModelError: the model is not there, or its folder holds a pickle.
        ManifestError: a file is missing or is not the recorded one.
    """
    folder = folder_of(model_id, settings)
    if not folder.is_dir():
        raise ModelError(
            got=f"no model {model_id!r} in {root(settings)}",
            allowed="a model that was pulled, trained or put there",
            action=how_to_get(model_id),
            model=model_id,
            folder=str(folder),
        )
    verify_folder(model_id, folder, again=False)
    return folder


def require(settings: Settings) -> None:
    """Refuses to start without the models that the cascade of a profile needs; nothing is loaded.

    Raises:
        ModelError: names every missing one, and the commands that bring them.
    """
    missing = [one for one in wanted(settings) if one.role in _needed(settings) and not _is_here(one.id, settings)]
    if not missing:
        return
    pulled = [one.id for one in missing if one.source == "hub"]
    steps = [f"run: streetvision models pull {' '.join(pulled)}"] if pulled else []
    steps += [f"make {one.id}: {one.made_by}" for one in missing if one.source == "trained"]
    raise ModelError(
        got=f"no {', no '.join(f'{one.role} {one.id}' for one in missing)} in {root(settings)}",
        allowed=f"every model of the profile {settings.profile}, or the profile embedded, which needs none",
        action="; ".join(steps),
        models=[one.id for one in missing],
    )


def _needed(settings: Settings) -> frozenset[str]:
    return NEEDED_ROLES - {"vlm"} if settings.vlm.backend == "server" else NEEDED_ROLES


def _is_here(model_id: str, settings: Settings) -> bool:
    return (folder_of(model_id, settings) / MANIFEST).is_file()


def how_to_get(model_id: str) -> str:
    """The exact step that brings a model here."""
    known = next((one for one in entries() if one.id == model_id), None)
    if known is None:
        return f"put its files there and run: streetvision models verify {model_id} --record"
    if known.source == "trained":
        return f"make it: {known.made_by}"
    return f"run: streetvision models pull {model_id}"


def verify_folder(model_id: str, folder: Path, *, again: bool = True) -> Verified:
    """Compares a model's folder with its manifest.

    Args:
        model_id: the model.
        folder: its folder.
        again: whether to take every digest again, even of files that have not changed since the last time.

    Raises:
        ModelError: a pickle lies in the folder.
        ManifestError: no manifest, a file missing, or another digest.
    """
    refuse_pickles(model_id, folder)
    manifest = _read_manifest(model_id, folder)
    stamp = {} if again else _read_stamp(folder)
    seen: dict[str, list[int]] = {}
    for name, noted in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise _not_recorded(model_id, f"no file {name}", name)
        state = [path.stat().st_size, path.stat().st_mtime_ns]
        if state[0] != noted["bytes"]:
            raise _not_recorded(model_id, f"{name} of {state[0]} bytes instead of {noted['bytes']}", name)
        if stamp.get(name) != state and file_sha256(path) != noted["sha256"]:
            raise _not_recorded(model_id, f"{name} with another sha256", name)
        seen[name] = state
    if stamp != seen:
        atomic_write_json(folder / _STAMP, seen)
    total = sum(state[0] for state in seen.values())
    return Verified(model_id, folder, str(manifest["revision"]), len(seen), total)


def record(model_id: str, folder: Path, revision: str = "local", digests: dict[str, str] | None = None) -> Verified:
    """Writes the manifest of a folder as it is now.

    Args:
        model_id: the model.
        folder: holds its files.
        revision: the commit they came from; `local` where they were made or put here.
        digests: sha256 by file name, where already known.

    Raises:
        ModelError: the folder is absent, holds a pickle, no weights, or a file that is not what its name says.
    """
    refuse_pickles(model_id, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and _is_part(path.relative_to(folder)))
    if not any(path.suffix in WEIGHTS for path in files):
        raise ModelError(
            got=f"no weights in {folder}",
            allowed=f"files that end in {' or '.join(WEIGHTS)}",
            action=how_to_get(model_id),
            model=model_id,
        )
    for path in files:
        if fault := content_fault(path):
            name = path.relative_to(folder).as_posix()
            raise ModelError(
                got=f"{model_id}: {name} {fault}",
                allowed="whole files, each in the format of its name",
                action=f"fetch {name} again ({how_to_get(model_id)})",
                model=model_id,
                file=name,
            )
    known = digests or {}
    noted = {}
    for path in files:
        name = path.relative_to(folder).as_posix()
        noted[name] = {"bytes": path.stat().st_size, "sha256": known.get(name) or file_sha256(path)}
    atomic_write_json(folder / MANIFEST, {"format": _FORMAT, "model": model_id, "revision": revision, "files": noted})
    return verify_folder(model_id, folder, again=False)


def recorded_revision(model_id: str, settings: Settings) -> str:
    """The commit a model is pinned to: the catalogue's, else what the first pull recorded, else `unknown`."""
    pinned = entry(model_id).revision
    if pinned != UNKNOWN:
        return pinned
    try:
        noted = str(json.loads((folder_of(model_id, settings) / MANIFEST).read_text())["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return UNKNOWN
    return UNKNOWN if noted == "local" else noted


def refuse_pickles(model_id: str, folder: Path) -> None:
    """Raises `ModelError` where a file of the folder could run code when it is read."""
    found = sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix in PICKLES)
    if found:
        raise ModelError(
            got=f"{', '.join(found[:3])} in the folder of {model_id}",
            allowed=f"weights as {' or '.join(WEIGHTS)}; a pickle can run code when it is read",
            action=f"remove it from {folder}, or convert it to safetensors",
            model=model_id,
            files=found,
        )


def _is_part(name: Path) -> bool:
    """Whether a file is the model's: not the manifest, not hidden, not the downloader's own."""
    return name.as_posix() != MANIFEST and not any(part.startswith(".") for part in name.parts)


def _read_manifest(model_id: str, folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        if manifest["format"] != _FORMAT or not manifest["files"] or "revision" not in manifest:
            raise ValueError(f"format {manifest['format']!r}")
        if any(Path(name).is_absolute() or ".." in Path(name).parts for name in manifest["files"]):
            raise ValueError("a file outside the folder")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            got=f"{folder / MANIFEST}: {type(error).__name__} {error}",
            allowed=f"a manifest of the form {_FORMAT}",
            action=f"{how_to_get(model_id)}; or, if you put the files there: streetvision models verify {model_id} "
            "--record",
            model=model_id,
        ) from error
    return manifest


def _read_stamp(folder: Path) -> dict[str, list[int]]:
    try:
        stamp: dict[str, list[int]] = json.loads((folder / _STAMP).read_text())
        return stamp if isinstance(stamp, dict) else {}
    except (OSError, ValueError):
        return {}


def _not_recorded(model_id: str, got: str, name: str) -> ManifestError:
    return ManifestError(
        got=f"{model_id}: {got}",
        allowed=f"the files of its {MANIFEST}",
        action=how_to_get(model_id),
        model=model_id,
        file=name,
    )
