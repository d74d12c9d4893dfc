"""What each stage's evidence is called, and how it becomes a vector.

The order of `EVIDENCE_NAMES` is part of every stored table and calibrator; append, never reorder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import DataError, ModelError
from streetvision_core.models.detectors.matching import match_boxes
from streetvision_core.models.keywords import count_keywords
from streetvision_core.models.vlm.answers import YesNo
from streetvision_core.types import DEVICE_CLASSES, Box, Evidence

DETECTOR_NAMES: Final = ("dense-lite2", "yolo12n")
"""The two seats of stage 2, called after the detectors of the embedded profile. Those of another profile take them in
the profile's order: the columns of stored tables are named once and for all, the boxes keep their detector's name."""
COUNT_SCORE: Final = 0.4
"""A box counts from this score on."""
AGREE_IOU: Final = 0.3
"""Boxes of both detectors agree from this overlap on."""

EVIDENCE_NAMES: Final[tuple[str, ...]] = (
    *(f"{d}.{c}.{what}" for d in DETECTOR_NAMES for c in DEVICE_CLASSES for what in ("max", "count")),
    "agree.count",
    "agree.max",
    "ocr.keywords",
    "ocr.negated",
    "vlm.yes",
    "vlm.mass",
)


def classifier_evidence(logit: float, seconds: float) -> Evidence:
    """Stage 1: the head's logit."""
    return Evidence("classifier", {"logit": float(logit)}, seconds=seconds)


def detector_evidence(
    boxes_by_detector: Mapping[str, Sequence[Box]], width: int, height: int, seconds: float
) -> Evidence:
    """Stage 2: best score and count per detector and class, and what both detectors agree on.

    Args:
        boxes_by_detector: boxes of each detector that ran, in pixels of the frame; parts outside it are cut off.
        width: the frame's width in pixels.
        height: the frame's height in pixels.
        seconds: wall time of the stage.
    """
    boxes = {name: _inside(found, width, height) for name, found in boxes_by_detector.items()}
    scores: dict[str, float] = {}
    seated = {seat: boxes[name] for name, seat in seats(tuple(boxes)).items()}
    for name, found in seated.items():
        for label in DEVICE_CLASSES:
            of_class = [b.score for b in found if b.label == label]
            scores[f"{name}.{label}.max"] = max(of_class, default=0.0)
            scores[f"{name}.{label}.count"] = float(sum(score >= COUNT_SCORE for score in of_class))
    if all(name in seated for name in DETECTOR_NAMES):
        agreed = agreements(*(seated[name] for name in DETECTOR_NAMES))
        scores["agree.count"] = float(len(agreed))
        scores["agree.max"] = max(agreed, default=0.0)
    return Evidence("detectors", scores, boxes, seconds=seconds)


def vlm_evidence(answer: YesNo, seconds: float) -> Evidence:
    """Stage 3: P(yes) / (P(yes) + P(no)), and how much probability the two hold together.

    Where the model said neither, `vlm.yes` is left out and the text says what it said.
    """
    scores = {"vlm.mass": answer.mass} | ({} if answer.p_yes is None else {"vlm.yes": answer.p_yes})
    return Evidence("vlm", scores, text=(answer.note,) if answer.note else (), seconds=seconds)


def seats(detectors: Sequence[str]) -> dict[str, str]:
    """Which seat's columns each detector fills.

    Raises:
        ModelError: more detectors than seats.

    Example:
        >>> seats(["rfdetr-medium", "yolo12x"])
        {'rfdetr-medium': 'dense-lite2', 'yolo12x': 'yolo12n'}
    """
    free = iter([seat for seat in DETECTOR_NAMES if seat not in detectors])
    if len(detectors) > len(DETECTOR_NAMES):
        raise ModelError(
            got=f"{len(detectors)} detectors: {', '.join(detectors)}",
            allowed=f"at most {len(DETECTOR_NAMES)}",
            action="shorten models.detectors in the profile",
        )
    return {name: name if name in DETECTOR_NAMES else next(free) for name in detectors}


