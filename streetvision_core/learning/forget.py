"""Forgetting a photograph: everywhere it lies or is named, by the sha256 of its bytes.

What is deleted: the queries and the image, features, decisions, rows of data sets, lines and entries about it in what
nights left, pages that show it, the workbench's database (it is filled again). What is not undone: a version that
learned from it. Those are named, so that a person can decide to retrain.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from streetvision_core.data.feature_store import FeatureStore, store_path
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError, StreetVisionError
from streetvision_core.labels import LabelStore, label_store_path
from streetvision_core.learning._mentions import Mentions
from streetvision_core.learning.dataset import Dataset
from streetvision_core.mining.querylog import QueryLog, is_digest
from streetvision_core.registry.versions import Registry
from streetvision_core.settings import Settings


@dataclass(slots=True)
class Forgotten:
    """What went, and what a person has to look at.

    Attributes:
        images: the digests that were asked for.
        queries: queries of the log.
        features: rows of the feature store.
        decisions: records of the label store.
        rows: rows of data sets.
        edited: files that named an image and were written again without it.
        removed: files that showed an image, or whose form allows no other way.
        versions: versions that learned from an image or were measured on it; they are not retrained.
        left: what could not be looked into, and why.
    """

    images: tuple[str, ...]
    queries: int = 0
    features: int = 0
    decisions: int = 0
    rows: int = 0
    edited: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


def forget_images(settings: Settings, registry: Registry, digests: Iterable[str]) -> Forgotten:
    """Deletes photographs from the whole workspace; a second call with the same digests finds nothing more.

    Args:
        settings: where the workspace lies.
        registry: whose versions are named.
        digests: hex sha256 of the images' bytes.

    Raises:
        DataError: what is no such digest.
        StorageError: a file cannot be written; call it again.
    """
    wanted = tuple(dict.fromkeys(digests))
    for digest in wanted:
        if not is_digest(digest):
            raise DataError(
                got=f"{digest[:80]!r}",
                allowed="the sha256 of a photograph, 64 hexadecimal digits, or the photograph's file",
                action="run `streetvision forget photo.jpg`, or take the `sha256` of the answer",
            )
    data, reports = settings.paths.resolve("data"), settings.paths.resolve("reports")
    done = Forgotten(wanted)
    names, days = _forget_queries(data / "queries", wanted, done)
    mentions = Mentions(frozenset(wanted), names)
    taught = _forget_rows(data, mentions, done)
    done.features = FeatureStore(store_path(settings)).forget(wanted)
    with LabelStore(label_store_path(settings)) as labels:
        done.decisions = labels.forget(wanted)
    _forget_files(data, reports, mentions, days, done)
    _forget_workbench(data / "fiftyone", done)
    made_from = [(v.name, {str(v.card.get(key, "")) for key in ("dataset", "day")}) for v in registry.list()]
    done.versions = [name for name, sources in made_from if sources & taught]
    return done


def _forget_queries(root: Path, digests: tuple[str, ...], done: Forgotten) -> tuple[frozenset[str], set[date]]:
    """Deletes from the log; returns the names of the queries and the days on which a page may show them."""
    if not (root / "queries.sqlite").is_file():
        return frozenset(), set()
    with QueryLog(root) as log:
        gone = log.forget(digests)
    done.queries = len(gone)
    done.left += [f"{path.name}: a log that was set aside; delete it" for path in root.glob("queries.damaged-*.sqlite")]
    received = {row.received_at.date() for row in gone}
    return frozenset(row.name for row in gone), received | {day + timedelta(days=1) for day in received}


def _forget_rows(data: Path, mentions: Mentions, done: Forgotten) -> set[str]:
    """Deletes rows of data sets and feature tables; returns the digests and the days of what versions had them."""
    taught: set[str] = set()
    for path in sorted(data.rglob("*.parquet")):
        try:
            dataset = Dataset.load(path)
        except StreetVisionError as error:
            done.left.append(f"{path}: {error.got}")
            continue
        keep = [not mentions.names(row.image, name) for row, name in zip(dataset.rows, dataset.table.ids, strict=True)]
        if not all(keep):
            taught |= {dataset.digest, path.parent.name}
            dataset.select([i for i, kept in enumerate(keep) if kept]).save_dataset(path)
            done.rows += keep.count(False)
            done.edited.append(str(path))
    for path in sorted((data / "days").glob("*/*.npz")):
        try:
            table = FeatureTable.load(path)
        except (StreetVisionError, OSError, ValueError, KeyError):
            continue  # no table of rows
        keep = [not mentions.names(name) for name in table.ids]
        if not all(keep):
            _save_table(table, [i for i, kept in enumerate(keep) if kept], path)
            done.rows += keep.count(False)
            done.edited.append(str(path))
            # before there were data sets, a day's rows taught every later day
            taught |= {folder.name for folder in (data / "days").iterdir() if folder.name >= path.parent.name}
    return taught


def _save_table(table: FeatureTable, rows: list[int], path: Path) -> None:
    if rows:
        table.select(rows).save(path)
    else:
        path.unlink()


def _forget_files(data: Path, reports: Path, mentions: Mentions, days: set[date], done: Forgotten) -> None:
    for path in sorted((*data.rglob("*"), *reports.rglob("*"))):
        if not path.is_file() or path.name.startswith("queries.sqlite"):
            continue
        if any(digest in path.name for digest in mentions.digests):
            path.unlink()
            done.removed.append(str(path))
        elif data / "days" in path.parents or reports in path.parents:
            outcome = mentions.clean(path)
            if outcome:
                (done.edited if outcome == "edited" else done.removed).append(str(path))
    for day in sorted(days):
        # a page may show a photograph without naming it
        for page in sorted(reports.glob(f"{day}*/**/*.html")):
            page.unlink()
            done.removed.append(str(page))


def _forget_workbench(folder: Path, done: Forgotten) -> None:
    if not folder.is_dir():
        return
    lock = next(iter(folder.rglob("mongod.lock")), None)
    if lock is not None and lock.stat().st_size:
        done.left.append(f"{folder}: the workbench is open; close it and run this again")
        return
    shutil.rmtree(folder)
    done.removed.append(str(folder))
