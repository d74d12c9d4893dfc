"""From the hub to the local folder: a plan first, then the bytes, then the digests.

Example:
    >>> plan = make_plan(["timm/vit_base_patch16_dinov3.lvd1689m"], settings)        # doctest: +SKIP
    >>> pull(plan, settings)                                                         # doctest: +SKIP
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import (
    GatedModelError,
    HubUnreachableError,
    ManifestError,
    MissingExtraError,
    ModelError,
    NoSpaceError,
)
from streetvision_core.models.hub import store
from streetvision_core.models.hub.catalogue import UNKNOWN, ModelEntry, entry
from streetvision_core.settings import Settings
from streetvision_core.storage import file_sha256

_SPARE_BYTES: Final = 2**30
"""Left free on the disk after a download."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file to download: its name, its bytes, and its sha256 where the hub tells it."""

    name: str
    bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """One model to download.

    Attributes:
        entry: what the catalogue says of it.
        commit: what will be downloaded.
        files: all of its files.
        missing_bytes: what is not in the local folder yet.
        folder: where it will lie.
    """

    entry: ModelEntry
    commit: str
    files: tuple[PlannedFile, ...]
    missing_bytes: int
    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "model": self.entry.id,
            "commit": self.commit,
            "pinned": self.entry.revision != UNKNOWN,
            "licence": self.entry.licence,
            "licence_url": self.entry.licence_url,
            "gating": self.entry.gating,
            "gating_note": self.entry.gating_note,
            "files": {file.name: file.bytes for file in self.files},
            "bytes": sum(file.bytes for file in self.files),
            "missing_bytes": self.missing_bytes,
            "folder": str(self.folder),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pull would download, before its first byte.

    Attributes:
        models: from the hub.
        trained: entries that are made here instead.
        free_bytes: on the disk of the folder.
    """

    models: tuple[PlannedModel, ...]
    trained: tuple[ModelEntry, ...]
    free_bytes: int

    @property
    def missing_bytes(self) -> int:
        """What is still to be downloaded."""
        return sum(model.missing_bytes for model in self.models)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "models": [model.to_dict() for model in self.models],
            "trained_here": {one.id: one.made_by for one in self.trained},
            "missing_bytes": self.missing_bytes,
            "free_bytes": self.free_bytes,
        }


def make_plan(ids: Sequence[str], settings: Settings, endpoint: str | None = None) -> Plan:
    """Asks the hub what is to be downloaded; no weights are.

    Args:
        ids: of the catalogue.
        settings: for the local folder.
        endpoint: another hub; None takes HF_ENDPOINT, else huggingface.co.

    Raises:
        ModelError: an id is unknown, or the repository holds no safe weights.
        GatedModelError: access was not granted, or no account is logged in.
        HubUnreachableError: no answer.
    """
    chosen = [entry(one) for one in dict.fromkeys(ids)]
    models = tuple(_planned(one, settings, endpoint) for one in chosen if one.source == "hub")
    trained = tuple(one for one in chosen if one.source == "trained")
    return Plan(models, trained, shutil.disk_usage(_existing(store.root(settings))).free)


def pull(
    plan: Plan, settings: Settings, endpoint: str | None = None, progress: Callable[[str], None] = lambda _: None
) -> list[store.Verified]:
    """Downloads what a plan names and checks every digest.

    A lost connection is taken up again within the file; a pull that was stopped goes on with the files not yet whole.

    Args:
        plan: of `make_plan`.
        settings: for the local folder.
        endpoint: as for `make_plan`.
        progress: told about each model before it is downloaded.

    Raises:
        NoSpaceError: the disk is too small; nothing was downloaded.
        ManifestError: a downloaded file is not the one the hub names.
        GatedModelError, HubUnreachableError: as `make_plan`; what is there stays, the next pull goes on.
    """
    if plan.missing_bytes + _SPARE_BYTES > plan.free_bytes:
        raise NoSpaceError(
            got=f"{plan.free_bytes / 1e9:.1f} GB free at {store.root(settings)}",
            allowed=f"{(plan.missing_bytes + _SPARE_BYTES) / 1e9:.1f} GB for this download and its working room",
            action="free space, pull fewer models, or set SV_MODELS__FOLDER to a larger disk",
            missing_bytes=plan.missing_bytes,
        )
    done = []
    for model in plan.models:
        progress(f"{model.entry.id}: {model.missing_bytes / 1e9:.2f} GB to download")
        _download(model, endpoint)
        done.append(store.record(model.entry.id, model.folder, model.commit, _checked(model)))
    return done


def _planned(one: ModelEntry, settings: Settings, endpoint: str | None) -> PlannedModel:
    hub = _hub()
    pinned = store.recorded_revision(one.id, settings)
    with _named_errors(one):
        api = hub.HfApi(endpoint=endpoint)
        info = api.model_info(one.id, revision=None if pinned == UNKNOWN else pinned, files_metadata=True, timeout=20)
    files = tuple(
        PlannedFile(sibling.rfilename, int(sibling.size or 0), sibling.lfs.sha256 if sibling.lfs else None)
        for sibling in info.siblings or ()
        if _needed(sibling.rfilename, one)
    )
    if not any(Path(file.name).suffix in store.WEIGHTS for file in files):
        raise ModelError(
            got=f"no safetensors among the files of {one.id} at {info.sha}",
            allowed=f"weights as {' or '.join(store.WEIGHTS)}; pickles are never downloaded",
            action="choose another revision or another model of the role: streetvision models list",
            model=one.id,
        )
    folder = store.folder_of(one.id, settings)
    missing = sum(file.bytes for file in files if not _has(folder, file))
    return PlannedModel(one, str(info.sha), files, missing, folder)


def _needed(name: str, one: ModelEntry) -> bool:
    safe = Path(name).suffix not in store.PICKLES and not name.startswith(".")
    return safe and any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in one.files)


def _has(folder: Path, file: PlannedFile) -> bool:
    path = folder / file.name
    return path.is_file() and path.stat().st_size == file.bytes


def _download(model: PlannedModel, endpoint: str | None) -> None:
    with _named_errors(model.entry):
        _hub().snapshot_download(
            model.entry.id,
            revision=model.commit,
            local_dir=model.folder,
            allow_patterns=[file.name for file in model.files],
            endpoint=endpoint,
            max_workers=4,
        )


def _checked(model: PlannedModel) -> dict[str, str]:
    """Digests of the large files, each compared with the hub's."""
    digests = {}
    for file in model.files:
        path = model.folder / file.name
        digests[file.name] = file_sha256(path)
        if file.sha256 is not None and digests[file.name] != file.sha256:
            path.unlink()
            raise ManifestError(
                got=f"{model.entry.id}: {file.name} with sha256 {digests[file.name][:12]}…",
                allowed=f"sha256 {file.sha256[:12]}…, as the hub names it",
                action=f"the file was removed; run again: streetvision models pull {model.entry.id}",
                model=model.entry.id,
                file=file.name,
            )
    return digests


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "gpu") from error
    return huggingface_hub


