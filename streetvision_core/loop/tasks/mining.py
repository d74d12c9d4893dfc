"""From the day's queries to labelled rows: score, choose, annotate, review, keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import LoopError
from streetvision_core.images.decode import decode_image
from streetvision_core.labels import Decision, Source
from streetvision_core.learning.measured import split_of_group
from streetvision_core.loop.tasks import annotation
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.finding import find_objects, look_at_early_answers
from streetvision_core.loop.tasks.queries import queries_of
from streetvision_core.mining import annotate, hardness
from streetvision_core.mining.asking import asked_modes
from streetvision_core.mining.balance import hard_weights
from streetvision_core.mining.modes import tag
from streetvision_core.mining.objects import FoundBySource
from streetvision_core.mining.querylog import QueryRow
from streetvision_core.mining.review_queue import ANNOTATIONS_FILE
from streetvision_core.mining.select import MinedSet, select
from streetvision_core.models.evidence import vector
from streetvision_core.types import FAILURE_MODES, Box, BoxesByDetector, FailureMode, Frame

MINED_FILE: Final = "mined.npz"


@dataclass(frozen=True, slots=True, eq=False)
class MinedDay:
    """What mining made of a day.

    Attributes:
        table: all candidate rows of the day with their features.
        hardness: their scores.
        chosen: the rows put before the reviewer.
        rows: the chosen queries, in the order of `chosen`.
        labels: their final labels; None where set aside or unknown.
        modes: their failure modes.
        answers: float64 [N], what the champion answered for all candidate rows.
    """

    table: FeatureTable
    hardness: hardness.HardnessScores
    chosen: MinedSet
    rows: tuple[QueryRow, ...]
    labels: tuple[int | None, ...]
    modes: tuple[tuple[FailureMode, ...], ...]
    answers: npt.NDArray[np.float64]

    @property
    def mode_counts(self) -> dict[str, int]:
        """How many chosen frames show each failure mode, most frequent first."""
        return dict(Counter(mode for modes in self.modes for mode in modes).most_common())

    @property
    def wrong(self) -> tuple[bool | None, ...]:
        """Whether the champion's answer was wrong; None where the label is unknown."""
        pairs = zip(self.rows, self.labels, strict=True)
        return tuple(None if label is None else row.verdict.roadwork != (label == 1) for row, label in pairs)


def mine(day: Day, *, demo: bool = True) -> MinedDay:
    """Chooses the day's hardest queries, has them labelled and keeps them as training rows.

    Writes `mined.json`, `objects.json`, `annotations.json` and `mined.npz` into the day's folder, and into the label
    store what the renderer knows and what is certified. A frame nobody knows the truth of is a proposal until decided.
    """
    rows = queries_of(day, demo=demo)
    if not rows:
        raise LoopError(
            got=f"no query in the night {day.name or day.date}",
            allowed="a night in which queries came",
            action="point a server at this workspace, or name another night with --day",
        )
    table = _candidates(day, rows)
    scores = hardness.score(table, hardness.Probabilities.from_verdicts([row.verdict for row in rows]))
    settings = day.settings.mining
    chosen = select(table, scores, settings.budget, settings, seed=day.settings.seed, known=_known(day))
    picked = [rows[item.row] for item in chosen.items]
    frames = [picture(day, row) for row in picked]
    seen = look_at_early_answers(day, picked, frames)
    objects = find_objects(day, picked, frames, seen=seen)
    labels, tags = _review(day, picked, frames, chosen)
    mined = MinedDay(
        table=table,
        hardness=scores,
        chosen=chosen,
        rows=tuple(picked),
        labels=labels,
        modes=tuple(
            _modes(row, frame, _boxes(day, objects[row.name]), said | tags.get(row.name, frozenset()))
            for row, frame, said in zip(picked, frames, _asked(day, picked, frames), strict=True)
        ),
        answers=np.array([row.verdict.p_roadwork for row in rows], np.float64),
    )
    chosen.save(day.folder / "mined.json")
    _keep(day, mined, frames, seen)
    return mined


def load_mined(day: Day, *, demo: bool = True) -> MinedDay:
    """The day's mined set; mined now where the mining notebook has not run."""
    return mine(day, demo=demo)


def picture(day: Day, row: QueryRow) -> Frame:
    """The logged image of a query."""
    return decode_image(day.log.image(row.sha256), row.name, day.settings.decode)


def _candidates(day: Day, rows: list[QueryRow]) -> FeatureTable:
    models = day.models
    store = FeatureStore(day.feature_store)
    images = (picture(day, row) for row in rows)  # one after another: ten thousand do not fit into memory
    caption = "features of the day's queries"
    return FeatureTable.build(
        store.features(images, models.backbone, models.preprocessor, total=len(rows), progress=caption),
        backbone=models.backbone.name,
        preprocessing=models.preprocessor.name,
        ids=[row.name for row in rows],
        groups=[row.group for row in rows],
        origins=[row.origin for row in rows],
        eras=[row.era for row in rows],
        evidence=np.stack([vector(row.verdict.evidence) for row in rows]),
    )


