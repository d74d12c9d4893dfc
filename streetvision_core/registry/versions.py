"""The registry: immutable version folders, and one history that says which of them serves.

Example:
    >>> import tempfile
    >>> registry = Registry(Path(tempfile.mkdtemp()))
    >>> version = registry.create({"head.json": b"{}"}, {"made_by": "an example"})
    >>> registry.install_first(version, by="loop").action
    'first'
    >>> registry.alias("champion").name == version.name
    True
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import structlog
from filelock import FileLock

from streetvision_core.errors import ManifestError, RegistryError, StorageError
from streetvision_core.registry import _staging
from streetvision_core.registry.decision import GateDecision, Override
from streetvision_core.registry.manifest import Manifest, check_folder, read_manifest
from streetvision_core.registry.promotions import Event, PromotionLog, Served
from streetvision_core.settings import Settings

Alias = Literal["champion", "challenger"]
CARD_FILE: Final = _staging.CARD_FILE
HISTORY_FILE: Final = "promotions.jsonl"
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


class Registry:
    """Versions under one folder.

    Args:
        root: the folder, usually `data/models`.
        mirror: called with the registry after every change, to show it elsewhere; must not raise.
        clock: gives the time of events.
    """

    def __init__(
        self,
        root: Path,
        mirror: Callable[[Registry], None] | None = None,
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
            now = self._clock().astimezone(UTC)
            name = _staging.store(self.root, contents, card, now, {v.digest: v.name for v in self.list()})
        self._reflect()
        return self.get(name)

    def list(self) -> tuple[ModelVersion, ...]:
        """Every version whose manifest and card can be read, oldest first; files are not checked."""
        versions = []
        for name in self._names():
            try:
                versions.append(self._read(name))
            except ManifestError as error:
                _log.warning("version passed over", version=name, error=str(error))
        return tuple(versions)

    def get(self, name: str, check: bool = True) -> ModelVersion:
        """The version of a name, of a number such as `v0003`, or of an alias.

        Args:
            name: what to look for.
            check: compare every file with the manifest.

        Raises:
            RegistryError: no such version.
            ManifestError: a file differs from the manifest.
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
                action="name one of them, or register a version with Registry.create",
                name=name,
            )
        version = self._read(found[-1])
        if check:
            version.check()
        return version

    def alias(self, name: Alias) -> ModelVersion:
        """The checked version an alias stands for.

        Raises:
            RegistryError: the alias stands for none.
        """
        return self.get(name)

    def champion(self) -> ModelVersion | None:
        """The version that serves, checked; None before the first."""
        return self.get("champion") if self.promotions.champion() else None

    def challenger(self) -> ModelVersion | None:
        """The version under test, checked; None if there is none."""
        return self.get("challenger") if self.promotions.challenger() else None

    def history(self) -> tuple[Event, ...]:
        """Every event, oldest first."""
        return self.promotions.history()

    def served_at(self, time: datetime) -> Served | None:
        """Which version served at an aware time, and why."""
        return self.promotions.served_at(time)

    def install_first(self, version: ModelVersion | str, by: str) -> Event:
        """Makes a version champion where there is none to compare it with.

        Raises:
            RegistryError: there is a champion already.
        """
        with self._locked():
            champion = self.promotions.champion()
            if champion is not None:
                raise RegistryError(f"{champion} serving already", "an empty history", "let the gate decide")
            return self._append("first", version, by, "the first version: there is nothing to compare it with")

    def challenge(self, version: ModelVersion | str, by: str = "loop", reason: str = "put up for the gate") -> Event:
        """Names the challenger."""
        with self._locked():
            return self._append("challenge", version, by, reason)

    def refuse(self, version: ModelVersion | str, decision: GateDecision) -> Event:
        """Keeps the champion and records why the challenger was refused."""
        with self._locked():
            return self._append("refuse", version, "gate", " ".join(decision.reasons), decision.to_dict())

    def promote(self, version: ModelVersion | str, decision: GateDecision | Override) -> Event:
        """Makes a version champion. A kill at any point leaves the old champion or the new one.

        Raises:
            RegistryError: the decision does not promote, or is about other versions; the version serves already.
            ManifestError: a file of the version differs from its manifest.
        """
        with self._locked():
            name = self.get(_name(version)).name
            champion = self.promotions.champion()
            if name == champion:
                raise RegistryError(f"{name}, which serves already", "another version", "nothing needs to be done")
            if isinstance(decision, Override):
                return self._append("override", name, decision.by, decision.reason)
            decision.check(champion or "", name)
            return self._append("promote", name, "gate", " ".join(decision.reasons), decision.to_dict())

    def rollback(self, by: str, reason: str, to: str | None = None) -> Event:
        """Makes an earlier champion serve again.

        Args:
            by: who decides.
            reason: why.
            to: a version that has served; None takes the one before the present one.

        Raises:
            RegistryError: there is none, or `to` never served.
        """
        override = Override(by, reason)
        with self._locked():
            champion = self.promotions.champion()
            target = self.promotions.before() if to is None else self.get(to, check=False).name
            served = {e.version for e in self.history() if e.action not in ("challenge", "refuse")}
            if target is None or target not in served - {champion}:
                raise RegistryError(
                    got=f"a rollback from {champion} to {target or 'nothing'}",
                    allowed=", ".join(sorted(served - {champion})) or "nothing: only one version has ever served",
                    action="name a version that has served before, or promote one through the gate",
                )
            return self._append("rollback", target, override.by, override.reason)

    def _append(
        self,
        action: Literal["first", "promote", "override", "rollback", "challenge", "refuse"],
        version: ModelVersion | str,
        by: str,
        reason: str,
        decision: Mapping[str, Any] | None = None,
    ) -> Event:
        name = self.get(_name(version), check=action not in ("refuse",)).name
        event = self.promotions.append(action, name, by=by, reason=reason, now=self._clock(), decision=decision)
        self._reflect()
        return event

    def _names(self) -> tuple[str, ...]:
        return tuple(sorted(p.name for p in self.root.glob("v*-*") if p.is_dir()))

    def _read(self, name: str) -> ModelVersion:
        folder = self.root / name
        manifest = read_manifest(folder)
        try:
            card = json.loads((folder / CARD_FILE).read_text())
        except (OSError, ValueError) as error:
            raise ManifestError(
                f"{CARD_FILE} in {name}: {error}", "the file as it was registered", "roll back to a whole version"
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
                f"{error.strerror} for {self.root}", "a writable folder", "mend its rights", errno=error.errno
            ) from error
        # A soft lock, a mere file, would survive a kill.
        with FileLock(self.root / ".lock", fallback_to_soft=False):
            yield


def open_registry(settings: Settings) -> Registry:
    """The workspace's registry, mirrored into MLflow (SQLite file and local artifacts under `data/mlflow`)."""
    from streetvision_core.registry.mirror import MlflowMirror

    data = settings.paths.resolve("data")
    return Registry(data / "models", mirror=MlflowMirror(data / "mlflow"))


def _name(version: ModelVersion | str) -> str:
    return version if isinstance(version, str) else version.name
