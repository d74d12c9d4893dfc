"""Images drawn by a generator for the day's failure modes, and frames labelled by a teacher: both only on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from streetvision_core.data.observe import Observer, boxes_of
from streetvision_core.data.sources import FolderSource, read_labels
from streetvision_core.data.starter import load_starter
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError, ModelError
from streetvision_core.images.decode import read_image
from streetvision_core.mining import diffusion
from streetvision_core.mining.quality import QualityGate
from streetvision_core.mining.synthesize import SyntheticPlan
from streetvision_core.mining.teacher import PseudoLabel, Teacher
from streetvision_core.models.prompts import CAPTION_MODEL, NO_CAPTION, REWRITE_MODEL, PromptWriter, with_mode
from streetvision_core.settings import Settings
from streetvision_core.training.weights import PSEUDO
from streetvision_core.types import Box, FailureMode, Frame, Split

GENERATED_FILE: Final = "generated.npz"
PSEUDO_FILE: Final = "pseudo.npz"
_MOST_PHOTOS: Final = 64

Progress = Callable[[int, int], None]


def start_photos(settings: Settings, folder: Path | None = None) -> list[diffusion.Photo]:
    """Real photos to start from, at most 64: those of the collection that may train, or of a folder.

    Raises:
        DataError: there is none.
    """
    streets = settings.paths.resolve("streets")
    if folder is not None:
        images = FolderSource(folder, may_train=True).images()
    else:
        images = read_labels(streets) if (streets / "labels.csv").exists() else []
    usable = [image for image in images if image.may_train and image.label is not None]
    if not usable:
        raise DataError(
            got=f"no labelled photo that may train in {folder or streets}",
            allowed="photos in roadwork/ and none/, or a collection with labels.csv",
            action="name a folder of photos: --photos FOLDER",
        )
    picked = np.random.default_rng(settings.seed).permutation(len(usable))[:_MOST_PHOTOS]
    return [diffusion.Photo(read_image(usable[i].path), usable[i].label or 0, usable[i].group) for i in sorted(picked)]


def prompt_writer(settings: Settings) -> diffusion.WritePrompt:
    """The validators' caption and rewrite models where the model store has them, else one plain sentence."""
    from streetvision_core.models.hub import resolve

    try:
        caption, rewrite = (resolve(name, settings) for name in (CAPTION_MODEL, REWRITE_MODEL))
    except ModelError:
        return _plain_prompt
    return PromptWriter(caption, rewrite).write


def plan_drawing(
    plan: SyntheticPlan, photos: Sequence[diffusion.Photo], write: diffusion.WritePrompt, day_index: int, seed: int
) -> list[diffusion.Planned]:
    """The images of a plan."""
    return list(diffusion.plan_requests(plan, photos, write, seed * 100_000 + day_index))


def record_drawn(
    planned: Sequence[diffusion.Planned],
    generator: diffusion.Generator,
    gate: QualityGate,
    observer: Observer,
    night: Path,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Draws the images into `generated/` and keeps the rows of those that the gate lets through, as `generated.npz`.

    Each image is kept as soon as it is drawn: it may have cost money, and a run that is stopped goes on behind it.
    """
    folder = night / "generated"
    rows: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def observe(frame: Frame) -> tuple[np.ndarray, Sequence[Box]]:
        features, evidence = observer.observe([frame], "generated image")
        rows[frame.source] = (features[0], evidence[0])
        return features[0], [box for found in boxes_of(frame, observer.models).values() for box in found]

    records = diffusion.draw(planned, generator, gate, observe, folder, progress)
    kept = [record for record in records if not record["refusal"]]
    for record in kept:
        if record["id"] not in rows:  # drawn before a restart
            observe(Frame(read_image(folder / f"{record['id']}.png").pixels, record["id"], record["request_sha256"]))
    if kept:
        features, evidence = (np.stack([rows[record["id"]][i] for record in kept]) for i in (0, 1))
        FeatureTable.build(
            features,
            backbone=observer.models.backbone.name,
            preprocessing=observer.models.preprocessor.name,
            labels=[record["label"] for record in kept],
            ids=[record["id"] for record in kept],
            groups=[record["group"] for record in kept],
            origins=[f"stream: {diffusion.ORIGIN}"] * len(kept),
            evidence=evidence,
            splits=[Split.TRAIN] * len(kept),
        ).save(night / GENERATED_FILE)
    return records


def quality_gate(settings: Settings, challenge: FeatureTable | None) -> QualityGate:
    """What a drawn image has to pass: near enough to real photographs, and nothing of the challenge set.

    Args:
        settings: the profile.
        challenge: rows of the challenge set, where there is one.
    """
    table = load_starter().table
    real = table.select(table.in_split(Split.TRAIN) & np.array([era == "native" for era in table.eras]))
    known = real.features[:0] if challenge is None else challenge.features
    return QualityGate(real.features, settings.mining.near_duplicate_cosine, known)


def teach(
    frames: Sequence[tuple[str, str, Frame]],
    teacher: Teacher,
    observer: Observer,
    night: str,
    progress: Progress | None = None,
) -> tuple[list[PseudoLabel], FeatureTable]:
    """Has a teacher label frames (id, group, frame); their rows are TRAIN alone.

    Args:
        frames: what is labelled.
        teacher: the model that is asked; what it costs is counted in its budget.
        observer: whose features and evidence.
        night: the night's name, part of the rows' ids.
        progress: called with frames done and frames in all.
    """
    labels = teacher.label([(name, frame) for name, _, frame in frames], progress)
    features, evidence = observer.observe([frame for *_, frame in frames], "teacher's frames")
    table = FeatureTable.build(
        features,
        backbone=observer.models.backbone.name,
        preprocessing=observer.models.preprocessor.name,
        labels=[label.label for label in labels],
        ids=[f"{night}/pseudo-{label.id}" for label in labels],
        groups=[group for _, group, _ in frames],
        origins=[f"{PSEUDO}{teacher.model}"] * len(labels),
        evidence=evidence,
        splits=[Split.TRAIN] * len(labels),
    )
    return labels, table


def save_taught(table: FeatureTable, night: Path) -> None:
    """Keeps a teacher's rows in the night's folder, as `pseudo.npz`."""
    table.save(night / PSEUDO_FILE)


def _plain_prompt(_: Frame, label: int, mode: FailureMode | None) -> str:
    what = "active roadwork with traffic cones and barriers" if label else "a normal road"
    return with_mode(f"Photorealistic dashcam footage of {what}. {NO_CAPTION}", mode)
