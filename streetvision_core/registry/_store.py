"""Immutable version folders under one root: made whole or not at all, looked up by name, number or alias."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog
from filelock import FileLock

from streetvision_core.errors import ManifestError, RegistryError, StorageError
from streetvision_core.registry import _staging
from streetvision_core.registry.events import Event
from streetvision_core.registry.manifest import Manifest, check_folder, read_manifest
from streetvision_core.registry.promotions import PromotionLog

CARD_FILE: Final = _staging.CARD_FILE
HISTORY_FILE: Final = "promotions.jsonl"
HEAD_FILE: Final = "head.json"
"""Where a version's head says which backbone and preprocessing its features come from."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered version.

    Attributes:
        name: `v0001-` and the first eight digits of the digest.
        folder: where its files lie; never changed after registration.
        created_at: aware, UTC.
        digest: hex sha256 over all its files.
        card: what `card.json` says.
    """

    name: str
    folder: Path
    created_at: datetime
    digest: str
    card: Mapping[str, Any]

    def check(self) -> Manifest:
        """Compares every file with the manifest.

        Raises:
            ManifestError: names the first file that differs.
        """
        return check_folder(self.folder)

    def path(self, file_name: str) -> Path:
        """The path of one of its files."""
        return self.folder / file_name

    @property
    def made_with(self) -> tuple[str, str] | None:
        """Backbone and preprocessing of its head; None where the version has no readable head."""
        try:
            head = json.loads(self.path(HEAD_FILE).read_bytes())
            return str(head["backbone"]), str(head["preprocessing"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None


class VersionStore:
    """Versions under one folder.

    Args:
        root: the folder, usually `data/models`.
        mirror: called with the registry after every change, to show it elsewhere; must not raise.
        clock: gives the time of events.
    """

    def __init__(
        self,
        root: Path,
        mirror: Callable[[Any], None] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.root = root
        self.promotions = PromotionLog(root / HISTORY_FILE)
        self._mirror = mirror
        self._clock = clock

    def create(self, files: Mapping[str, bytes | Path] | Path, card: Mapping[str, Any]) -> ModelVersion:
        """Registers files as a new version, or returns the version that already holds the same bytes.

        Args:
            files: content or source path by file name, or a flat folder.
            card: JSON-ready facts: data, parameters, scores, licences. Kept as `card.json`.

        Raises:
            ManifestError: a file is no plain data file.
            RegistryError: a name cannot be used, or the card is not JSON.
            StorageError: the disk is full; nothing is registered then.
        """
        contents = {p.name: p for p in sorted(files.iterdir())} if isinstance(files, Path) else dict(files)
        with self._locked():
            name = _staging.store(self.root, contents, card, self._now(), self._known())
        self._reflect()
        return self.get(name)

    def take_in(self, folder: Path, card: Mapping[str, Any], manifest: Manifest) -> ModelVersion:
        """Registers the files of a version made elsewhere, with its date; see `archive.import_version`.

        Raises:
            ManifestError: the files do not come to the manifest's digest.
        """
        files = {name: folder / name for name in manifest.files if name != CARD_FILE}
        with self._locked():
            name = _staging.store(self.root, files, card, manifest.created_at, self._known(), manifest.digest)
        self._reflect()
        return self.get(name)

    def list(self) -> tuple[ModelVersion, ...]:
        """Every version whose manifest and card can be read, oldest first; files are not checked."""
        versions = []
        for name in self._names():
            try:
                versions.append(self._read(name))
            except ManifestError as error:
                _log.warning("version skipped", version=name, error=str(error))
        return tuple(versions)

    def get(self, name: str, check: bool = True) -> ModelVersion:
        """The version of a name, of a number such as `v0003`, or of an alias.

        Args:
            name: what to look for.
            check: compare every file with the manifest, and the manifest with what was put into service.

        Raises:
            RegistryError: no such version.
            ManifestError: a file differs from the manifest, or the manifest from what was put into service.
        """
        wanted: str | None = name
        if name in ("champion", "challenger"):
            wanted = getattr(self.promotions, name)()
        names = self._names()
        found = [n for n in names if wanted is not None and (n == wanted or n.split("-")[0] == wanted)]
        if not found:
            raise RegistryError(
                got=f"{name!r}, which is no version here",
                allowed=", ".join((*names, "champion", "challenger")) if names else "nothing yet: no version exists",
                action="name one that `streetvision versions list` shows",
                name=name,
            )
        version = self._read(found[-1])
        if check:
            version.check()
            _check_recorded(version, self.promotions.salvage())
        return version

    def history(self) -> tuple[Event, ...]:
        """Every event, oldest first."""
        return self.promotions.history()

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)

    def _known(self) -> dict[str, str]:
        return {version.digest: version.name for version in self.list()}

    def _names(self) -> tuple[str, ...]:
        return tuple(sorted(p.name for p in self.root.glob("v*-*") if p.is_dir()))

    def _read(self, name: str) -> ModelVersion:
        folder = self.root / name
        manifest = read_manifest(folder)
        try:
            card = json.loads((folder / CARD_FILE).read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise ManifestError(
                got=f"{CARD_FILE} in {name}: {error}",
                allowed="the file as it was registered",
                action="bring the file back from a backup, or run: streetvision versions rollback",
            ) from error
        return ModelVersion(name, folder, manifest.created_at, manifest.digest, card)

    def _reflect(self) -> None:
        if self._mirror is not None:
            self._mirror(self)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"{error.strerror} for {self.root}", "a writable folder", "fix its rights", errno=error.errno
            ) from error
        # A soft lock, a mere file, would survive a kill.
        with FileLock(self.root / ".lock", fallback_to_soft=False):
            yield


def _check_recorded(version: ModelVersion, history: Sequence[Event]) -> None:
    """Refuses a folder that was exchanged as a whole, manifest and all, after the history named its digest."""
    recorded = next((e.sha256 for e in reversed(history) if e.version == version.name and e.sha256), "")
    if recorded and recorded != version.digest:
        raise ManifestError(
            got=f"{version.name} with the digest {version.digest[:12]}",
            allowed=f"{recorded[:12]}, as the promotions history says",
            action="bring the folder back from a backup, or run: streetvision versions rollback",
            folder=str(version.folder),
            got_sha256=version.digest,
            want_sha256=recorded,
        )