@contextmanager
def _named_errors(one: ModelEntry) -> Iterator[None]:
    """Turns the hub's errors into ours."""
    _hub()
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise GatedModelError(
            got=f"no access to {one.id} (licence: {one.licence})",
            allowed="an account to which its owner gave access",
            action=f"ask for it at https://huggingface.co/{one.id} ({one.gating_note or 'accept the licence there'}), "
            "then run: hf auth login",
            model=one.id,
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            got=f"no repository {one.id} for this account",
            allowed="a public repository, or one your account may read",
            action="run: hf auth login; or name another model of the role",
            model=one.id,
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(
            got=f"no revision {one.revision} of {one.id}",
            allowed="a commit of that repository",
            action="tell the maintainers: the catalogue's pin is wrong or was removed by the owner",
            model=one.id,
        ) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise _unreachable(one, error) from error
        raise NoSpaceError(
            got=f"a full disk while downloading {one.id}",
            allowed="room for the whole model",
            action="free space, or set SV_MODELS__FOLDER to a larger disk, and run again: it goes on",
            model=one.id,
        ) from error
    except (errors.HfHubHTTPError, errors.HTTPError) as error:
        raise _unreachable(one, error) from error


def _unreachable(one: ModelEntry, error: Exception) -> HubUnreachableError:
    return HubUnreachableError(
        got=f"{type(error).__name__} while asking for {one.id}: {str(error).splitlines()[0][:200]}",
        allowed="a hub that answers",
        action="mend the network or set HF_ENDPOINT to a mirror, and run again: it goes on with the files "
        f"that are missing; without a network, copy the files and run: streetvision models verify {one.id} --record",
        model=one.id,
    )


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if one.exists())
