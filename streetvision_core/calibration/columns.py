"""The columns a stage's fusion sees: the head's logit and what the evidence so far says."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, logit
from streetvision_core.models.evidence import DETECTOR_NAMES, EVIDENCE_NAMES
from streetvision_core.types import DEVICE_CLASSES, FloatArray, Stage

_INDEX: Final = {name: i for i, name in enumerate(EVIDENCE_NAMES)}
_TELLING: Final = tuple(c for c in DEVICE_CLASSES if c != "vehicle")
"""Classes whose presence speaks for road work; a lorry alone does not."""
_SEEN_BY: Final[dict[Stage, tuple[str, ...]]] = {
    "classifier": (),
    "detectors": (*DETECTOR_NAMES, "agree"),
    "vlm": (*DETECTOR_NAMES, "agree", "vlm"),
    "ocr": (*DETECTOR_NAMES, "agree", "vlm", "ocr"),
}
"""Blocks of evidence known after each stage."""
_OWN_COLUMNS: Final = {"agree": ("agree.max",), "ocr": ("ocr.keywords", "ocr.negated")}
"""Columns of the blocks that are no detector's."""


def stage_columns(stage: Stage, logits: FloatArray, evidence: FloatArray) -> tuple[Array, tuple[str, ...]]:
    """The fusion's input for one stage.

    Few columns, because a few hundred photos must weigh them: for each detector the best score of any device, and the
    best pair both agree on. Every further column (per class, counts, positions) fits the training cameras better and
    unseen groups worse (docs/log.md). Keywords enter as log(1 + n). NaN stays NaN.

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
        if block in DETECTOR_NAMES:
            columns[f"{block}.device.max"] = np.max([seen[:, _INDEX[f"{block}.{c}.max"]] for c in _TELLING], axis=0)
            continue
        if block == "vlm":  # a probability enters as its logit; how sure the token was is for people
            columns["vlm.yes"] = logit(seen[:, _INDEX["vlm.yes"]])
            continue
        for name in _OWN_COLUMNS[block]:
            column = seen[:, _INDEX[name]]
            # Text that was not sought is no text: whether a frame was read must not tell the camera.
            columns[name] = np.log1p(np.nan_to_num(column)) if block == "ocr" else column
    return np.stack(list(columns.values()), axis=1), tuple(columns)


def block_of(name: str) -> str:
    """The block a column belongs to: columns of one block are missing together."""
    return name.split(".", 1)[0]


def has_run(stage: Stage, evidence: FloatArray) -> npt.NDArray[np.bool_]:
    """Which rows [N] hold the evidence of a stage itself (any of its blocks)."""
    own: tuple[str, ...] = {"classifier": (), "detectors": DETECTOR_NAMES, "vlm": ("vlm",), "ocr": ("ocr",)}[stage]
    if not own:
        return np.full(len(evidence), stage == "classifier")
    places = [_INDEX[name] for name in EVIDENCE_NAMES if block_of(name) in own]
    return np.asarray(np.isfinite(np.asarray(evidence)[:, places]).any(axis=1), np.bool_)