def _known(day: Day) -> np.ndarray:
    """Features of what earlier days have mined, and of the challenge set.

    The near-duplicates of the first are not worth a reviewer's time; those of the second must never teach.
    """
    from streetvision_core.loop.tasks.bridge import challenge_set

    folders = sorted((day.workspace.data / "days").glob("????-??-??"))
    paths = [f / MINED_FILE for f in folders if f.name < day.date.isoformat()]
    known = [FeatureTable.load(path).features for path in paths if path.exists()]
    return np.concatenate([challenge_set(day)[1].features, *known])


def _review(
    day: Day, rows: list[QueryRow], frames: list[Frame], chosen: MinedSet
) -> tuple[tuple[int | None, ...], dict[str, frozenset[str]]]:
    """The label that holds for each row, and the tags given to it by row name."""
    why = {item.id: ", ".join(item.reasons) for item in chosen.items}
    weak = annotation.weak_labels(day, rows, frames)
    certified = {row.name for row, accepted in zip(rows, weak.accepted, strict=True) if accepted}
    guesses = {a.id: a for a in annotation.proposals(weak, why) if a.id in certified}
    known = _annotate(day, rows, why)
    shown = [guesses.get(a.id, a) if a.annotator in annotate.PROPOSERS else a for a in known]
    annotate.save_annotations(day.folder / ANNOTATIONS_FILE, shown)
    _record_labels(day, shown, certified)
    labels = day.review.store.labels()
    held = [labels.get(row.sha256) for row in rows]
    tags = {row.name: label.tags for row, label in zip(rows, held, strict=True) if label is not None and label.tags}
    return tuple(label.label if label is not None else None for label in held), tags


def _record_labels(day: Day, shown: list[annotate.Annotation], certified: set[str]) -> None:
    """Puts the renderer's truth and the certified labels into the store, and withdraws what is certified no longer."""
    store = day.review.store
    kinds: dict[str, Source] = {annotate.SCENE_TRUTH: "renderer", annotate.LABEL_MODEL: "machine"}
    made = [
        Decision(a.sha256, a.label, kinds[a.annotator], a.annotator, datetime.now(UTC), a.note, query=a.id)
        for a in shown
        if a.annotator == annotate.SCENE_TRUTH or a.id in certified
    ]
    store.record_decisions(made)
    gone = {a.sha256 for a in shown} - {decision.image for decision in made}
    store.withdraw(gone, annotate.LABEL_MODEL, datetime.now(UTC))


def _annotate(day: Day, rows: list[QueryRow], why: dict[str, str]) -> list[annotate.Annotation]:
    """What is known of each row: the renderer's truth, else the champion's proposal."""
    said: list[annotate.Annotation] = []
    for name in (annotate.SCENE_TRUTH, annotate.CHAMPION):
        known = {a.id for a in said}
        open_rows = [row for row in rows if row.name not in known]
        said += annotate.annotate(annotate.get_annotator(name), open_rows, day.log.image, why=why)
    place = {row.name: i for i, row in enumerate(rows)}
    return sorted(said, key=lambda a: place[a.id])


def _asked(day: Day, rows: list[QueryRow], frames: list[Frame]) -> list[frozenset[str]]:
    """What the profile's image-text model, if it has one, says of frames whose modes the log does not know."""
    unknown = [i for i, row in enumerate(rows) if not row.modes] if day.models.vlm is not None else []
    found: list[frozenset[str]] = [frozenset()] * len(rows)
    if day.models.vlm is not None and unknown:
        for i, modes in zip(unknown, asked_modes(day.models.vlm, [frames[i] for i in unknown]), strict=True):
            found[i] = frozenset(modes)
    return found


def _boxes(day: Day, found: FoundBySource) -> list[Box]:
    """What the profile's detectors found in a frame."""
    return [one.box for detector in day.models.detectors for one in found.get(detector.name, ())]


def _modes(row: QueryRow, frame: Frame, boxes: list[Box], tags: frozenset[str]) -> tuple[FailureMode, ...]:
    """What the log, else the rules say, and what the image-text model and reviewers added."""
    told = row.modes or tuple(sorted(tag(frame, boxes, row.era)))
    return (*told, *(mode for mode in FAILURE_MODES if mode in tags and mode not in told))


def _keep(day: Day, mined: MinedDay, frames: list[Frame], seen: Mapping[str, BoxesByDetector]) -> None:
    labelled = [i for i, label in enumerate(mined.labels) if label is not None]
    rows = [mined.rows[i] for i in labelled]
    features, evidence = day.observe([frames[i] for i in labelled], "mined frames", seen)
    labels = np.array([mined.labels[i] for i in labelled], np.int8)
    answers = np.array([row.verdict.p_roadwork for row in rows])
    FeatureTable.build(
        features,
        backbone=day.models.backbone.name,
        preprocessing=day.models.preprocessor.name,
        labels=labels,
        ids=[f"{day.date}/{row.name}" for row in rows],
        groups=[row.group for row in rows],
        origins=[f"stream: {row.origin}" for row in rows],
        eras=[row.era for row in rows],
        evidence=evidence,
        splits=[split_of_group(row.group) for row in rows],
        weights=hard_weights(labels, answers, day.settings.balance.hard_weight),
    ).save(day.folder / MINED_FILE)
