"""Moves a workspace of format 1 to format 2: labels from files a day into the label store.

Nothing is removed. Each step may be repeated, and `streetvision.yaml` is written last, so that a killed run goes on
where it was by being started again.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import QueryLogError, WorkspaceError
from streetvision_core.labels import Decision, LabelStore, label_store_path
from streetvision_core.labels.migrate import decisions_of_old_days
from streetvision_core.ops._backup import back_up
from streetvision_core.settings import Settings
from streetvision_core.workspace import FORMAT, Workspace, write_format

BACKUP: Final = "backup-format-1.tar"
SUPERSEDED: Final = ("decisions.csv", "review.csv", "queue.csv")
"""Files of a day that nothing reads any more once their labels are in the store."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is in an old workspace.

    Attributes:
        home: the workspace.
        format: its format now.
        days: days with labels in files.
        decisions: by source, how many decisions these files hold.
        people: by name, how many of them a person made.
        unknown: decisions about images that the query log does not hold.
        superseded: files that nothing reads any more afterwards.
    """

    home: Path
    format: int
    days: tuple[str, ...]
    decisions: dict[str, int]
    people: dict[str, int]
    unknown: int
    superseded: tuple[Path, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {**asdict(self), "home": str(self.home), "superseded": [str(path) for path in self.superseded]}


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration did.

    Attributes:
        plan: what was found.
        backup: the tar file; None where there was nothing to do.
        backup_bytes: its size.
        recorded: decisions that were new to the label store.
        set_aside: decisions kept apart because nobody knows their image.
        removed: superseded files that were removed.
    """

    plan: Plan
    backup: Path | None = None
    backup_bytes: int = 0
    recorded: int = 0
    set_aside: int = 0
    removed: tuple[Path, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        own = {"backup": str(self.backup) if self.backup else None, "backup_bytes": self.backup_bytes}
        counts = {"recorded": self.recorded, "set_aside": self.set_aside, "removed": [str(p) for p in self.removed]}
        return {**self.plan.to_dict(), **own, **counts}


def plan_migration(workspace: Workspace, settings: Settings) -> Plan:
    """Looks at a workspace and writes nothing.

    Raises:
        LabelStoreError: a label file of a day cannot be read.
    """
    days, decisions = _data(settings) / "days", _old_decisions(settings)
    known = _known_images(settings)
    superseded = sorted(path for name in SUPERSEDED for path in days.glob(f"????-??-??/{name}"))
    people = [d.who for d in decisions if d.source == "person"]
    return Plan(
        workspace.home,
        workspace.format,
        tuple(sorted({path.parent.name for path in days.glob("????-??-??/annotations.json")})),
        dict(Counter(d.source for d in decisions)),
        dict(Counter(people)),
        sum(d.image not in known for d in decisions),
        tuple(superseded),
    )


def migrate_workspace(workspace: Workspace, settings: Settings) -> Migrated:
    """Backs the workspace up, records every old decision in the label store, checks them, and writes the format.

    Raises:
        LabelStoreError: a label file of a day cannot be read.
        StorageError: the disk is full or read-only; what was there before is untouched.
        WorkspaceError: a decision is missing from the store; the format is not written then.
    """
    plan = plan_migration(workspace, settings)
    if plan.format >= FORMAT and workspace.file.is_file():
        return Migrated(plan)
    backup = workspace.home / BACKUP
    size = back_up(_data(settings), backup)
    decisions, known = _old_decisions(settings), _known_images(settings)
    with LabelStore(label_store_path(settings)) as store:
        recorded = store.record_decisions(decisions, known.__contains__)
        _check(decisions, store)
    write_format(workspace.home)
    return Migrated(plan, backup, size, recorded.new, len(recorded.set_aside))


def remove_superseded(done: Migrated, settings: Settings) -> Migrated:
    """Removes the files that nothing reads any more.

    Raises:
        WorkspaceError: the workspace is not migrated, or a decision in them is missing from the label store.
    """
    if not (done.plan.home / BACKUP).is_file():
        raise WorkspaceError(
            got=f"no {BACKUP} in {done.plan.home}",
            allowed="a workspace whose backup still exists",
            action="keep the old files, or move them away by hand",
        )
    with LabelStore(label_store_path(settings)) as store:
        _check(_old_decisions(settings), store)
    for path in done.plan.superseded:
        path.unlink(missing_ok=True)
    return replace(done, removed=done.plan.superseded)


def _check(decisions: Sequence[Decision], store: LabelStore) -> None:
    """Compares row by row: each old decision stands in the store, or only repeats one that does."""
    standing = {decision.content for decision in (*store.decisions(), *store.unknown())}
    missing = [decision for decision in decisions if decision.content not in standing]
    if missing:
        first = missing[0]
        raise WorkspaceError(
            got=f"{len(missing)} decisions that the label store lacks, the first by {first.who} about {first.query}",
            allowed="all of them",
            action="undo nothing while a workspace migrates; run: streetvision migrate",
            missing=[decision.query for decision in missing],
        )


def _old_decisions(settings: Settings) -> list[Decision]:
    return decisions_of_old_days(_data(settings) / "days")


def _known_images(settings: Settings) -> set[str]:
    """Images of the query log, which is only read: opening it as usual would bring its tables up to date."""
    path = _data(settings) / "queries" / "queries.sqlite"
    if not path.is_file():
        return set()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            return {str(row[0]) for row in db.execute("SELECT DISTINCT sha256 FROM queries")}
    except sqlite3.Error as error:
        raise QueryLogError(
            got=f"{error} in {path}",
            allowed="a sound query log",
            action=f"restore {path} from a backup, or move it away; then run: streetvision migrate",
            path=str(path),
        ) from error


def _data(settings: Settings) -> Path:
    return settings.paths.resolve("data")