def ocr_evidence(texts: Sequence[str], seconds: float) -> Evidence:
    """Stage 4: how many road-work keywords stand, and how many are negated (END ROAD WORK)."""
    count = count_keywords(texts)
    scores = {"ocr.keywords": float(count.positive), "ocr.negated": float(count.negated)}
    return Evidence("ocr", scores, text=tuple(texts), seconds=seconds)


def vector(evidence: Sequence[Evidence]) -> npt.NDArray[np.float32]:
    """One row in the order of `EVIDENCE_NAMES`.

    Args:
        evidence: what ran so far; the classifier's may be among it and has no column.

    Returns:
        float32 [E], NaN where a stage did not run.
    """
    merged = {name: score for one in evidence for name, score in one.scores.items()}
    return np.array([merged.get(name, np.nan) for name in EVIDENCE_NAMES], dtype=np.float32)


def widen(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows stored when fewer names were known, with NaN for the later ones.

    Args:
        rows: [..., E'] with E' at most the number of names.

    Raises:
        DataError: more columns than names, so that a newer version wrote them.
    """
    gap = len(EVIDENCE_NAMES) - rows.shape[-1]
    if gap < 0:
        raise DataError(
            got=f"{rows.shape[-1]} columns of evidence",
            allowed=f"at most {len(EVIDENCE_NAMES)}, the names this version knows",
            action="read the table with the version that wrote it, or make it again",
        )
    return np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, gap)], constant_values=np.nan) if gap else rows


def keep_evidence(
    rows: npt.NDArray[np.float32], made_by: Sequence[str], wanted: Sequence[str]
) -> npt.NDArray[np.float32]:
    """Stored evidence as other detectors may use it: what only an absent detector can say becomes NaN.

    A detector that is the same, in the same place and of the same version, says the same as ever. Agreement needs both,
    and text was read where either had found a sign.

    Args:
        rows: evidence [N, E] of the detectors `made_by`.
        made_by: `name@version`, in the order of their places.
        wanted: `name@version` of those that run now.

    Returns:
        float32 [N, E]; the rows themselves where nothing differs.

    Example:
        >>> row = np.ones((1, len(EVIDENCE_NAMES)), np.float32)
        >>> kept = keep_evidence(row, ["dense-lite2@1", "yolo12n@1"], ["dense-lite2@1"])
        >>> [name for name, value in zip(EVIDENCE_NAMES, kept[0]) if value == 1 and name.endswith("cone.max")]
        ['dense-lite2.cone.max']
    """
    if tuple(made_by) == tuple(wanted):
        return rows
    then, now = _by_place(made_by), _by_place(wanted)
    same = {place for place in now if then.get(place) == now[place]}
    keeps = {*same, "vlm"}
    gone = [i for i, name in enumerate(EVIDENCE_NAMES[: rows.shape[1]]) if name.split(".", 1)[0] not in keeps]
    kept = rows.copy()
    kept[:, gone] = np.nan
    return kept


def _by_place(detectors: Sequence[str]) -> dict[str, str]:
    """The detector in each place, as `name@version`."""
    names = {key.rpartition("@")[0]: key for key in detectors}
    return {place: names[name] for name, place in seats(tuple(names)).items()}


def agreements(a: Sequence[Box], b: Sequence[Box]) -> list[float]:
    """Pairs of one class that overlap, matched highest overlap first; each gives the smaller of its two scores."""
    return [min(a[i].score, b[j].score) for i, j in match_boxes(a, b, AGREE_IOU)]


def _inside(boxes: Sequence[Box], width: int, height: int) -> tuple[Box, ...]:
    cut = (Box(max(b.x0, 0.0), max(b.y0, 0.0), min(b.x1, width), min(b.y1, height), b.label, b.score) for b in boxes)
    return tuple(b for b in cut if b.x1 > b.x0 and b.y1 > b.y0)
