"""Mining: of a night's queries the hardest, most different ones, and a blind tenth.

Example (the steps of notebook 06):
    table = observe_queries(queries, log, observer, settings.decode)
    mined = mine(queries, table, score_hardness(queries, table), known, settings.mining, settings.seed)
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.data.observe import Observer
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import LoopError
from streetvision_core.images.decode import decode_image
from streetvision_core.labels import Label
from streetvision_core.mining import hardness
from streetvision_core.mining.querylog import QueryLog, QueryRow
from streetvision_core.mining.select import MinedSet, select
from streetvision_core.models.evidence import vector
from streetvision_core.settings import Decode, MiningSettings
from streetvision_core.storage import atomic_write_json
from streetvision_core.types import FailureMode, Frame

CHOSEN_FILE: Final = "mined.json"
ROWS_FILE: Final = "mined.npz"
MODES_FILE: Final = "modes.json"


@dataclass(frozen=True, slots=True, eq=False)
class Mined:
    """What a night has chosen.

    Attributes:
        chosen: the choice, with the reason for each frame.
        rows: the chosen queries, K of them, in the order of `chosen`.
        table: their stage-1 features, K rows, without labels.
        labels: the label that holds for each; None where nobody has given one, or it was set aside.
        modes: the failure modes of each.
    """

    chosen: MinedSet
    rows: tuple[QueryRow, ...]
    table: FeatureTable
    labels: tuple[int | None, ...]
    modes: tuple[tuple[FailureMode, ...], ...]

    @property
    def mode_counts(self) -> dict[str, int]:
        """How many chosen frames show each failure mode, most frequent first."""
        return dict(Counter(mode for modes in self.modes for mode in modes).most_common())

    @property
    def wrong(self) -> tuple[bool | None, ...]:
        """Whether the answer was wrong; None where the label is unknown."""
        pairs = zip(self.rows, self.labels, strict=True)
        return tuple(None if label is None else row.verdict.roadwork != (label == 1) for row, label in pairs)

    def with_labels(self, labels: Mapping[str, Label]) -> Mined:
        """The same frames with the labels that hold, by sha256."""
        held = [labels.get(row.sha256) for row in self.rows]
        return replace(self, labels=tuple(None if label is None else label.label for label in held))


def read_frames(queries: Sequence[QueryRow], log: QueryLog, limits: Decode) -> Iterator[Frame]:
    """The logged images of queries, one after another: ten thousand do not fit into memory."""
    return (decode_image(log.image(row.sha256), row.name, limits) for row in queries)


def observe_queries(queries: Sequence[QueryRow], log: QueryLog, observer: Observer, limits: Decode) -> FeatureTable:
    """Stage-1 features of queries, and the evidence that their answers were made of; no row has a label."""
    models = observer.models
    store, images = FeatureStore(observer.store), read_frames(queries, log, limits)
    caption = "features of the night's queries"
    return FeatureTable.build(
        store.features(images, models.backbone, models.preprocessor, total=len(queries), progress=caption),
        backbone=models.backbone.name,
        preprocessing=models.preprocessor.name,
        ids=[row.name for row in queries],
        groups=[row.group for row in queries],
        origins=[row.origin for row in queries],
        eras=[row.era for row in queries],
        evidence=np.stack([vector(row.verdict.evidence) for row in queries]),
    )


def score_hardness(queries: Sequence[QueryRow], table: FeatureTable) -> hardness.HardnessScores:
    """How hard each query was for what answered it."""
    return hardness.score(table, hardness.Probabilities.from_verdicts([row.verdict for row in queries]))


def known_features(
    data: Path, night: str, table: FeatureTable, challenge: FeatureTable | None
) -> npt.NDArray[np.float32] | None:
    """Features of what other nights have mined, and of the challenge set; None before there are any.

    The near-duplicates of the first are not worth a reviewer's time; those of the second must never teach.

    Args:
        data: the workspace's data folder.
        night: this night, whose own choice of an earlier run does not count.
        table: this night's candidates; rows of another backbone or preprocessing cannot be compared with them.
        challenge: rows of the challenge set, where there is one.
    """
    paths = sorted(path for path in (data / "days").glob(f"*/{ROWS_FILE}") if path.parent.name != night)
    tables = [*([challenge] if challenge is not None else []), *map(FeatureTable.load, paths)]
    alike = [t.features for t in tables if (t.backbone, t.preprocessing) == (table.backbone, table.preprocessing)]
    return np.concatenate(alike) if alike else None


def mine(
    queries: Sequence[QueryRow],
    table: FeatureTable,
    scores: hardness.HardnessScores,
    known: npt.NDArray[np.float32] | None,
    settings: MiningSettings,
    seed: int,
) -> Mined:
    """Chooses at most `settings.budget` queries; nothing is known of their labels yet.

    Args:
        queries: the night's, N of them.
        table: from `observe_queries`.
        scores: from `score_hardness`.
        known: from `known_features`; what nearly equals one of them is not chosen.
        settings: budget, blind share, caps.
        seed: of the blind draw.

    Raises:
        LoopError: there is no query.
    """
    if not queries:
        raise LoopError(
            got="no query to choose from",
            allowed="a night in which queries came",
            action="point a server at this workspace, or name another night with --day",
        )
    chosen = select(table, scores, settings.budget, settings, seed=seed, known=known)
    picked = [item.row for item in chosen.items]
    unknown: tuple[None, ...] = (None,) * len(picked)
    modes = tuple(queries[i].modes for i in picked)
    return Mined(chosen, tuple(queries[i] for i in picked), table.select(picked), unknown, modes)


def save_mined(mined: Mined, night: Path) -> None:
    """Keeps the choice, its features and failure modes in the night's folder; labels lie in the label store alone."""
    mined.chosen.save(night / CHOSEN_FILE)
    mined.table.save(night / ROWS_FILE)
    modes = {row.name: list(modes) for row, modes in zip(mined.rows, mined.modes, strict=True)}
    atomic_write_json(night / MODES_FILE, modes)


def load_mined(night: Path, queries: Sequence[QueryRow], labels: Mapping[str, Label]) -> Mined:
    """What a night has chosen, with the labels that hold now.

    Args:
        night: its folder.
        queries: its queries.
        labels: by sha256 (`LabelStore.labels`).

    Raises:
        LoopError: the night has mined nothing.
    """
    if not (night / CHOSEN_FILE).exists() or not (night / MODES_FILE).exists():
        raise LoopError(
            got=f"nothing mined in the night {night.name}",
            allowed="a night whose queries were mined",
            action="run: streetvision select, or streetvision daily",
            night=night.name,
        )
    chosen, named = MinedSet.load(night / CHOSEN_FILE), {row.name: row for row in queries}
    modes = json.loads((night / MODES_FILE).read_text(encoding="utf-8"))
    rows = tuple(named[item.id] for item in chosen.items)
    held = tuple(tuple(modes[row.name]) for row in rows)
    mined = Mined(chosen, rows, FeatureTable.load(night / ROWS_FILE), (None,) * len(rows), held)
    return mined.with_labels(labels)
