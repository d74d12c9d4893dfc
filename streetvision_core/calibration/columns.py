"""The columns a stage's fusion sees: the head's logit and what the evidence so far says."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array
from streetvision_core.models.evidence import DETECTOR_NAMES, EVIDENCE_NAMES
from streetvision_core.types import DEVICE_CLASSES, FloatArray, Stage

_INDEX: Final = {name: i for i, name in enumerate(EVIDENCE_NAMES)}
_SEEN_BY: Final[dict[Stage, tuple[str, ...]]] = {
    "classifier": (),
    "detectors": (*DETECTOR_NAMES, "agree"),
    "vlm": (*DETECTOR_NAMES, "agree"),
    "ocr": (*DETECTOR_NAMES, "agree", "ocr"),
}
"""Blocks of evidence known after each stage."""


def stage_columns(stage: Stage, logits: FloatArray, evidence: FloatArray) -> tuple[Array, tuple[str, ...]]:
    """The fusion's input for one stage.

    Counts enter as log(1 + n). Each block adds what matters most: the best score over all classes and the number of
    boxes. NaN stays NaN.

    Args:
        stage: the stage whose evidence is the latest.
        logits: the head's, [N].
        evidence: [N, E] in the order of `EVIDENCE_NAMES`; later stages' columns are not read.

    Returns:
        float64 [N, C] and the C names; the first column is the logit.
    """
    columns: dict[str, Array] = {"logit": np.asarray(logits, np.float64)}
    seen = np.asarray(evidence, np.float64)
    for block in _SEEN_BY[stage]:
        for name in EVIDENCE_NAMES:
            if name.startswith(f"{block}."):
                column = seen[:, _INDEX[name]]
                columns[name] = np.log1p(column) if name.endswith(".count") else column
        if block in DETECTOR_NAMES:
            best = [seen[:, _INDEX[f"{block}.{c}.max"]] for c in DEVICE_CLASSES]
            boxes = [seen[:, _INDEX[f"{block}.{c}.count"]] for c in DEVICE_CLASSES]
            columns[f"{block}.any.max"] = np.max(best, axis=0)
            columns[f"{block}.any.count"] = np.log1p(np.sum(boxes, axis=0))
    return np.stack(list(columns.values()), axis=1), tuple(columns)


def block_of(name: str) -> str:
    """The block a column belongs to: columns of one block are missing together."""
    return name.split(".", 1)[0]


def has_run(stage: Stage, evidence: FloatArray) -> npt.NDArray[np.bool_]:
    """Which rows [N] hold the evidence of a stage itself (any of its blocks)."""
    own = {"classifier": (), "detectors": DETECTOR_NAMES, "vlm": (), "ocr": ("ocr",)}[stage]
    if not own:
        return np.full(len(evidence), stage == "classifier")
    places = [_INDEX[name] for name in EVIDENCE_NAMES if block_of(name) in own]
    return np.asarray(np.isfinite(np.asarray(evidence)[:, places]).any(axis=1), np.bool_)
