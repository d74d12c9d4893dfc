"""What the night deletes: queries that are too old or too many, and executed notebooks of long ago."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import structlog

from streetvision_core.errors import StreetVisionError
from streetvision_core.labels import LabelStore, label_store_path
from streetvision_core.loop.workspace import Workspace
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.mining.retention import Pruned, prune_log
from streetvision_core.settings import Settings

_log = structlog.get_logger(__name__)


def prune_workspace(settings: Settings, now: dt.datetime) -> Pruned | None:
    """Deletes what `settings.retention` no longer keeps.

    Args:
        settings: the rules, and where the workspace lies.
        now: an aware time.

    Returns:
        What went; None where there is no query log.

    Raises:
        StorageError: a folder cannot be written.
        QueryLogError: the log is damaged or locked.
    """
    rules, workspace = settings.retention, Workspace.of(settings)
    for folder in _old_steps(workspace.reports, now.astimezone(dt.UTC).date() - dt.timedelta(days=rules.report_days)):
        shutil.rmtree(folder, ignore_errors=True)
    root = workspace.data / "queries"
    if not (root / "queries.sqlite").is_file():
        return None
    with QueryLog(root) as log:
        pruned = prune_log(log, rules, now, labelled_by_people(settings) if rules.keep_labelled else frozenset())
    _log.info("pruned", **pruned.to_dict())
    return pruned


def prune_at_night(settings: Settings, now: dt.datetime) -> None:
    """Like `prune_workspace`; a failure is logged and never undoes a night's work."""
    try:
        prune_workspace(settings, now)
    except (StreetVisionError, OSError) as error:
        _log.error("not pruned", error=f"{type(error).__name__}: {error}")


def labelled_by_people(settings: Settings) -> frozenset[str]:
    """Digests of the images whose label is a person's."""
    with LabelStore(label_store_path(settings)) as labels:
        return frozenset(image for image, label in labels.labels().items() if label.source == "person")


def _old_steps(reports: Path, first_kept: dt.date) -> list[Path]:
    """The folders with executed notebooks of days before the first one kept; their pages stay."""
    return [folder for folder in sorted(reports.glob("????-??-??*/steps")) if folder.parent.name[:10] < str(first_kept)]
