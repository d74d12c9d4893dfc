"""All sources of a workspace as one dataset: the steps of notebook 01, for commands and for the first version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from streetvision_core.data.challenge_set import TrainedGroups
from streetvision_core.data.observe import Observer
from streetvision_core.data.starter import StarterPack, load_starter
from streetvision_core.labels.migrate import decisions_of_old_days
from streetvision_core.labels.store import LabelStore, label_store_path
from streetvision_core.labels.values import Label, resolve_labels
from streetvision_core.learning.build import build_dataset
from streetvision_core.learning.challenge import load_challenge
from streetvision_core.learning.dataset import Dataset
from streetvision_core.learning.measured import choose_measured, load_measured
from streetvision_core.learning.rendered import heldout_rows
from streetvision_core.learning.sources import (
    KnownLabel,
    check_photographs,
    drawn_by_probe,
    logged_rows,
    made_rows,
    pack_fits,
    photo_rows,
    starter_rows,
)
from streetvision_core.mining.querylog import QueryLog, QueryRow
from streetvision_core.mining.select import MinedSet
from streetvision_core.settings import Settings
from streetvision_core.types import Split
from streetvision_core.workspace import Workspace

NIGHTS: Final = "????-??-??*"
"""Folders of nights: dates, and `<since>_to_<until>` where past days were asked for."""
MINED_SET: Final = "mined.json"
"""What a night chose, in its folder."""


def base_rows(
    settings: Settings, observer: Observer, pack: StarterPack | None = None, heldout: Dataset | None = None
) -> Dataset:
    """What there is before the first night: photographs and the held-out scenes.

    Args:
        settings: the profile, and the folders of photographs it learns from.
        observer: its models.
        pack: the starter pack; None loads it. Left out where it is of other models.
        heldout: the held-out scenes; None takes those of the settings (`heldout_rows`).

    Raises:
        DataError: no photograph that the profile's models can learn from; raised before any work.
    """
    photographs = photograph_rows(settings, observer, pack)
    if heldout is None:
        heldout = heldout_rows(observer, settings.loop.heldout_frames, heldout_folder(settings))
    return Dataset.concat([photographs, heldout])


def photograph_rows(settings: Settings, observer: Observer, pack: StarterPack | None = None) -> Dataset:
    """The photographs a profile can learn from, with what was composed from them; see `base_rows`."""
    pack = pack if pack is not None else load_starter()
    check_photographs(settings, pack)
    parts = [starter_rows(pack, observer)] if pack_fits(settings, pack) else []
    parts += [photo_rows(settings.paths.home / folder, observer) for folder in settings.learning.photos]
    return Dataset.concat(parts)


def heldout_folder(settings: Settings) -> Path:
    """Where held-out scenes lie that were rendered here."""
    return settings.paths.resolve("data") / "heldout"


def known_labels(settings: Settings, upto: int | None = None) -> dict[str, Label]:
    """The label that holds for each image, by sha256; of a workspace of format 1 also what its days' files say.

    Args:
        settings: the workspace.
        upto: the last decision of the label store that counts, by position; None counts all.
    """
    with LabelStore(label_store_path(settings)) as store:
        decisions = store.decisions(upto)
    if Workspace(settings.paths.home, "the settings name it").format == 1:  # `streetvision migrate` has not run yet
        decisions = [*decisions_of_old_days(settings.paths.resolve("data") / "days"), *decisions]
    return resolve_labels(decisions)


def stream_rows(
    settings: Settings,
    observer: Observer,
    queries: Sequence[QueryRow],
    labels: Mapping[str, KnownLabel],
    log: QueryLog,
    upto_day: str = "9999",
) -> list[Dataset]:
    """What the stream adds, one dataset a day: labelled queries, and what was made to order that day."""
    days = settings.paths.resolve("data") / "days"
    logged = logged_rows(queries, labels, log, observer, settings.balance.hard_weight)
    made = {folder.name: made_rows(folder, observer) for folder in days.glob(NIGHTS)}
    names = sorted(name for name in {*logged, *made} if name <= upto_day)
    both = [[part for part in (logged.get(name), made.get(name)) if part] for name in names]
    return [Dataset.concat(parts) for parts in both if parts]


def measured_groups(
    settings: Settings, queries: Sequence[QueryRow], upto_day: str = "9999"
) -> tuple[dict[str, Split], set[str]]:
    """Groups that measure, each with its split, and the images the random probe drew, by sha256."""
    data = settings.paths.resolve("data")
    paths = sorted(path for path in (data / "days").glob(f"{NIGHTS}/{MINED_SET}") if path.parent.name <= upto_day)
    mined = [MinedSet.load(path) for path in paths]
    drawn = drawn_by_probe(mined, queries)
    taught = TrainedGroups(data / "challenge" / "taught.txt")
    known = load_measured(data)
    return choose_measured(drawn.values(), taught, known, settings.learning.measured_share), set(drawn)


def assemble(
    settings: Settings, observer: Observer, log: QueryLog, labels: Mapping[str, KnownLabel], upto_day: str = "9999"
) -> tuple[Dataset, dict[str, Split]]:
    """The dataset of a workspace, and the groups that measure from now on (`record_measured` keeps them)."""
    pack, queries = load_starter(), log.rows()
    base, data = base_rows(settings, observer, pack), settings.paths.resolve("data")
    challenge = load_challenge(settings, observer, pack, data)
    measured, drawn = measured_groups(settings, queries, upto_day)
    dataset = build_dataset(
        base,
        stream_rows(settings, observer, queries, labels, log, upto_day),
        measured=measured,
        drawn=drawn,
        balance=settings.balance,
        near_duplicate_cosine=settings.mining.near_duplicate_cosine,
        challenge=challenge[1] if challenge else None,
    )
    return dataset, measured


def find_dataset(settings: Settings, night: Path) -> Dataset:
    """The dataset that a night has built; where it built none, one of all sources, made now and kept nowhere."""
    if dataset_file(night).exists():
        return Dataset.load(dataset_file(night))
    data = settings.paths.resolve("data")
    with QueryLog(data / "queries") as log:
        return assemble(settings, Observer.of(settings), log, known_labels(settings))[0]


def taught_images(settings: Settings) -> set[str]:
    """Images, by sha256, with which the newest night trains or selects a head; empty before the first night."""
    nights = sorted((settings.paths.resolve("data") / "days").glob("*/dataset.parquet"))
    if not nights:
        return set()
    teaching = Dataset.load(nights[-1]).in_split(Split.TRAIN, Split.SELECT)
    return {row.image for row in teaching.rows}


def dataset_file(night: Path) -> Path:
    """Where a night's dataset lies, in its folder `data/days/NIGHT`."""
    return night / "dataset.parquet"


def challenger_folder(night: Path) -> Path:
    """Where a night's challenger lies before it is registered."""
    return night / "challenger"
