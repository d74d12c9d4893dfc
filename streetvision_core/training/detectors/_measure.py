"""Precision, recall and average precision of boxes, and how well an image's best score tells road work from none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.models.detectors._nms import nms
from streetvision_core.models.detectors.matching import corners_of, iou_matrix
from streetvision_core.types import DEVICE_CLASSES, Box, DeviceClass

Corners = npt.NDArray[np.float32]
SCORE: Final = 0.4
"""A box counts from this score on, as in the evidence's counts."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What stands in one image.

    Attributes:
        boxes: labelled devices.
        ignore: regions, float32 [N, 4], where a detection counts neither for nor against.
        classes: classes that were labelled at all; detections of others are not judged.
    """

    boxes: tuple[Box, ...]
    ignore: Corners = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    classes: tuple[DeviceClass, ...] = DEVICE_CLASSES


@dataclass(frozen=True, slots=True)
class BoxScores:
    """Counts at SCORE, and average precision over all scores."""

    labelled: int
    found: int
    right: int
    average_precision: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form; precision is None where nothing was found, recall where nothing was labelled."""
        return {
            "labelled": self.labelled,
            "found": self.found,
            "right": self.right,
            "precision": round(self.right / self.found, 4) if self.found else None,
            "recall": round(self.right / self.labelled, 4) if self.labelled else None,
            "average_precision": round(self.average_precision, 4) if self.labelled else None,
        }


def measure_boxes(
    answers: Sequence[Sequence[Box]], truths: Sequence[Truth], iou: float, *, any_class: bool = False
) -> dict[str, BoxScores]:
    """Judges detections image by image.

    Args:
        answers: a detector's boxes per image.
        truths: what stands there.
        iou: least overlap of a right box.
        any_class: whether a drum called a cone still counts as found.

    Returns:
        by class, and `any` for all together.
    """
    marks: dict[str, list[tuple[float, bool]]] = {name: [] for name in (*DEVICE_CLASSES, "any")}
    labelled = dict.fromkeys(marks, 0)
    for boxes, truth in zip(answers, truths, strict=True):
        judged = sorted((b for b in boxes if b.label in truth.classes), key=lambda b: -b.score)
        if any_class:
            judged = _one_per_place(judged)
        hits = _hits(judged, truth.boxes, iou, any_class)
        spared = _inside(corners_of(judged), truth.ignore)
        for box, hit, spare in zip(judged, hits, spared, strict=True):
            if hit or not spare:
                for name in (box.label, "any"):
                    marks[name].append((box.score, hit))
        for one in truth.boxes:
            labelled[one.label] += 1
            labelled["any"] += 1
    return {name: _score(marks[name], labelled[name]) for name in marks}


def _hits(judged: Sequence[Box], truth: Sequence[Box], iou: float, any_class: bool) -> list[bool]:
    """Best score first, each box takes the free labelled box it overlaps most, as in PASCAL VOC."""
    overlaps = iou_matrix(corners_of(judged), corners_of(truth))
    free = np.ones(len(truth), bool)
    hits = []
    for i, box in enumerate(judged):
        fits = free & (overlaps[i] >= iou)
        if not any_class:
            fits &= np.array([t.label == box.label for t in truth], bool)
        hits.append(bool(fits.any()))
        if hits[-1]:
            free[int(np.argmax(np.where(fits, overlaps[i], -1)))] = False
    return hits


def _one_per_place(ordered: Sequence[Box]) -> list[Box]:
    """Without classes, a cone and a drum in one place are one find."""
    corners, scores = corners_of(ordered), np.array([b.score for b in ordered], np.float32)
    return [ordered[i] for i in nms(corners, scores, np.zeros(len(ordered), np.int64)).tolist()]


def _inside(boxes: Corners, regions: Corners) -> npt.NDArray[np.bool_]:
    """Whether at least half of each box lies in one of the regions."""
    if not len(boxes) or not len(regions):
        return np.zeros(len(boxes), bool)
    low = np.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    overlap = np.prod(np.clip(high - low, 0, None), axis=2).max(axis=1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray((overlap >= 0.5 * area) | (iou_matrix(boxes, regions).max(axis=1) > 0.3))


def _score(marks: list[tuple[float, bool]], labelled: int) -> BoxScores:
    ordered = sorted(marks, key=lambda mark: -mark[0])
    right = np.array([mark[1] for mark in ordered], bool)
    scores = np.array([mark[0] for mark in ordered], float)
    counted = scores >= SCORE
    if not labelled or not len(right):
        return BoxScores(labelled, int(counted.sum()), int((right & counted).sum()), 0.0)
    recall = np.cumsum(right) / labelled
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    area = float(np.sum(np.diff(np.concatenate([[0.0], recall])) * envelope))
    return BoxScores(labelled, int(counted.sum()), int((right & counted).sum()), area)


def best_scores(boxes: Sequence[Box]) -> dict[str, float]:
    """The best score of each class in one image, and of `any`; 0 where nothing was found."""
    best: dict[str, float] = {
        name: max((b.score for b in boxes if b.label == name), default=0.0) for name in DEVICE_CLASSES
    }
    return {**best, "any": max(best.values())}


def roc_auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Chance that a random positive scores above a random negative, ties counted half.

    Example:
        >>> roc_auc([0.9, 0.5], [0.5, 0.1])
        0.875
    """
    a, b = np.asarray(positive, float)[:, None], np.asarray(negative, float)[None, :]
    return float(((a > b) + 0.5 * (a == b)).mean())


def image_auc(scores: Mapping[str, Sequence[Mapping[str, float]]], positive: str) -> dict[str, dict[str, float]]:
    """ROC-AUC of the best score, one set of road-work images against each set of images without.

    Args:
        scores: `best_scores` per image, by origin.
        positive: the origin whose images show road work.

    Returns:
        by negative origin, then by class (and `any`).
    """
    result = {}
    for origin, rows in scores.items():
        if origin != positive and rows and scores[positive]:
            result[origin] = {
                name: round(roc_auc([r[name] for r in scores[positive]], [r[name] for r in rows]), 4)
                for name in (*DEVICE_CLASSES, "any")
            }
    return result
